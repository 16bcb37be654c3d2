"""Weights by the name of a packaged config."""
import shutil
from pathlib import Path

import pytest

from mmpartref.apis import PartReferInferencer
from mmpartref.engine.config import model_index
from mmpartref.engine.config.model_index import published_weights
from mmpartref.errors import MissingFileError, WeightsError

NAME = 'cris_tiny_toyparts'
CHECKOUT = Path(__file__).parents[3]


@pytest.mark.parametrize('name', [NAME, f'mmpartref::{NAME}', f'mmpartref::{NAME}.py'])
def test_a_name_has_weights(name):
    assert published_weights(name).parent.name == 'weights'


def test_a_users_file_and_other_configs_have_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(CHECKOUT / 'configs' / f'{NAME}.py', tmp_path / f'{NAME}.py')
    assert published_weights(f'{NAME}.py') is None
    assert published_weights('cris_r50_partimagenet') is None
    # Wrong folders, which find_config takes for the packaged config.
    assert published_weights(f'configs/mine/{NAME}.py') is None
    assert published_weights(f'mmpartref::mine/{NAME}') is None
    with pytest.raises(MissingFileError):
        published_weights('no_such_config')


def test_a_file_that_is_damaged_or_missing_is_named(tmp_path, monkeypatch):
    path = published_weights(NAME)
    copy = tmp_path / path.relative_to(model_index.PACKAGE.parent)
    monkeypatch.setattr(model_index, 'PACKAGE', tmp_path / 'mmpartref')
    with pytest.raises(MissingFileError, match='is missing; install mmpartref again'):
        published_weights(NAME)
    copy.parent.mkdir(parents=True)
    copy.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeightsError, match='is not the published file: its SHA-256 is'):
        published_weights(NAME)


def test_an_address_is_downloaded(monkeypatch):
    monkeypatch.setattr(model_index, 'locate_url', lambda url: Path('cache') / url.rsplit('/', 1)[-1])
    index = {'Models': [{'Config': f'configs/{NAME}.py', 'Weights': 'https://example.org/a-01234567.pth'}]}
    monkeypatch.setattr(model_index.yaml, 'safe_load', lambda text: index)
    assert published_weights(NAME) == Path('cache/a-01234567.pth')


def test_an_inferencer_by_name(capfd):
    inferencer = PartReferInferencer(NAME)
    assert inferencer.info['checkpoint'] == str(published_weights(NAME))
