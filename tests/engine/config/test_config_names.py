"""Configs are found by path or by the name of a packaged one, from any folder."""
import sys
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.hub import get_config, get_model
from mmengine.registry import DefaultScope

from mmpartref.apis.model_building import read_config
from mmpartref.engine.config.config_keys import check_custom_keys
from mmpartref.engine.config.config_names import PACKAGED, find_config, packaged_configs
from mmpartref.engine.launch.build_runner import load_config
from mmpartref.engine.launch.input_size import apply_input_size
from mmpartref.errors import MissingFileError, NotPlainFileError
from mmpartref.registry import MODELS

TOP, INSIDE = 'cris_r50_partimagenet', 'cris/cris_r101_partimagenet'


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(('name', 'found'), [
    (TOP, TOP), (f'{TOP}.py', TOP), (f'configs/{TOP}.py', TOP), (f'./configs/{TOP}.py', TOP),
    (f'mmpartref::{TOP}', TOP), (f'mmpartref::cris/../{TOP}.py', TOP), (f'configs/cris/{TOP}.py', TOP),
    (INSIDE, INSIDE), ('cris_r101_partimagenet', INSIDE), (f'configs/{INSIDE}.py', INSIDE),
    ('configs/cris_r101_partimagenet.py', INSIDE), (Path(f'{INSIDE}.py'), INSIDE)])
def test_a_packaged_config_is_found_by_name(name: str, found: str) -> None:
    assert find_config(name) == str(PACKAGED / f'{found}.py')


def test_a_path_comes_first(tmp_path: Path) -> None:
    (tmp_path / f'{TOP}.py').write_text('a = 1')
    assert find_config(f'{TOP}.py') == f'{TOP}.py'
    assert find_config(TOP) == str(PACKAGED / f'{TOP}.py')


@pytest.mark.parametrize('name', ['cris_r50_partimagnet', 'mine/cris_r50_partimagenet.py', '/no/cris_r50_partimagenet',
                                  '_base_/cris', 'configs/_base_/cris.py'])
def test_other_names_are_an_error(name: str) -> None:
    with pytest.raises(MissingFileError, match=r'does not exist; give the path of a \.py file, or the name of'):
        find_config(name)


def test_the_error_has_similar_names(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match='; similar ones are cris_r50_partimagenet, '):
        find_config('cris_r50_partimagnet')
    (tmp_path / 'folder').mkdir()
    with pytest.raises(NotPlainFileError, match='folder is a folder'):
        find_config('folder')


def test_stems_are_unique() -> None:
    names = list(packaged_configs())
    assert len({name.rpartition('/')[2] for name in names}) == len(names) > 30


@pytest.mark.parametrize('name', ['cris_tiny_toyparts', 'configs/toyparts/cris_tiny_toyparts_blind.py'])
def test_tools_and_inferencer_use_the_same_names(name: str) -> None:
    assert load_config(name).model.type == read_config(name).model.type == 'ReferringSegmentor'


def without_scopes(node: object) -> object:
    """Remove the scopes that mmengine adds to what is inherited from a package."""
    if isinstance(node, dict):
        return {key: without_scopes(value) for key, value in node.items() if key != '_scope_'}
    return [without_scopes(each) for each in node] if isinstance(node, list) else node


@pytest.mark.parametrize('name', [*sorted(packaged_configs())])
def test_a_config_inherits_from_the_package(name: str, tmp_path: Path) -> None:
    """mmengine wants a folder after the colons; '..' reaches the configs at the top."""
    base = name if '/' in name else f'cris/../{name}'
    (tmp_path / 'mine.py').write_text(f"_base_ = 'mmpartref::{base}.py'\nwork_dir = 'mine'\n")
    mine = without_scopes(load_config(tmp_path / 'mine.py').to_dict())
    assert mine.pop('work_dir') == 'mine'
    assert mine.pop('launcher') == 'none'
    there = Config.fromfile(PACKAGED / f'{name}.py')
    apply_input_size(there)
    assert mine == without_scopes(there.to_dict())


def test_mmengines_hub_reads_configs_and_builds_models() -> None:
    assert get_config('mmpartref::toyparts/cris_tiny_toyparts_blind.py').model.type == 'ReferringSegmentor'
    assert type(get_model('mmpartref::toyparts/../cris_tiny_toyparts.py')).__name__ == 'ReferringSegmentor'


def test_the_documented_backbone_of_ones_own_builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, 'path', [*sys.path])
    page = (Path(__file__).parents[3] / 'docs/training.md').read_text(encoding='utf-8')
    module = page.split('```python\n# my_backbone.py\n')[1].split('```')[0]
    config = page.split("```text\n_base_ = 'mmpartref::")[1].split('```')[0]
    (tmp_path / 'my_backbone.py').write_text(module)
    (tmp_path / 'mine.py').write_text("_base_ = 'mmpartref::" + config)
    cfg = load_config(tmp_path / 'mine.py')
    cfg.model.text_encoder.update(layers=1, init_cfg=None)
    with DefaultScope.overwrite_default_scope('mmpartref'):
        model = MODELS.build(cfg.model)
    assert model.neck.in_channels == (32, 64, 128)
    check_custom_keys(model, cfg.optim_wrapper)
