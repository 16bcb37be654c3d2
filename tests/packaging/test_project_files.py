"""The files beside the package: licence, citation, changelog, model index, forms and hooks agree with the project."""
import configparser
import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mmpartref.version import __version__

CHECKOUT = Path(__file__).parents[2]
YAML_FILES = ('CITATION.cff', 'model-index.yml', '.pre-commit-config.yaml', '.github/ISSUE_TEMPLATE/bug_report.yml',
              '.github/ISSUE_TEMPLATE/feature_request.yml', '.github/ISSUE_TEMPLATE/config.yml')
# Of the text as several installed packages (absl-py, onnx-ir, yapf) ship it.
APACHE_MD5 = '3b83ef96387f14655fc854ddc3c6bd57'


def read(name: str) -> Any:
    return yaml.safe_load((CHECKOUT / name).read_text(encoding='utf-8'))


@pytest.mark.parametrize('name', YAML_FILES)
def test_yaml_parses(name: str) -> None:
    assert isinstance(read(name), dict)


def test_issue_forms_have_what_github_requires() -> None:
    for name in ('bug_report', 'feature_request'):
        form = read(f'.github/ISSUE_TEMPLATE/{name}.yml')
        assert {'name', 'description', 'body'} <= set(form)
        assert all(item['attributes']['label'] for item in form['body'])


def test_version_is_the_same_everywhere() -> None:
    assert read('CITATION.cff')['version'] == __version__
    changelog = (CHECKOUT / 'CHANGELOG.md').read_text(encoding='utf-8')
    assert re.search(r'^## \[Unreleased\]', changelog, re.M)
    named = re.findall(r'^Will be (\d+\.\d+\.\d+)|^## \[(\d+\.\d+\.\d+)\]', changelog, re.M)
    assert ''.join(named[0]) == __version__


def test_citation_has_the_required_keys() -> None:
    citation = read('CITATION.cff')
    assert citation['cff-version'] == '1.2.0'
    assert {'message', 'title', 'authors', 'license'} <= set(citation)
    assert citation['authors'] == [{'name': 'mmpartref contributors'}]
    assert [work['year'] for work in citation['references']] == [2022, 2022, 2021]
    assert all({'type', 'title', 'authors'} <= set(work) for work in citation['references'])


def test_licence_is_the_apache_text() -> None:
    assert hashlib.md5((CHECKOUT / 'LICENSE').read_bytes()).hexdigest() == APACHE_MD5


def test_model_index_names_every_config_and_no_weights() -> None:
    index = read('model-index.yml')
    configs = sorted(f'configs/{path.name}' for path in (CHECKOUT / 'configs').glob('*.py'))
    assert sorted(model['Config'] for model in index['Models']) == configs
    collections = {collection['Name'] for collection in index['Collections']}
    for model in index['Models']:
        assert model['Name'] == Path(model['Config']).stem
        assert model['In Collection'] in collections
        assert 'Weights' not in model
    assert all((CHECKOUT / collection['README']).is_file() for collection in index['Collections'])


def test_mim_reads_the_model_index() -> None:
    from mim.commands.search import convert2df  # Of the extra `mim`.
    from modelindex.load_model_index import load
    table = convert2df(load(str(CHECKOUT / 'mmpartref' / '.mim' / 'model-index.yml')))
    assert len(table) == len(read('model-index.yml')['Models'])
    assert table.loc['cris_tiny_toyparts', 'toyparts test/miou'] == 57.0


def test_hooks_are_tools_of_the_extra_dev() -> None:
    setup = configparser.ConfigParser()
    setup.read(CHECKOUT / 'setup.cfg')
    dev = {re.split(r'[<>=]', line)[0] for line in setup['options.extras_require']['dev'].split()}
    local = next(repo for repo in read('.pre-commit-config.yaml')['repos'] if repo['repo'] == 'local')
    assert {hook['entry'].split()[0] for hook in local['hooks']} == {'ruff', 'mypy'} <= dev
