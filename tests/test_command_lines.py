"""Every argument of every script with wrong values: one sentence, exit code 1 or 2, untouched files."""
import argparse
import contextlib
import hashlib
import importlib.util
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest

from mmpartref import arguments
from mmpartref.arguments import ToolParser
from mmpartref.engine.config.options_action import OptionsAction

ROOT = Path(__file__).parents[1]
TOOLS = ROOT / 'tools'
CONFIG = str(ROOT / 'configs/cris_tiny_toyparts.py')
# A valid command line of each script but for the content of its files, which are those of `world`.
COMMANDS = {
    'benchmark': [CONFIG], 'benchmark_index': [], 'benchmark_loader': [CONFIG], 'browse_dataset': [CONFIG],
    'calibrate_presence': ['dump.json'],
    'publish_model': ['file', 'new'],
    'compare': ['dump.json'], 'convert_clip': ['file', 'new.pth'], 'convert_cris': ['file', 'new.pth'],
    'convert_dataset refcoco': ['refs.p', 'instances.json', '--out', 'new'],
    'convert_dataset refcoco+': ['refs.p', 'instances.json', '--out', 'new'],
    'convert_dataset refcocog': ['refs.p', 'instances.json', '--out', 'new'],
    'convert_dataset grefcoco': ['refs.p', 'instances.json', '--out', 'new'],
    'convert_dataset pascal_part': ['folder', '--out', 'new'],
    'convert_dataset paco': ['instances.json', '--out', 'new'],
    'convert_dataset coco': ['instances.json', '--out', 'new'],
    'convert_dataset labelme': ['folder', '--out', 'new'], 'convert_dataset yolo': ['folder', '--out', 'new'],
    'convert_dataset cvat': ['instances.json', '--out', 'new'],
    'convert_dataset label_studio': ['instances.json', '--out', 'new'],
    'convert_dataset objects365': ['instances.json', '--out', 'new'],
    'convert_dataset pascal_part_116': ['folder', '--out', 'new'],
    'convert_dataset ade20k_part_234': ['folder', '--out', 'new'], 'convert_dataset spin': ['folder', '--out', 'new'],
    'convert_dataset refcocom': ['folder', '--out', 'new'],
    'convert_dataset instructpart': ['folder', '--out', 'new'],
    'convert_dataset mmr': ['instances.json', '--out', 'new'],
    'convert_dataset gseval': ['instances.json', '--out', 'new'],
    'dataset_doctor': ['folder'], 'diagnose': ['dump.json'],
    'evaluate': ['dump.json'], 'export': [CONFIG, 'file', 'new.onnx'],
    'export_queries': [CONFIG, 'new.json'], 'gallery': ['dump.json', '--out', 'new'],
    'infer': ['image.png', 'car body', '--config', CONFIG, '--checkpoint', 'file'],
    'join_levels': ['--parts', 'instances.json', '--out', 'new.json'], 'make_toyparts': ['new'],
    'merge_shards': ['new.json'],
    'print_config': [CONFIG],
    'reference_points': [CONFIG, 'ceiling', '--dump', 'new.json'], 'test': [CONFIG, 'file'], 'train': [CONFIG],
}
NUMBERS = ['x', '', ' ', 'nan', '-1', '1e400']
WRONG = {
    arguments.positive_int: [*NUMBERS, '0', '1.5', 'inf'], arguments.natural: [*NUMBERS, '1.5', 'inf'],
    arguments.seed: [*NUMBERS, '1.5', '4294967296'], arguments.fraction: [*NUMBERS, '2', 'inf', '1.0001'],
    arguments.pixels: [*NUMBERS, '101', 'inf'],
    arguments.share: ['x', '', '1', '4/4', '-1/4', '1/0', '/', '1/x', '0.5/2'],
    arguments.text_argument: ['', ' '], arguments.input_path: ['', ' ', 'missing/file', 'x' * 5000],
    arguments.output_file: ['', ' ', 'folder', 'folder/', 'file/new', 'link', 'pipe', '{input}', 'x' * 300],
    arguments.output_folder: ['', 'file', 'file/new', 'pipe', 'x' * 300],
}
# By name: arguments without one of these types.
OTHERS = {'device': ['toaster', '', 'cuda:99'], 'expressions': ['', ' ', 'image.png']}


class Parsed(Exception):
    """The parser of a script, instead of its arguments."""


@pytest.fixture(scope='module')
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The working directory, with a file of each kind."""
    folder = tmp_path_factory.mktemp('world')
    (folder / 'folder').mkdir()
    (folder / 'file').write_text('content')
    (folder / 'blocked/image_overlay.png').mkdir(parents=True)
    (folder / 'link').symlink_to('file')
    os.mkfifo(folder / 'pipe')
    (folder / 'image.png').write_bytes(b'content')
    for name in ('dump.json', 'instances.json', 'refs.p'):
        (folder / name).write_text(json.dumps({'content': name}))
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


def state(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ''
            for path in sorted(folder.rglob('*'))}


def load(script: str) -> object:
    spec = importlib.util.spec_from_file_location(f'checked_{script}', TOOLS / f'{script}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(command: str, given: list[str]) -> tuple[int, str]:
    """Run a script's main; return its exit code and what it prints on stderr."""
    script, *kind = command.split()
    module = load(script)
    error = io.StringIO()
    code: object = 0
    with (mock.patch.object(sys, 'argv', [f'{script}.py', *kind, *given]), contextlib.redirect_stderr(error),
          contextlib.redirect_stdout(io.StringIO()), mock.patch.dict(os.environ)):
        try:
            module.main()
        except SystemExit as ended:
            code = ended.code
    return (1, f'{error.getvalue()}{code}') if isinstance(code, str) else (code or 0, error.getvalue())


def actions(command: str) -> list[argparse.Action]:
    """Return the arguments of a script that take a value."""
    script, *kind = command.split()

    def caught(parser: ToolParser, *_: object) -> None:
        raise Parsed(parser)

    with mock.patch.object(ToolParser, 'parse_args', caught), pytest.raises(Parsed) as found:
        load(script).main()
    parser = found.value.args[0]
    if kind:
        parser = next(each for each in parser._actions if isinstance(each.choices, dict)).choices[kind[0]]
    return [each for each in parser._actions if each.nargs != 0 and each.help != argparse.SUPPRESS]


def wrong_values(action: argparse.Action) -> list[str]:
    if action.type in WRONG:
        return WRONG[action.type]
    if isinstance(action, OptionsAction):
        return ['x', '']
    return ['nothing', ''] if action.choices else OTHERS[action.dest]


def with_value(command: str, action: argparse.Action, positionals: list[argparse.Action], value: str) -> list[str]:
    """Return the script's command line with a value in the place of the argument's."""
    given = list(COMMANDS[command])
    count = action.nargs if isinstance(action.nargs, int) else 1
    if not action.option_strings:
        place = positionals.index(action)
        return [*given[:place], value, *given[place + 1:]]
    name = action.option_strings[0]
    if name in given:
        place = given.index(name)
        return [*given[:place + 1], value, *given[place + 2:]]
    return [*given, name, *[value] * count]


@pytest.mark.parametrize('command', COMMANDS)
def test_wrong_values_are_one_sentence_and_change_no_file(command: str, world: Path) -> None:
    before = state(world)
    found = actions(command)
    positionals = [each for each in found if not each.option_strings]
    failed = []
    for action in found:
        for value in wrong_values(action):
            value = value.replace('{input}', next((each for each in COMMANDS[command] if (world / each).is_file()), ''))
            given = with_value(command, action, positionals, value)
            code, printed = run(command, given)
            lines = printed.strip().splitlines()
            usage = lines and lines[0].startswith('usage: ')
            if code not in (1, 2) or 'Traceback' in printed or not lines or not (usage or len(lines) == 1):
                failed.append((action.dest, value[:50], code, printed[-500:]))
            if state(world) != before:
                failed.append((action.dest, value[:50], 'changes files'))
                before = state(world)
    assert not failed


def test_every_script_has_a_command_here() -> None:
    scripts = {path.stem for path in TOOLS.glob('*.py')} - {'build_backend'}
    assert {command.split()[0] for command in COMMANDS} == scripts


@pytest.mark.parametrize(('command', 'options', 'message'), [
    ('evaluate', ['--out', 'new.json'], '--out needs --predictions or --threshold'),
    ('evaluate', ['--metric', 'mIoU'], '--metric needs --sweep'),
    ('evaluate', ['--rule', 'top1'], '--rule needs --predictions, --threshold or'),
    ('evaluate', ['--sweep', '--by-part'], '--by-part needs one threshold'),
    ('evaluate', ['--sweep', '--threshold', '0.5'], '--threshold needs one threshold'),
    ('evaluate', ['--sweep', '--threshold', '0'], '--threshold needs one threshold'),
    ('evaluate', ['--sweep', '--presence-threshold', '0'], '--presence-threshold needs one threshold'),
    ('evaluate', ['--json', '-', '--threshold', '0', '--out', '/dev/stdout'], 'name two files'),
    ('train', ['--seed', '0', '--cfg-options', 'randomness.seed=4'], '--seed and --cfg-options randomness.seed'),
    ('test', ['--work-dir', 'a', '--cfg-options', 'work_dir=b'], '--work-dir and --cfg-options work_dir'),
    ('compare', ['folder/table.csv', '--out', 'folder'], 'is an input in the folder of the outputs'),
    ('gallery', ['--against', 'new/index.html'], 'new/index.html is an input and would be overwritten'),
    ('infer', ['--out-dir', 'new', '--json', 'new'], 'is also an output in new'),
    ('infer', ['--out-dir', 'new', '--json', 'new/image_overlay.png'], 'is also an output in new'),
    ('infer', ['--out-dir', 'blocked'], 'image_overlay.png is a folder, not a plain file'),
    ('benchmark', ['--size', '31'], '--size must be at least 32'), ('benchmark', ['--threads', '2000'], 'at most 1024'),
    ('gallery', ['--title', '\udcff'], 'half a character'), ('compare', ['--names', '\udcff'], 'half a character'),
    ('make_toyparts', ['--size', '100000', '100'], 'at most 8192 pixels'),
    ('evaluate', ['--sweep', '--ceiling', 'dump.json'], '--ceiling needs one threshold'),
    ('evaluate', ['--sweep', '--protocol', 'x'], '--protocol needs one threshold'),
    ('evaluate', ['--fold', 'x'], '--fold needs --protocol'),
    ('evaluate', ['--train-json', 'x'], '--train-json needs --protocol'),
    ('evaluate', ['--json', 'a', '--threshold', '0', '--out', './a'], '--out and --json are both ./a'),
    ('dataset_doctor', ['--json', 'a', '--picture', 'folder/../a'], '--picture and --json are both'),
    ('test', ['--candidates'], '--candidates needs --dump'),
    ('benchmark', ['--only', 'training', '--compile'], '--compile is for --only inference'),
    ('benchmark', ['--only', 'training', '--bf16'], '--bf16 is for --only switches'),
    ('benchmark', ['--only', 'switches', '--train-images', '2'], '--train-images is for --only training'),
    ('benchmark', ['--only', 'training', '--expressions', '3'], '--expressions is for --only inference'),
    ('benchmark', ['--only', 'switches', '--reference', 'folder'], '--reference is for --only'),
    ('benchmark', ['--only', 'inference', '--train-expressions', '2'], '--train-expressions is for --only'),
    ('infer', ['--parse', 'car'], '--parse segments all parts'),
    ('infer', ['--rewording', 'the {}'], '--rewording needs --rank'),
    ('infer', ['--rank', 'new.csv', '--rewording', 'the'], 'should contain {}, once'),
    ('infer', ['--rank', 'new.csv', '--rewording', '{0} {}'], 'should contain {}, once'),
    ('infer', ['--rank', 'new.csv', '--parse', 'car'], '--rank is for expressions'),
    ('infer', ['--instances', 'one'], '--instances needs --format or --json'),
    ('infer', ['--polygons'], '--polygons needs --format or --json'),
    ('infer', ['--format', 'yolo', '--polygons'], '--polygons is for COCO jsons'),
    ('infer', ['--format', 'coco', '--min-area', '5'], '--min-area needs --instances components'),
    ('infer', ['--format', 'coco', '--tolerance', '2'], '--tolerance needs polygons'),
    ('infer', ['--json', 'new.json', '--tolerance', '0'], '--tolerance needs polygons'),
    ('infer', ['--format', 'yolo', '--image-url', 'x'], '--image-url needs --format label-studio'),
    ('infer', ['--format', 'coco', '--out-dir', '.', '--json', 'annotations.json'], 'is also an output in'),
])
def test_an_option_that_would_be_ignored_is_rejected(command: str, options: list[str], message: str,
                                                     world: Path) -> None:
    code, printed = run(command, [*COMMANDS[command], *options])
    assert code in (1, 2)
    assert message in printed


TOOL = '''
from mmpartref.arguments import ToolParser, input_path, output_file
from mmpartref.errors import one_sentence_errors
from mmpartref.files.json_files import write_json

@one_sentence_errors(exit_code=2)
def main():
    parser = ToolParser()
    parser.add_argument('dump', type=input_path)
    parser.add_argument('--json', type=output_file)
    args = parser.parse_args()
    print('table \\u4e00')
    if args.json:
        write_json(args.json, {})

main()
'''


@pytest.fixture
def tool(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess]:
    """Run a tool of one input and one output in a separate process."""
    (tmp_path / 'tool.py').write_text(TOOL)
    (tmp_path / 'dump').write_text('content')

    def run(*given: str, **options: object) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, 'tool.py', 'dump', *given], cwd=tmp_path, text=True, check=False,
                              **{'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, **options})
    return run


def test_devices_are_written_to_and_not_replaced(tool: Callable) -> None:
    done = tool('--json', '/dev/null')
    assert (done.returncode, done.stdout, done.stderr) == (0, 'table 一\n', '')
    assert Path('/dev/null').is_char_device()
    done = tool('--json', '/dev/full')
    assert (done.returncode, done.stdout) == (2, 'table 一\n')
    assert done.stderr == '/dev/full cannot be written (No space left on device); make room on the disk\n'
    assert Path('/dev/full').is_char_device()


@pytest.mark.parametrize('name', ['-', '/dev/stdout', '/dev/fd/1'])
def test_an_output_on_stdout_is_alone_there(name: str, tool: Callable) -> None:
    done = tool('--json', name)
    assert (done.returncode, done.stdout, done.stderr) == (0, '{}\n', 'table 一\n')


def test_an_output_goes_to_an_open_descriptor(tool: Callable) -> None:
    read, write = os.pipe()
    done = tool('--json', f'/dev/fd/{write}', pass_fds=[write])
    os.close(write)
    with os.fdopen(read) as pipe:
        assert (done.returncode, done.stdout, pipe.read()) == (0, 'table 一\n', '{}\n')


def test_a_full_stdout_is_one_sentence(tool: Callable) -> None:
    with Path('/dev/full').open('w') as full:
        done = tool(stdout=full)
    assert (done.returncode, done.stderr) == (
        2, 'stdout cannot be written (No space left on device); make room, or redirect it elsewhere\n')


def test_a_log_line_that_stdout_does_not_take_has_no_traceback(tool: Callable, tmp_path: Path) -> None:
    logging = "from mmengine.logging import MMLogger\nMMLogger.get_current_instance().info('line')\n"
    text = TOOL.replace('    args =', '    ' + logging.strip().replace('\n', '\n    ') + '\n    args =')
    (tmp_path / 'tool.py').write_text(text)
    with Path('/dev/full').open('w') as full:
        done = tool(stdout=full)
    assert (done.returncode, done.stderr.count('Traceback'), done.stderr.count('\n')) == (2, 0, 1)


def test_what_the_encoding_lacks_is_escaped(tool: Callable) -> None:
    done = tool(env={**os.environ, 'PYTHONIOENCODING': 'ascii'})
    assert (done.returncode, done.stdout, done.stderr) == (0, 'table \\u4e00\n', '')


@pytest.mark.parametrize('link', [os.link, os.symlink])
def test_an_output_is_not_an_input_under_another_name(link: Callable, tool: Callable, tmp_path: Path) -> None:
    (tmp_path / 'dump').touch()
    link(tmp_path / 'dump', tmp_path / 'other')
    done = tool('--json', 'other')
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith(
        '--json other is an input (dump) and would be overwritten; name another file' if link is os.link else
        'other is a link, not a plain file, and is not replaced; remove it or name another file')
    assert (tmp_path / 'dump').read_text() == 'content'


def test_an_option_prints_the_traceback_as_well(tool: Callable) -> None:
    for options, count in ([], 0), (['--traceback'], 1):
        done = tool('--json', '/dev/full', *options)
        assert (done.returncode, done.stderr.count('Traceback')) == (2, 2 * count)
        assert done.stderr.endswith('/dev/full cannot be written (No space left on device); make room on the disk\n')
