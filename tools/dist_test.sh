#!/usr/bin/env bash
# Evaluate on several GPUs of one or more machines.
#   tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of tools/test.py]
# On several machines run it on each with NNODES, NODE_RANK and MASTER_ADDR set; PORT must be free on the first.
set -euo pipefail
if (($# < 3)); then
    echo "usage: dist_test.sh CONFIG CHECKPOINT GPUS [arguments of test.py]" >&2
    exit 2
fi
config=$1
checkpoint=$2
gpus=$3
shift 3
if [[ ! $gpus =~ ^[1-9][0-9]*$ ]]; then
    echo "GPUS must be an integer of at least 1, got '$gpus'" >&2
    exit 2
fi
if ((gpus > 1)); then
    # The defaults of torchrun and mmengine, which print a warning where these are not set.
    export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" MKL_NUM_THREADS="${MKL_NUM_THREADS:-1}"
fi
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$gpus" \
    "$(dirname "$0")/test.py" "$config" "$checkpoint" --launcher pytorch "$@"
