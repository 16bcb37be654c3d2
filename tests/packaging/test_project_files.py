"""Citation, changelog, model index, issue forms and hooks agree with the project."""
import configparser
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mmpartref.version import __version__

CHECKOUT = Path(__file__).parents[2]


def read(name: str) -> Any:
    return yaml.safe_load((CHECKOUT / name).read_text(encoding='utf-8'))


def test_issue_forms_have_what_github_requires() -> None:
    assert isinstance(read('.github/ISSUE_TEMPLATE/config.yml'), dict)
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
    assert citation['authors']
    assert all({'type', 'title', 'authors'} <= set(work) for work in citation['references'])


def test_model_index_names_every_config_and_weights_in_the_package() -> None:
    assert read('model-index.yml') == {'Import': ['configs/metafile.yml']}
    index = read('configs/metafile.yml')
    configs = sorted(path.relative_to(CHECKOUT).as_posix() for path in (CHECKOUT / 'configs').rglob('*.py')
                     if '_base_' not in path.parts)
    assert sorted(model['Config'] for model in index['Models']) == configs
    collections = {collection['Name'] for collection in index['Collections']}
    for model in index['Models']:
        assert model['Name'] == Path(model['Config']).stem
        assert model['In Collection'] in collections
        assert model['Weights'].endswith('/')
        assert model['Weights'] == 'not published/' or (CHECKOUT / model['Weights']).is_file()
    shipped = {model['Weights'].rstrip('/') for model in index['Models']} - {'not published'}
    weights = CHECKOUT / 'mmpartref' / 'weights'
    assert shipped == {path.relative_to(CHECKOUT).as_posix() for path in weights.iterdir()}
    assert all((CHECKOUT / collection['README']).is_file() for collection in index['Collections'])


@pytest.mark.e2e
def test_mim_reads_the_model_index() -> None:
    from mim.commands.search import convert2df  # Of the extra `mim`.
    from modelindex.load_model_index import load
    table = convert2df(load(str(CHECKOUT / 'mmpartref' / '.mim' / 'model-index.yml')))
    models = read('configs/metafile.yml')['Models']
    assert len(table) == len(models)
    results = [(model['Name'], result) for model in models for result in model.get('Results', [])]
    assert results
    for name, result in results:
        for metric, value in result['Metrics'].items():
            assert table.loc[name, f"{result['Dataset']}/{metric}".lower()] == value


def test_hooks_are_tools_of_the_extra_dev() -> None:
    setup = configparser.ConfigParser()
    setup.read(CHECKOUT / 'setup.cfg')
    dev = {re.split(r'[<>=]', line)[0] for line in setup['options.extras_require']['dev'].split()}
    local = next(repo for repo in read('.pre-commit-config.yaml')['repos'] if repo['repo'] == 'local')
    assert {hook['entry'].split()[0] for hook in local['hooks']} == {'ruff', 'mypy'} <= dev
