"""What the tools print in the terminal: summary, first loss, next commands that work."""
import os
import re
import runpy
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mmengine.config import Config

from mmpartref.engine.terminal import next_commands
from mmpartref.engine.terminal.next_commands import short_path, tensorboard, tool
from mmpartref.run_log import DETAILS

ROOT = Path(__file__).parents[3]
TOOLS = ROOT / 'tools'
# Lines that mmengine writes before the first iteration.
MANY_LINES = 100


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., list[str]]:
    """Run a command line of a tool in a folder, as the shell would; return the lines on the terminal."""
    folder = tmp_path / "a user's folder"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def call(*command: str | Path) -> list[str]:
        monkeypatch.setattr(sys, 'argv', [str(each) for each in command])
        capsys.readouterr()
        with suppress_success():
            runpy.run_path(str(command[0]), run_name='__main__')
        printed = capsys.readouterr()
        assert 'Traceback' not in printed.err
        return printed.out.splitlines()
    return call


@contextmanager
def suppress_success() -> Iterator[None]:
    """Let a tool end with exit code 0."""
    try:
        yield
    except SystemExit as end:
        if end.code:
            raise


def next_of(lines: list[str]) -> list[list[str]]:
    """Return the commands at the end of the output, split as a shell does."""
    start = next(number for number, line in enumerate(lines) if ' - done' in line)
    assert all(line.startswith('  ') for line in lines[start + 1:])
    return [shlex.split(line) for line in lines[start + 1:]]


def is_accepted(command: list[str]) -> bool:
    """Return whether the parser of a tool accepts a command line."""
    parse = runpy.run_path(command[1], run_name='parsed')['parse_args']
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'argv', command[1:])
        parse()  # ends the program otherwise
    return True


def value_of(lines: list[str], name: str) -> str:
    """Return the text of a line of the summary."""
    return next(line.split(maxsplit=1)[1] if ' ' not in name else line.partition(name)[2].strip()
                for line in lines if line.startswith(f'  {name} '))


@pytest.mark.slow
def test_a_training_a_test_and_an_inference_lead_to_one_another(run, tiny_config, odd_toyparts, tmp_path):
    config = tiny_config("visualizer = dict(vis_backends=[dict(type='LocalVisBackend'), "
                         "dict(type='TensorboardVisBackend')])")
    lines = run(TOOLS / 'train.py', config, '--data-root', odd_toyparts, '--work-dir', 'my run', '--seed', '3')
    assert len(lines) < MANY_LINES
    first_loss = next(number for number, line in enumerate(lines) if 'iteration 1 of ' in line)
    assert first_loss < 18
    assert [line.split('  ')[1] for line in lines if re.match(r'  \w', line)][:11] == [
        'config', 'model', 'train', 'val', 'batch', 'length', 'optimiser', 'seed', 'start', 'work dir', 'log']
    assert value_of(lines, 'config') == str(config)
    assert value_of(lines, 'model').startswith('ReferringSegmentor (CLIPResNet, CLIPTextEncoder), 1.')
    assert value_of(lines, 'train').startswith('5 images, ')
    assert value_of(lines, 'train').endswith(f' expressions: {odd_toyparts}/annotations/train/train.json')
    assert value_of(lines, 'val').startswith('3 images, ')
    assert value_of(lines, 'batch') == 'about 6 expressions, 0 workers'
    assert value_of(lines, 'length').endswith(', validation every epoch')
    assert value_of(lines, 'optimiser') == 'AdamW, learning rate 0.002, OneCycleLR'
    assert value_of(lines, 'seed').startswith('3; device: ')
    assert value_of(lines, 'start') == 'new, from random weights'
    assert value_of(lines, 'work dir') == 'my run'
    text = ''.join(lines)
    assert not [each for each in DETAILS if each.strip() in text]
    log = Path(value_of(lines, 'log').partition(', with')[0]).read_text(encoding='utf-8')
    whole = log
    assert log.count('\n') > 2 * len(lines)
    assert '5 in the json' in log
    assert all(line.rpartition(' - ')[2] in log for line in lines if 'Epoch(val)' not in line)

    test, infer, curves = next_of(lines)
    assert curves[-2:] == ['--logdir', 'my run']
    assert is_accepted(test)
    assert is_accepted(infer)
    lines = run(*test[1:])
    assert len(lines) < MANY_LINES
    assert value_of(lines, 'weights') == test[3]
    assert value_of(lines, 'test').startswith('3 images, ')
    assert any('choices: ' in line for line in lines)
    assert any('done; predictions in my run/predictions.json; next:' in line for line in lines)
    whole += Path(value_of(lines, 'log').partition(', with')[0]).read_text(encoding='utf-8')
    evaluate, gallery = next_of(lines)
    assert any('per expression' in line for line in run(*evaluate[1:]))
    run(*gallery[1:])
    assert Path('my run/test/gallery/index.html').is_file()

    lines = run(*infer[1:])
    assert lines[-1] == 'masks and overlays of 1 image -> outputs'
    assert len(list(Path('outputs').glob('*.png'))) == 2

    # Without a dump the next command writes it; with overlays their folder is named.
    lines = run(TOOLS / 'test.py', test[2], test[3], '--show-dir', 'overlays')
    assert any('done; overlays in overlays; next:' in line for line in lines)
    (again, ) = next_of(lines)
    assert again[4:] == ['--dump', 'my run/test/predictions.json']
    assert is_accepted(again)

    lines = run(TOOLS / 'train.py', test[2], '--resume', '--cfg-options', 'train_cfg.max_epochs=2',
                'train_dataloader.persistent_workers=True', 'test_dataloader.dataset.ann_file=missing.json')
    assert value_of(lines, 'start').startswith('resumed from my run/epoch_1.pth after 1 epoch, ')
    log = Path(value_of(lines, 'log').partition(', with')[0]).read_text(encoding='utf-8')
    assert 'persistent_workers=True is for loading processes' in log  # logged before the file exists
    test = next_of(lines)[0]
    assert test[4:6] == ['--split', 'val']
    assert is_accepted(test)
    # mmengine still begins its messages so.
    assert [each for each in DETAILS if each not in whole + log] == []


def test_a_config_that_several_processes_have_written_is_tested_by_one(tmp_path):
    class Run:
        cfg = Config({'launcher': 'pytorch'})
    assert next_commands.without_launcher(Run()) == ['--launcher', 'none']
    Run.cfg = Config({'launcher': 'none'})
    assert next_commands.without_launcher(Run()) == []


def test_scripts_are_named_as_the_shell_finds_them(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, 'argv', ['mmpartref/.mim/tools/train.py'])
    folder = os.path.dirname(sys.executable)
    monkeypatch.setattr(next_commands.shutil, 'which', {'python': f'{folder}/python'}.get)
    assert tool('test') == ['python', 'tools/test.py']
    assert tensorboard() == ['python', '-m', 'tensorboard.main']
    monkeypatch.setattr(next_commands.shutil, 'which', '/somewhere/bin/{}'.format)
    assert tool('test') == [short_path(sys.executable), 'tools/test.py']
    monkeypatch.setattr(sys, 'argv', ['/env/lib/site-packages/mmpartref/.mim/tools/train.py'])
    assert tool('test')[1] == '/env/lib/site-packages/mmpartref/.mim/tools/test.py'
    monkeypatch.setattr(next_commands.shutil, 'which', f'{folder}/{{}}'.format)
    assert tool('test') == ['mim', 'run', 'mmpartref', 'test']
    assert tensorboard() == ['tensorboard']


def test_paths_are_relative_within_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert short_path(str(tmp_path / 'run/a.pth')) == 'run/a.pth'
    assert short_path(str(tmp_path / '-run')) == './-run'
    assert short_path(str(tmp_path.parent / 'other')) == str(tmp_path.parent / 'other')
    assert short_path('https://example.org/a.pth') == 'https://example.org/a.pth'
