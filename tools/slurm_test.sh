#!/usr/bin/env bash
# Evaluate on a Slurm cluster.
#   [GPUS=8] [GPUS_PER_NODE=8] [CPUS_PER_TASK=5] [SRUN_ARGS="--qos=x"] \
#       tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [arguments of tools/test.py]
set -euo pipefail
usage='usage: slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [arguments of test.py]'
partition=${1:?$usage}
job=${2:?$usage}
config=${3:?$usage}
checkpoint=${4:?$usage}
shift 4
gpus=${GPUS:-8}
per_node=${GPUS_PER_NODE:-8}
if ((per_node > gpus)); then per_node=$gpus; fi
# SRUN_ARGS is several words.
# shellcheck disable=SC2086
exec srun -p "$partition" \
    --job-name="$job" \
    --gres="gpu:$per_node" \
    --ntasks="$gpus" \
    --ntasks-per-node="$per_node" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 \
    ${SRUN_ARGS:-} \
    "${PYTHON:-python}" -u "$(dirname "$0")/test.py" "$config" "$checkpoint" --launcher slurm "$@"
