import builtins
import copy
import pickle

import pytest
import torch
from mmengine.hooks import EMAHook

from mmpartref.apis import PartReferInferencer
from mmpartref.errors import MissingWeightsError, WeightsError
from mmpartref.models.weights.checkpoints import load_weights
from mmpartref.models.weights.cris_keys import to_published
from mmpartref.models.weights.state_files import write_checkpoint
from mmpartref.registry import MODELS

EXPRESSIONS = ['car body', 'car side mirror']


class Runs:
    """Leaves a trace when it is unpickled without care."""

    def __reduce__(self) -> tuple:
        return exec, ('import builtins; builtins.mmpartref_was_run = True', )


def shifted(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A model's weights, all of them changed."""
    return {name: value + 0.25 if value.is_floating_point() else value for name, value in model.state_dict().items()}


def holds(model: torch.nn.Module, state: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


@pytest.fixture
def fresh(cris_config) -> torch.nn.Module:
    """A CRIS without a checkpoint."""
    return PartReferInferencer(cris_config, device='cpu').model


def test_ours_and_a_converted_one(fresh, cris_config, tmp_path):
    state = shifted(fresh)
    write_checkpoint(state, tmp_path / 'converted.pth')
    torch.save({'meta': {'epoch': 3}, 'state_dict': state, 'optimizer': {}}, tmp_path / 'epoch_3.pth')
    torch.save({f'module.{name}': value for name, value in state.items()}, tmp_path / 'bare.pth')
    for name in ('converted.pth', 'epoch_3.pth', 'bare.pth'):
        assert holds(PartReferInferencer(cris_config, tmp_path / name, 'cpu').model, state)
    assert load_weights(fresh, tmp_path / 'epoch_3.pth', 'x') == 'weights'


def test_a_published_cris_is_renamed(fresh, tmp_path):
    state = shifted(fresh)
    published = {f'module.{name}': value for name, value in to_published(state).items()}
    torch.save({'epoch': 50, 'state_dict': published}, tmp_path / 'best_model.pth')
    assert load_weights(fresh, tmp_path / 'best_model.pth', 'x') == "the published CRIS's weights, renamed"
    assert holds(fresh, state)


def test_averaged_weights_are_taken_where_there_are_any(fresh, tmp_path):
    state = shifted(fresh)
    # As EMAHook writes it: the averages under state_dict, what was trained under ema_state_dict.
    checkpoint = {'state_dict': dict(fresh.state_dict()),
                  'ema_state_dict': {f'module.{name}': value for name, value in state.items()}}
    EMAHook()._swap_ema_state_dict(checkpoint)
    torch.save(checkpoint, tmp_path / 'ema.pth')
    assert load_weights(fresh, tmp_path / 'ema.pth', 'x') == 'averaged weights (EMA)'
    assert holds(fresh, state)


@pytest.mark.full_mmcv
def test_an_mmdet_checkpoint_goes_into_the_detector(detector, detector_config, image, tmp_path):
    inner = detector.model.detector.state_dict()
    torch.save({'meta': {}, 'state_dict': inner}, tmp_path / 'mask_rcnn.pth')
    torch.manual_seed(5)
    other = PartReferInferencer(detector_config, tmp_path / 'mask_rcnn.pth', 'cpu')
    assert holds(other.model.detector, inner)
    # Two forward passes, whose rounding differs on some processors.
    expected = [each.score for each in detector(image, EXPRESSIONS)]
    assert [each.score for each in other(image, EXPRESSIONS)] == pytest.approx(expected, rel=1e-4)


@pytest.mark.full_mmcv
def test_a_detector_learns_its_categories_from_its_checkpoint(detector, detector_config, tmp_path):
    config = copy.deepcopy(detector_config)
    categories = config.to_dict()['model']['categories']
    del config.model['categories']
    torch.save({'meta': {'part_categories': categories}, 'state_dict': detector.model.state_dict()},
               tmp_path / 'epoch_1.pth')
    model = PartReferInferencer(config, tmp_path / 'epoch_1.pth', 'cpu').model
    assert [each.part for each in model.vocabulary.categories] == ['body', 'tire', 'side mirror']
    torch.save({'meta': {}, 'state_dict': detector.model.state_dict()}, tmp_path / 'silent.pth')
    with pytest.raises(ValueError, match='has no categories for its labels'):
        PartReferInferencer(config, tmp_path / 'silent.pth', 'cpu')
    (tmp_path / 'cut.pth').write_bytes(b'PK')
    with pytest.raises(WeightsError, match=r'cut\.pth was not loaded'):
        PartReferInferencer(config, tmp_path / 'cut.pth', 'cpu')
    # COCO's classes keep COCO's meanings; the categories only map an expression to its object.
    config.model.targets = 'coco_objects'
    state = MODELS.build({**config.model, 'categories': categories}).state_dict()
    torch.save({'state_dict': state}, tmp_path / 'coco.pth')
    model = PartReferInferencer(config, tmp_path / 'coco.pth', 'cpu').model
    assert len(model.vocabulary.categories) == 40
    assert model.vocabulary.find('the tyre of a car') is not None


def test_another_architecture_raises_an_error_in_one_line(fresh, tmp_path):
    state = dict(fresh.state_dict())
    first = next(iter(state))
    state['surplus.weight'] = torch.zeros(1)
    state[first] = torch.zeros(1)
    removed = [name for name in state if name.startswith('neck.') and 'num_batches' not in name]
    for name in removed:
        del state[name]
    torch.save({'state_dict': state}, tmp_path / 'other.pth')
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_weights(fresh, tmp_path / 'other.pth', 'tiny.py')
    message = str(caught.value)
    assert '\n' not in message
    assert message.startswith(f"{tmp_path / 'other.pth'} does not fit the model of tiny.py: {len(removed)} keys "
                              f'missing ({removed[0]}, {removed[1]}, ...)')
    assert '1 keys not of this model (surplus.weight)' in message
    assert f'1 keys of another shape ({first}: (1,) instead of' in message
    assert holds(fresh, before)


def test_nothing_in_a_checkpoint_is_run(fresh, tmp_path):
    state = fresh.state_dict()
    torch.save({'meta': Runs(), 'state_dict': state}, tmp_path / 'evil.pth')
    (tmp_path / 'plain.pth').write_bytes(pickle.dumps({'state_dict': Runs()}))
    for name in ('evil.pth', 'plain.pth'):
        with pytest.raises(WeightsError, match=rf'{name} was not loaded: .*more than tensors'):
            load_weights(fresh, tmp_path / name, 'x')
    assert not hasattr(builtins, 'mmpartref_was_run')


def test_damaged_files_raise_errors(fresh, tmp_path):
    torch.save({'state_dict': fresh.state_dict()}, tmp_path / 'whole.pth')
    whole = (tmp_path / 'whole.pth').read_bytes()
    for content in (whole[:len(whole) // 2], b'', b'no checkpoint', whole[:100]):
        (tmp_path / 'cut.pth').write_bytes(content)
        with pytest.raises(WeightsError, match=r'cut\.pth (is not a checkpoint|was not loaded)') as caught:
            load_weights(fresh, tmp_path / 'cut.pth', 'x')
        assert '\n' not in str(caught.value)
    torch.save({'epoch': 3}, tmp_path / 'empty.pth')
    with pytest.raises(WeightsError, match='holds no state dict'):
        load_weights(fresh, tmp_path / 'empty.pth', 'x')
    with pytest.raises(MissingWeightsError):
        load_weights(fresh, tmp_path / 'none.pth', 'x')
