"""Run an exported inference graph, and compare it with the original model."""
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from mmpartref.apis.export.check_pt2 import check_pt2
from mmpartref.apis.export.export_graph import INPUTS, OUTPUT, check_suffix, evaluating, random_inputs, require
from mmpartref.models.segmentors.referring_segmentor import ReferringSegmentor
from mmpartref.models.weights.allowed_types import mmengine_checkpoints_allowed

# (N, M, U) of a comparison: all equal to 1, and each of them the smallest and the largest.
COUNTS = ((1, 1, 1), (2, 5, 3), (3, 2, 1), (1, 4, 4))
# Greatest difference by rounding between a file and eager, in standard deviations of the logits.
TOLERANCE = 1e-3

Run = Callable[[Sequence[torch.Tensor]], torch.Tensor]


def load_exported(path: str | Path) -> Run:
    """Load an exported file as a function from the graph's inputs to its logits, on the CPU.

    Raises:
        ExportError: the suffix is unknown, or onnxruntime is missing.
        WeightsError: see ``check_pt2``.
    """
    if check_suffix(path) == '.pt2':
        check_pt2(path)
        with mmengine_checkpoints_allowed():
            loaded = torch.export.load(path)
        # Newer torch compiles the file's guards, which are Python code.
        guarded = 'check_guards' in inspect.signature(loaded.module).parameters
        program = loaded.module(**{'check_guards': False} if guarded else {})
        return lambda inputs: program(*inputs)
    require('onnxruntime')
    import onnxruntime
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])

    def run(inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        arrays = {name: each.numpy() for name, each in zip(INPUTS, inputs, strict=True)}
        return torch.from_numpy(session.run([OUTPUT], arrays)[0])

    return run


def compare_with_eager(model: ReferringSegmentor, path: str | Path, size: tuple[int, int],
                       counts: Sequence[tuple[int, int, int]] = COUNTS) -> dict[tuple[int, int, int], float]:
    """Compare a file with the original model on random inputs, on the CPU.

    Returns:
        The greatest difference for each (N, M, U), in standard deviations of the model's logits.
    """
    run = load_exported(path)
    differences = {}
    for each in counts:
        inputs = random_inputs(model, size, each)
        with evaluating(model):
            expected = model.encode_decode(*inputs)
            differences[each] = float((run(inputs) - expected).abs().max() / expected.std())
    return differences
