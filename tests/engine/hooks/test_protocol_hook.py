"""Train, validate and test on one protocol, or not at all."""
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mmengine.runner import BaseLoop, Runner

from mmpartref.datasets.protocols import load_protocol
from mmpartref.datasets.toyparts.make_toyparts import make_toyparts
from mmpartref.engine import ProtocolHook
from mmpartref.engine.launch.build_runner import build_runner, load_config
from mmpartref.errors import ConfigError, WeightsError
from mmpartref.models.weights.allowed_types import mmengine_checkpoints_allowed

ROOT = Path(__file__).parents[3]
SPLIT = 'partimagenet_parts_25_15'
OOD = 'partimagenet_ood'


def identity(name: str = SPLIT, fold: str = '', role: str = 'seen') -> dict[str, str]:
    return {'name': name, 'fold': fold, 'role': role}


def loader(protocol: dict | None) -> SimpleNamespace:
    return SimpleNamespace(dataset=SimpleNamespace(metainfo={'protocol': protocol} if protocol else {}))


def training(train: dict | None, val: dict | None) -> Any:
    return SimpleNamespace(train_dataloader=loader(train), val_loop=SimpleNamespace(dataloader=loader(val)))


@pytest.mark.parametrize(('train', 'val'), [
    (None, None), (None, identity()), (identity(), identity()),
    (identity(OOD, role='train'), identity(OOD, role='val')),
])
def test_a_training_on_one_protocol_starts(train: dict | None, val: dict | None) -> None:
    ProtocolHook().before_train(training(train, val))


@pytest.mark.parametrize(('val', 'message'), [
    (None, 'the validation data none'), (identity(role='all'), 'role all'), (identity(fold='snake'), 'fold snake'),
    (identity(OOD), OOD),
])
def test_a_validation_that_shows_more_is_rejected(val: dict | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ProtocolHook().before_train(training(identity(), val))


def test_a_training_without_validation_starts() -> None:
    runner: Any = SimpleNamespace(train_dataloader=loader(identity()), val_loop=None)
    ProtocolHook().before_train(runner)


class Loop(BaseLoop):
    """A test loop that was built."""

    def __init__(self, metric: Any, data: dict | None) -> None:
        self.dataloader = loader(data)
        self.evaluator = SimpleNamespace(metrics=[SimpleNamespace(protocol=metric), SimpleNamespace()])

    def run(self) -> None:
        """Nothing to run."""


def load(trained: dict | None, *, metric: Any = None, data: dict | None = None, meta: bool = True) -> None:
    runner: Any = SimpleNamespace(_test_loop=Loop(metric, data))
    dataset_meta = {'protocol': trained} if trained else {}
    checkpoint = {'meta': {'dataset_meta': dataset_meta} if meta else {}}
    ProtocolHook().after_load_checkpoint(runner, checkpoint)


def test_a_checkpoint_of_the_same_protocol_is_tested() -> None:
    load(identity(), metric=load_protocol(SPLIT))
    load(identity(OOD, role='train'), data=identity(OOD, role='test'))
    load(identity('leave_one_super_category_out', 'snake'), data=identity('leave_one_super_category_out', 'snake'))
    load(None)


@pytest.mark.parametrize(('trained', 'message'), [
    (None, 'none'), (identity(role='all'), 'role all'), (identity('leave_one_super_category_out'), 'leave_one'),
    (identity(OOD, role='train'), OOD),
])
def test_a_checkpoint_that_saw_something_else_is_rejected(trained: dict | None, message: str) -> None:
    with pytest.raises(WeightsError, match=f'trained on protocol.*{message}.*, the test needs {SPLIT}, role seen'):
        load(trained, metric=load_protocol(SPLIT))


def test_another_fold_is_rejected() -> None:
    with pytest.raises(WeightsError, match=r'fold snake, role seen, the test needs .* fold car, role seen'):
        load(identity('leave_one_super_category_out', 'snake'), metric=load_protocol('leave_one_super_category_out',
                                                                                     'car'))
    with pytest.raises(WeightsError, match='role val, the test needs partimagenet_ood, role train'):
        load(identity(OOD, role='val'), data=identity(OOD, role='test'))


def test_a_checkpoint_without_a_protocol_is_tested_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[str] = []
    monkeypatch.setattr('mmpartref.engine.hooks.protocol_hook.print_log', lambda text, *_: printed.append(text))
    load(None, metric=load_protocol(SPLIT), meta=False)
    assert 'is unknown' in printed[0]


def test_resuming_a_training_is_not_a_test() -> None:
    runner: Any = SimpleNamespace(_test_loop={'type': 'TestLoop'})
    ProtocolHook().after_load_checkpoint(runner, {'meta': {'dataset_meta': {}}})


@pytest.mark.slow
def test_from_training_to_a_test_on_drawn_scenes(tmp_path: Path, tiny_model_cfg: dict) -> None:
    make_toyparts(tmp_path / 'toyparts', splits={'train': 2, 'val': 1, 'test': 2}, size=(96, 72), seed=1)
    letterbox = "dict(type='Letterbox', size=64)"
    pipeline = f"[dict(type='LoadImage'), {letterbox}, dict(type='PackReferringInputs')]"
    training_pipeline = pipeline.replace(letterbox, f"dict(type='LoadReferringMasks'), {letterbox}")
    config = tmp_path / 'tiny.py'
    config.write_text(f"_base_ = {str(ROOT / 'configs/protocols/cris_r50_leave_out_partimagenet.py')!r}\n"
                      f'model = dict(_delete_=True, **{tiny_model_cfg!r})\n' + ''.join(
                          f'{split}_dataloader = dict(num_workers=0, persistent_workers=False, '
                          f'dataset=dict(pipeline={training_pipeline if split == "train" else pipeline}))\n'
                          for split in ('train', 'val', 'test'))
                      + "visualizer = dict(vis_backends=[dict(type='LocalVisBackend')])\n"
                      'train_cfg = dict(max_epochs=1)\n')

    def runner(name: str, options: dict | None = None) -> Runner:
        cfg = load_config(config, options, data_root=str(tmp_path / 'toyparts'), work_dir=str(tmp_path / 'run'))
        cfg.experiment_name = name
        cfg.load_from = str(tmp_path / 'run/epoch_1.pth') if name != 'train' else None
        return build_runner(cfg)

    with mmengine_checkpoints_allowed():
        runner('train').train()
        metrics = runner('test').test()
        assert metrics['refer/seen_expressions'] > 0
        assert metrics['refer/expressions'] == metrics['refer/seen_expressions'] + metrics['refer/unseen_expressions']
        with pytest.raises(WeightsError, match=r'fold snake, role seen, the test needs .* fold bird'):
            runner('other', {'test_evaluator.protocol.fold': 'bird'}).test()
