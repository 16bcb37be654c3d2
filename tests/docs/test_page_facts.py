"""The pages agree with the package: quoted error messages, numbers in pictures, a json, the Dockerfile."""
import argparse
import ast
import configparser
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmpartref.datasets import PartReferDataset
from mmpartref.engine.config.options_action import OptionsAction
from mmpartref.engine.launch.build_runner import load_config
from mmpartref.registry import MODELS

CHECKOUT = Path(__file__).parents[2]
DOCS = CHECKOUT / 'docs'
DOCKERFILE = CHECKOUT / 'docker/Dockerfile'


def read(name: str) -> str:
    return (CHECKOUT / name).read_text(encoding='utf-8')


def blocks(page: str, language: str) -> list[str]:
    """Return a page's code blocks of a language."""
    return re.findall(rf'^```{language}\n(.*?)^```$', page, re.M | re.S)


# Troubleshooting.

# Pages with messages of the package, and the heading after which they are.
QUOTING = [('troubleshooting.md', '## Error messages of mmpartref'), ('configs.md', '## Misspelled keys')]
LEAST_OF_A_SENTENCE = 25


def sentences() -> list[list[str | None]]:
    """Return the package's longer strings in parts; None is what is filled in."""
    found = []
    for path in (CHECKOUT / 'mmpartref').rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else None for part in node.values]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                # A format string.
                parts = [part for text in re.split(r'\{\w+\}', node.value) for part in (None, text)][1:]
            else:
                continue
            if sum(len(part) for part in parts if part) >= LEAST_OF_A_SENTENCE:
                found.append(parts)
    return found


def is_written_as(text: str, parts: list[str | None]) -> bool:
    """Return whether a text matches a sentence in parts, with any values filled in."""
    return all(part in text for part in parts if part) and bool(
        re.fullmatch(''.join('.+' if part is None else re.escape(part) for part in parts), text))


@pytest.mark.parametrize(('name', 'heading'), QUOTING)
def test_quoted_messages_are_in_the_source(name: str, heading: str) -> None:
    page = read(f'docs/{name}')
    assert heading in page
    lines = [' '.join(quoted.split()) for quoted in blocks(page.split(heading)[1], 'text')]
    assert lines
    known = sentences()
    # A file's name may come before the sentence.
    assert not [line for line in lines
                if not any(is_written_as(text, parts) for parts in known for text in (line, line.partition(' ')[2]))]


# Configs.

CONFIG_OF_THE_DEFAULTS = 'cris/cris_r50_aligned_partimagenet.py'


def key_rows() -> list[list[str]]:
    """Return the rows of the tables of keys: what it is, an example, the default."""
    section = read('docs/configs.md').split('## Keys that people change')[1].split('\n## ')[0]
    assert CONFIG_OF_THE_DEFAULTS in section
    rows = [[cell.strip() for cell in line.strip('|').split(' | ')] for line in section.splitlines() if '`' in line
            and line.startswith('|')]
    assert len(rows) > 20
    return rows


@pytest.mark.parametrize('row', key_rows(), ids=lambda row: row[0])
def test_keys_of_the_tables_have_the_default_and_take_the_example(row: list[str]) -> None:
    example, default = row[1].strip('`').strip('"'), row[2]
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=OptionsAction)
    options = parser.parse_args(['--cfg-options', example]).cfg_options
    (path, value), = options.items()
    before = find(load_config(CONFIG_OF_THE_DEFAULTS).to_dict(), path)
    assert before == (None if default.startswith('not set') else ast.literal_eval(default.strip('`')))
    after = find(load_config(CONFIG_OF_THE_DEFAULTS, options).to_dict(), path)
    if isinstance(value, dict):
        value.pop('_delete_')
    assert after == value != before


def find(config: Any, path: str) -> Any:
    """Return the value at a dotted path, None where there is none."""
    for name in path.split('.'):
        config = config[int(name)] if isinstance(config, (list, tuple)) else (config or {}).get(name)
    return config


# Glossary and status.


def test_the_glossary_is_in_order_and_leads_to_pages() -> None:
    terms = re.split(r'^## ', read('docs/glossary.md'), flags=re.M)[1:]
    names = [term.splitlines()[0].casefold() for term in terms]
    assert len(names) > 30
    assert names == sorted(names)
    assert not [name for name, term in zip(names, terms, strict=True) if '](' not in term]


def test_rows_of_the_status_page_have_a_state_that_it_explains() -> None:
    page = read('docs/status.md')
    states = set(re.findall(r'^\| \*\*(.+?)\*\* \|', page, re.M))
    assert states == {'measured', 'tested', 'tried', 'never run'}
    rows = re.findall(r'^\| ([^*|][^|]*) \| \*\*(.+?)\*\* \|', page, re.M)
    assert len(rows) > 40
    assert {state for _, state in rows} == states


def test_the_status_page_names_every_converter() -> None:
    names = {name for name in re.findall(r'tools/convert_dataset\.py (\S+) ', read('docs/data.md')) if name[0] != '$'}
    assert len(names) > 15
    page = read('docs/status.md').lower().replace('paco-lvis', 'paco').replace('label studio', 'label_studio')
    written = {re.sub('[-_]', '', word) for word in re.findall(r'[\w+-]+', page)}
    assert {name.replace('_', '') for name in (*names, 'yolo', 'cvat', 'label_studio')} <= written


# Results.


def test_the_results_page_is_made_of_its_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    import make_results
    assert read('docs/results.md') == make_results.make_page(), 'run python docs/make_results.py'
    models = yaml.safe_load(read('configs/metafile.yml'))['Models']
    # A model is in the table of the measured ones only where the index has a result.
    shown, waiting = read('docs/results.md').split(f'{make_results.MEASURED}:\n')[1].split(f'{make_results.NOT_YET}:\n')
    for model in models:
        line = f"| `{model['Config'].removeprefix('configs/')}` |"
        assert (line in shown, line in waiting) == ('Results' in model, 'Results' not in model)


def test_the_parameters_of_the_index_are_those_of_the_models() -> None:
    models = {model['Config']: model['Metadata'].get('Parameters')
              for model in yaml.safe_load(read('configs/metafile.yml'))['Models']}
    for config in ('configs/cris_r50_partimagenet.py', 'configs/cris_tiny_toyparts.py',
                   'configs/absent/cris_r50_absent_partimagenet.py'):
        with DefaultScope.overwrite_default_scope('mmpartref'), torch.device('meta'):
            model = MODELS.build(Config.fromfile(CHECKOUT / config).model)
        assert sum(each.numel() for each in model.parameters()) == models[config], config


# The task in pictures.

@pytest.fixture(scope='module')
def figures() -> ModuleType:
    sys.path.insert(0, str(DOCS))
    try:
        import draw_figures
    finally:
        sys.path.remove(str(DOCS))
    return draw_figures


@pytest.mark.slow
def test_means_of_the_task_page(figures: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    page = read('docs/task.md')
    # The examples are in the first 12 scenes, which do not depend on how many follow.
    monkeypatch.setattr(figures, 'SCENES', 12)
    street, others = figures.choose(figures.load_scenes())
    _, summary = figures.means(figures.mean_examples([street, *others]))
    for name, value in summary.items():
        printed = re.search(rf'^\| `{name}` \|.*\| ([\d.]+) \|$', page, re.M)
        # Three digits, of masks that are drawn with floating-point numbers.
        assert float(printed[1]) == pytest.approx(value, abs=0.002)


def test_altering_moves_grows_and_shrinks(figures: ModuleType) -> None:
    mask = np.zeros((20, 30), dtype=bool)
    mask[5:10, 5:15] = True
    assert (figures.alter(mask, right=3, down=2)[7:12, 8:18]).all()
    assert figures.alter(mask, right=3, down=2).sum() == mask.sum()
    assert figures.alter(mask, grow=-1).sum() < mask.sum() < figures.alter(mask, grow=1).sum()


# A custom dataset.

def test_minimal_json_is_read_and_minimal(tmp_path: Path) -> None:
    document = json.loads(blocks(read('docs/own_dataset.md'), 'json')[0])
    path = tmp_path / 'train.json'

    def expressions(changed: dict) -> list[str]:
        path.write_text(json.dumps(changed), encoding='utf-8')
        dataset = PartReferDataset(ann_file=str(path), pipeline=[])
        return [ref['expressions'][0] for ref in dataset.get_data_info(0)['refs']]

    assert expressions(document) == ['lamp shade', 'lamp stem']
    for section, keys in (('images', ('id', 'file_name', 'height', 'width')), ('categories', ('id', 'name')),
                          ('annotations', ('id', 'image_id', 'category_id', 'segmentation'))):
        for key in keys:
            broken = json.loads(json.dumps(document))
            del broken[section][0][key]
            with pytest.raises(ValueError, match=f"the key '{key}' is missing"):
                expressions(broken)
    # Keys that CRIS does not need.
    for annotation in document['annotations']:
        for key in ('iscrowd', 'area', 'bbox'):
            del annotation[key]
    assert expressions(document) == ['lamp shade', 'lamp stem']


# The Dockerfile.

@pytest.fixture(scope='module')
def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions with their arguments, comments and line ends taken out."""
    lines = [line for line in DOCKERFILE.read_text(encoding='utf-8').splitlines() if not line.startswith('#')]
    joined = re.sub(r'\\\n', ' ', '\n'.join(lines))
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


@pytest.fixture(scope='module')
def setup() -> configparser.ConfigParser:
    parsed = configparser.ConfigParser()
    parsed.read(CHECKOUT / 'setup.cfg')
    return parsed


def copied(instructions: list[tuple[str, str]]) -> set[str]:
    return {source for name, words in instructions if name == 'COPY' for source in words.split()[:-1]}


def test_copied_files_exist_and_suffice(instructions: list, setup: configparser.ConfigParser) -> None:
    sources = copied(instructions)
    assert all((CHECKOUT / source).exists() for source in sources)
    needed = {'setup.cfg', 'pyproject.toml', *setup['metadata']['license_files'].split(),
              setup['metadata']['long_description'].removeprefix('file: ')}
    # The links by which mim finds configs and tools.
    needed |= {path.resolve().relative_to(CHECKOUT).parts[0] for path in (CHECKOUT / 'mmpartref/.mim').iterdir()}
    assert needed <= sources
    ignored = (DOCKERFILE.with_name('Dockerfile.dockerignore')).read_text(encoding='utf-8').split()
    assert {line[1:] for line in ignored if line.startswith('!')} == sources


def test_versions_and_extras_are_those_of_the_project(instructions: list, setup: configparser.ConfigParser) -> None:
    arguments = dict(words.split('=', maxsplit=1) for name, words in instructions if name == 'ARG' and '=' in words)
    extras = setup['options.extras_require']
    assert arguments['EXTRA'] in extras
    assert f'TORCH ?= {arguments["TORCH"]}' in read('Makefile')
    runs = ' '.join(words for name, words in instructions if name == 'RUN')
    assert re.search(r'"\$EXTRA" = (\w+)', runs)[1] in extras
    pinned = re.findall(r"(?:(?<=')|(?<= ))((?:mmcv|setuptools)[<>=][^' ]+)", runs)
    assert pinned
    assert set(pinned) <= set(extras['all'].split())


def test_commands_are_shell(instructions: list) -> None:
    for name, words in instructions:
        if name == 'RUN':
            assert subprocess.run(['sh', '-n', '-c', words], check=False).returncode == 0, words


def test_documented_build_arguments_exist(instructions: list) -> None:
    declared = {re.match(r'\w+', words)[0] for name, words in instructions if name == 'ARG'}
    used = set(re.findall(r'--build-arg (\w+)=', read('docs/install.md')))
    assert used
    assert used <= declared


def test_install_page_knows_every_extra(setup: configparser.ConfigParser) -> None:
    page = read('docs/install.md')
    assert not [extra for extra in setup['options.extras_require'] if f'`{extra}`' not in page]
