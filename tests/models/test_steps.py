"""Steps of every registered model class on the device 'meta', in bfloat16 and compiled."""
import pytest
import step_cases
import torch

import mmpartref.models  # noqa: F401
from mmpartref.registry import MODELS

# Registered classes without a step here.
EXEMPT = {
    'ReferringDetector': "mmdet's networks; see detectors/test_referring_detector.py",
    'ReferringDataPreprocessor': 'takes samples of the loader; see test_synchronisation.py',
    'TimmBackbone': 'its case is in torchvision_cases.py',
    'OpenCLIPTextEncoder': 'its case is in torchvision_cases.py',
}
# Cases that torch.compile cannot trace as one graph, and what ends the trace.
UNTRACEABLE = {'CLIPZeroShotSegmentor': 'lru_cache'}  # strings become tokens inside the step
# Evaluation differs in no line of these, or is compiled elsewhere: that of the segmentor's network in test_gpu.py.
TRAINING_ONLY = ('ReferringSegmentor', 'EfficientNetLite', 'CLIPModel', 'CLIPTextEncoder with an adapter',
                 'SiglipTextEncoder', 'CRISNeck over repeated maps', 'VisionLanguageDecodeHead at full resolution')
# Layers of these are compiled as parts of ReferringSegmentor, which is checked to have them.
PARTS = ('CLIPResNet', 'CLIPTextEncoder', 'CRISNeck', 'VisionLanguageDecodeHead', 'PresenceHead',
         'MultiLabelPresenceHead', 'AsymmetricLoss', 'TextToPixelContrastiveLoss', 'FocalLoss')
# Others of the same layers are compiled.
SIMILAR = ('CLIPVisionTransformer', 'ReferringSegmentor as published')
COMPILED = [name for name in step_cases.CASES if name not in (*UNTRACEABLE, *PARTS, *SIMILAR)]
SLOW = ('CLIPVisionTransformer with a pyramid and LoRA', 'EfficientNetLite', 'ReferringSegmentor')


@pytest.fixture(params=step_cases.CASES)
def case(request) -> step_cases.Case:
    return step_cases.CASES[request.param]


def test_every_registered_class_has_a_case():
    registered = {name for name, kind in MODELS.module_dict.items() if kind.__module__.startswith('mmpartref.')}
    covered = {name.split(' ')[0] for name in step_cases.CASES}
    missing = registered - covered - set(EXEMPT)
    assert not missing, f'{", ".join(sorted(missing))}: add a case to CASES in tests/models/step_cases.py'
    assert covered | set(EXEMPT) <= registered


def test_a_step_makes_no_tensor_on_the_cpu(case, tmp_path):
    step_cases.check_on_meta(case, tmp_path)


def test_a_step_in_bfloat16_is_close_to_one_in_float32(case, tmp_path):
    step_cases.check_in_half(case, tmp_path)


@pytest.mark.parametrize('name', [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in COMPILED])
def test_a_step_compiles_as_one_graph(name, tmp_path):
    step_cases.check_compiled(step_cases.CASES[name], tmp_path, evaluation=name not in TRAINING_ONLY)


def test_parts_are_compiled_with_the_segmentor(tmp_path):
    whole = step_cases.CASES['ReferringSegmentor'].build(tmp_path)
    assert {*PARTS} <= {type(module).__name__ for module in whole.modules()}


@pytest.mark.parametrize('name', UNTRACEABLE)
def test_what_does_not_compile_is_known(name, tmp_path):
    with pytest.raises(torch._dynamo.exc.Unsupported, match=UNTRACEABLE[name]):
        step_cases.check_compiled(step_cases.CASES[name], tmp_path)
