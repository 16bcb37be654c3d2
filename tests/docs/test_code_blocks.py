"""Run every code block of the README and the documentation, or check it where doc_rules.py gives a reason."""
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from doc_commands import PROGRAMS, Page
from doc_pages import Block, read_blocks
from doc_shell import run_page
from doc_tools import ROOT
from doc_world import make_world

# Trains and tests small models with the tools, and reads mim's and mmdet's own commands and models.
pytestmark = [pytest.mark.e2e, pytest.mark.full_mmcv]

PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted((ROOT / 'docs').glob('*.md'))]


@pytest.fixture(scope='module')
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield make_world(tmp_path_factory.mktemp('world'))
    gc.unfreeze()


def carry_out(name: str, blocks: list[Block], world: Path, tmp_path: Path) -> list[str]:
    """Run a page in a separate folder; return its failures."""
    # mmengine collects garbage whenever it reads a dataset: not among all that has been imported so far.
    gc.freeze()
    page = Page(name, blocks, world, tmp_path / 'here')
    scratch = tmp_path / 'shell'
    scratch.mkdir()
    errors = run_page(blocks, page.world, PROGRAMS, scratch, page.handle)
    return page.failures + [f'{name}: {line}' for line in errors.splitlines()]


@pytest.mark.parametrize('path', PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_page(path: Path, world: Path, tmp_path: Path) -> None:
    failures = carry_out(path.relative_to(ROOT).as_posix(), read_blocks(path), world, tmp_path)
    assert not failures, '\n'.join(failures)


GOOD = """```bash
DIR=images    # a comment
python tools/infer.py IMAGE "car tire" \\
    --config CONFIG --checkpoint CHECKPOINT --json found.json && cd $DIR
```

```python
import json
with open('../found.json') as file:
    found = json.load(file)
```

```json
{"a": 1}
```

```text
anything
```
"""


def carry_out_text(text: str, world: Path, tmp_path: Path) -> list[str]:
    page = tmp_path / 'page.md'
    page.write_text(text, encoding='utf-8')
    return carry_out('page.md', read_blocks(page), world, tmp_path)


def test_commands_are_run_and_code_sees_their_files(world: Path, tmp_path: Path) -> None:
    failures = carry_out_text(GOOD, world, tmp_path)
    assert failures == []
    assert (tmp_path / 'here/found.json').is_file()


WRONG = [
    # A block, the line in it that is wrong, and words of the message. bash ends at the last one.
    ('```bash\npython tools/infer.py IMAGE "car tire" \\\n    --config CONFIG --chekpoint CHECKPOINT\n```', 2,
     '--chekpoint'),
    ('```bash\n\npython tools/train.py configs/cris_r50_partimagenet.py --resum x y\n```', 3, 'unrecognized arguments'),
    ('```bash\npython tools/train.py configs/cris_r50_partimagenet.py --cfg-options train_cfg.epochs=1\n```', 2,
     "'epochs' is not a key"),
    ('```bash\npython tools/train.py configs/cris_r51_partimagenet.py\n```', 2, 'does not exist'),
    ('```bash\ntools/dist_train.sh configs/cris_r50_partimagenet.py 8 --amped\n```', 2, '--amped'),
    ('```bash\nmim train mmpartref configs/cris_r50_partimagenet.py --data-rot DATA\n```', 2, '--data-rot'),
    ('```bash\nmim tran mmpartref configs/cris_r50_partimagenet.py\n```', 2, 'mim tran'),
    ("```bash\npip install '.[criss]'\n```", 2, 'no extra criss'),
    ('```bash\npip install mmcv==2.2.0\n```', 2, 'setup.cfg requires mmcv'),
    ('```bash\npip install --no-bild torch\n```', 2, '--no-bild'),
    ('```bash\nmake everything\n```', 2, 'everything'),
    ('```bash\nMMPARTREF_WEIGTHS_DIR=x make test\n```', 2, 'MMPARTREF_WEIGTHS_DIR'),
    ('```bash\nconda install mmpartref\n```', 2, 'conda'),
    ('```bash\npython -m mmpartref.demo --prt 80\n```', 2, '--prt'),
    ('```python\nx = 1\n\nmmpartref\n```', 4, 'NameError'),
    ('```python\nx = (1, 2\n```', 2, 'never closed'),
    ("```python\n_base_ = './cris_r50_partimagenet.py'\nmodel = dict(neck=dict(in_channels=(1, 2, 3)))\n```", 1,
     'channels'),
    ('```json\n{"a": 1,}\n```', 1, 'not json'),
    ('```\nno language\n```', 1, 'no language'),
    ('```perl\n```', 1, 'perl'),
    ('    indented\n', 1, 'no language'),
    ('```bash\nmake test\necho $NOWHERE\n```', 3, 'NOWHERE'),
]


def test_faults_are_named_with_their_line(world: Path, tmp_path: Path) -> None:
    text = ''
    expected = []
    for block, line, words in WRONG:
        expected.append((text.count('\n') + line, words))
        text += f'{block}\n\n'
    failures = carry_out_text(text, world, tmp_path)
    assert len(failures) == len(expected), '\n'.join(failures)
    for failure, (line, words) in zip(failures, expected, strict=True):
        assert failure.startswith((f'page.md:{line}: ', f'page.md: bash: line {line}: ')), failure
        assert words in failure
