"""One key sets the input size of all pipelines."""
from pathlib import Path

import pytest

from mmpartref.apis.model_building import build_pipeline, read_config
from mmpartref.engine.config.config_nodes import DATALOADERS
from mmpartref.engine.launch.build_runner import load_config
from mmpartref.engine.launch.fill_letterbox import letterboxes
from mmpartref.errors import ConfigError

CONFIGS = Path(__file__).parents[3] / 'configs'


@pytest.mark.parametrize(('size', 'sides'), [(96, (96, 96)), ([64, 96], (64, 96))])
def test_every_letterbox_has_it(size: object, sides: tuple[int, int]) -> None:
    cfg = load_config(CONFIGS / 'cris_tiny_toyparts.py', {'input_size': size})
    for name in DATALOADERS:
        step, = letterboxes(cfg[name])
        assert tuple(step['size']) == sides


def test_a_detectors_resize_has_it_as_width_and_height() -> None:
    cfg = load_config(CONFIGS / 'toyparts/mask_rcnn_tiny_toyparts.py', {'input_size': (64, 96)})
    for name in DATALOADERS:
        step, = [each for each in cfg[name].dataset.pipeline if each.type == 'mmdet.Resize']
        assert tuple(step.scale) == (96, 64)


def test_a_config_file_and_the_inferencer_have_it(tmp_path: Path) -> None:
    (tmp_path / 'a.py').write_text(f"_base_ = {str(CONFIGS / 'cris_tiny_toyparts.py')!r}\ninput_size = 96\n")
    assert build_pipeline(read_config(tmp_path / 'a.py'))[0].size == (96, 96)


@pytest.mark.parametrize('size', [0, [64], [64, 0], 'x', 1.5])
def test_wrong_sizes(size: object) -> None:
    with pytest.raises(ConfigError, match='input_size='):
        load_config(CONFIGS / 'cris_tiny_toyparts.py', {'input_size': size})


def test_another_size_of_one_pipeline_is_rejected() -> None:
    other = {'test_dataloader.dataset.pipeline.1.size': 64}
    with pytest.raises(ConfigError, match='input_size=96 sets the size of all pipelines'):
        load_config(CONFIGS / 'cris_tiny_toyparts.py', {'input_size': 96, **other})
    cfg = load_config(CONFIGS / 'cris/cris_lite0_own_parts.py', {'input_size': None, **other})
    assert letterboxes(cfg.test_dataloader)[0]['size'] == 64


def test_without_a_step_that_has_it() -> None:
    pipelines = {f'{name}.dataset.pipeline': [{'type': 'PackReferringInputs'}] for name in DATALOADERS}
    with pytest.raises(ConfigError, match='no Letterbox or Resize'):
        load_config(CONFIGS / 'cris_tiny_toyparts.py', {'input_size': 96, **pipelines})
