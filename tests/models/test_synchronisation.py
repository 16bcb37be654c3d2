"""Where a step makes the host and a GPU wait for one another: copies between them, and shapes that depend on values.

Seen on a CPU, where the same calls are made, and with the algorithms of a GPU.
"""
from collections.abc import Callable
from typing import Any

import pytest
import step_cases
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mmpartref.models.layers.cpu.cpu_fast_paths import disable_cpu_fast_paths
from mmpartref.registry import MODELS

# Operation and place: why it is there.
REASONS = {
    ('unique_dim', 'models/segmentors/referring_segmentor.py _encode_decode'):
        'only where text_index is not given; the data preprocessor gives it',
    ('unique_dim', 'models/segmentors/referring_segmentor.py forward'):
        'only where text_index is not given; the data preprocessor gives it',
    ('tolist', 'models/segmentors/text_feature_cache.py encode'):
        'the cache looks rows of tokens up in a dictionary; evaluation only',
    ('index by a list', 'models/segmentors/text_feature_cache.py encode'):
        'rows that are not cached yet',
    ('tolist', 'models/segmentors/referring_segmentor.py predict'):
        'how many expressions each image has is the shape of its predictions',
    ('tensor on a device', 'models/segmentors/referring_segmentor.py predict'):
        'which rows the images of one size have, once per size',
    ('cpu', 'models/segmentors/mask_decode.py to_image_cris'):
        "the published decode warps with OpenCV's warpAffine",
    ('numpy', 'models/segmentors/mask_decode.py to_image_cris'):
        "the published decode warps with OpenCV's warpAffine",
    ('to a device', 'models/segmentors/mask_decode.py to_image_cris'):
        'predictions are on the device of the model',
    ('to a device', 'models/segmentors/mask_decode.py to_image_aligned'):
        'positions are computed in float64, which some devices lack',
    ('tensor on a device', 'models/decode_heads/presence_head.py are_present'):
        'targets come with the refs, as Python objects',
    ('tensor on a device', 'models/decode_heads/multi_label_presence_head.py targets'):
        'targets come as dictionaries',
    ('tolist', 'models/decode_heads/multi_label_presence_head.py write_prediction'):
        'predictions are dictionaries of numbers',
    ('to a device', 'models/segmentors/clip_zero_shot_segmentor.py embed_texts'):
        'strings become tokens on the CPU',
    ('to a device', 'models/data_preprocessor.py forward'):
        'images come from the loader; non_blocking=True lets the copy overlap',
    ('to a device', 'models/data_preprocessor.py index_expressions'):
        'strings become tokens on the CPU',
    ('tensor on a device', 'models/data_preprocessor.py index_expressions'):
        'a batch is indexed on the CPU',
}
READS = {'item', 'tolist', 'numpy', '__array__', 'cpu', '__bool__', '__int__', '__float__', '__index__'}
# Of ATen; the shape of the output depends on values, or a value comes to the host.
SHAPED_BY_VALUES = {'_local_scalar_dense', 'nonzero', 'argwhere', 'masked_select', 'unique_dim', '_unique', '_unique2',
                    'unique_consecutive', 'bincount', 'equal', 'is_nonzero'}


def names_device(arguments: tuple) -> bool:
    return any(isinstance(each, (torch.device, str)) for each in arguments)


class Calls(TorchFunctionMode):
    """Records calls of torch's functions that a GPU would wait for."""

    def __init__(self, found: set[tuple[str, str]]) -> None:
        super().__init__()
        self.found = found

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        name, kind = func.__name__, None
        if name in READS:
            kind = name
        elif name in ('to', 'cuda') and (names_device(args[1:]) or 'device' in kwargs):
            kind = 'to a device'
        elif name in ('tensor', 'as_tensor') and kwargs.get('device') is not None:
            kind = 'tensor on a device'
        elif name in ('__getitem__', '__setitem__'):
            # A tensor made of the list is copied.
            parts = args[1] if isinstance(args[1], tuple) else (args[1], )
            kind = 'index by a list' if any(isinstance(each, list) for each in parts) else None
        if kind is not None:
            self.found.add((kind, step_cases.caller()))
        return func(*args, **kwargs)


class Operations(TorchDispatchMode):
    """Records ATen's operations that a GPU would wait for, of any package."""

    def __init__(self, found: set[tuple[str, str]]) -> None:
        super().__init__()
        self.found = found

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        name = func.overloadpacket.__name__
        masks = name in ('index', 'index_put', 'index_put_', '_unsafe_index', '_index_put_impl_') and any(
            each.dtype in (torch.bool, torch.uint8) for each in tree_leaves(args[1]) if isinstance(each, torch.Tensor))
        # Without the size of the output it is the sum of the repeats.
        repeats = str(func) == 'aten.repeat_interleave.Tensor' and (kwargs or {}).get('output_size') is None
        if masks or repeats or name in SHAPED_BY_VALUES:
            self.found.add(('index by a mask' if masks else name, step_cases.caller()))
        return func(*args, **(kwargs or {}))


def waits(*calls: Callable[[], Any]) -> set[tuple[str, str]]:
    """Return operation and place of everything in these calls that a GPU would wait for."""
    found: set[tuple[str, str]] = set()
    with disable_cpu_fast_paths(), Calls(found), Operations(found):
        for call in calls:
            call()
    return found


def predictions(decode: str) -> Callable[[], Any]:
    """Prediction for images of two sizes, with every output."""
    model = MODELS.build(step_cases.segmentor_config(decode=decode, keep_candidates=True)).eval()
    samples = step_cases.samples_of(torch.zeros(4, 60, 90))
    images = [torch.zeros(3, 60, 90, dtype=torch.uint8), torch.zeros(3, 64, 64, dtype=torch.uint8)]
    return lambda: model.test_step({'inputs': images, 'data_samples': samples})


def zero_shot() -> Callable[[], Any]:
    model = MODELS.build(step_cases.zero_shot_config()).eval()
    samples = step_cases.samples_of(torch.zeros(4, 60, 90))
    return lambda: model.predict(torch.zeros(2, 3, 60, 90), samples)


def test_a_step_waits_only_for_what_the_table_gives_a_reason_for():
    calls = [predictions('cris'), predictions('aligned'), zero_shot()]
    model = MODELS.build(step_cases.segmentor_config()).train()
    images, tokens, image_index, text_index, masks = step_cases.draw_batch(model)
    samples = step_cases.samples_of(masks)
    calls += [lambda: model.encode_decode(images, tokens[text_index], image_index),
              lambda: model(images, tokens=tokens[text_index], image_index=image_index),
              lambda: sum(value for name, value in model(
                  images, samples, mode='loss', tokens=tokens, image_index=image_index,
                  text_index=text_index).items() if 'loss' in name).backward()]
    found = waits(*calls)
    assert found - set(REASONS) == set(), 'remove these, or give a reason in REASONS'
    assert set(REASONS) - found == set(), 'these are gone: remove them from REASONS'


@pytest.mark.parametrize('name', step_cases.CASES)
def test_no_class_waits_for_anything_else(name, tmp_path):
    case = step_cases.CASES[name]
    module = case.build(tmp_path)
    arguments = step_cases.on_device(case.draw(module), 'cpu')
    found = waits(lambda: step_cases.train(case, module, arguments),
                  lambda: step_cases.evaluate(case, module, arguments))
    assert found - set(REASONS) == set(), 'remove these, or give a reason in REASONS'


def test_what_would_wait_is_seen():
    rows, chosen = torch.arange(4.0), torch.tensor([True, False, True, False])
    for kind, call in {
        'item': lambda: rows[0].item(),
        '_local_scalar_dense': lambda: rows.clamp(max=rows[0]) if rows[0] > 0 else None,
        'nonzero': lambda: torch.nonzero(chosen),
        'index by a mask': lambda: rows[chosen],
        'index by a list': lambda: rows[[0, 2]],
        'to a device': lambda: rows.to('cpu'),
        'tensor on a device': lambda: torch.tensor(2.0, device=rows.device),
        'repeat_interleave': lambda: torch.repeat_interleave(rows, torch.tensor([1, 2, 0, 1])),
        'masked_select': lambda: rows.masked_select(chosen),
    }.items():
        assert (kind, 'a test') in waits(call), kind
    assert waits(lambda: (rows * 2).sum(), lambda: rows[torch.tensor([0, 1])], lambda: rows.to(torch.int64)) == set()
