"""Run a page's commands and code, or check them without running."""
import ast
import importlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from doc_code import is_config, run_code
from doc_configs import check_config
from doc_packages import check_requirement
from doc_pages import Block
from doc_rules import (
    CHECKED_MODULES,
    CHECKED_PROGRAMS,
    CHECKED_TOOLS,
    EXIT_CODES,
    FEW_IMAGES,
    NOT_CODE,
    OTHER_VARIABLES,
    PAGE_DUMPS,
    PAGE_PLACEHOLDERS,
    PLACEHOLDERS,
    RUN_TOOLS,
    SMALL_CONFIGS,
)
from doc_shell import OTHER_BLOCK, UNKNOWN, Command, CommandResult
from doc_tools import ROOT, CheckError, at, captured, parse, run_file
from doc_world import copy_world, dump_for

PYTHON = 'python'
PROGRAMS = (PYTHON, 'python3', *CHECKED_PROGRAMS)


class Page:
    """Runs one page and collects its failures, as ``page:line: why``."""

    def __init__(self, name: str, blocks: Sequence[Block], world: Path, folder: Path) -> None:
        self.name, self.blocks = name, blocks
        self.dumps = PAGE_DUMPS.get(name, 'test')
        self.world = copy_world(world, folder, self.dumps)
        self.placeholders = {**PLACEHOLDERS, **PAGE_PLACEHOLDERS.get(name, {})}
        self.namespace: dict[str, Any] = {'__name__': '__main__'}
        self.failures: list[str] = []

    def fail(self, line: int, why: object) -> None:
        self.failures.append(f'{self.name}:{line}: {why}')

    def handle(self, command: Command) -> CommandResult:
        """Run or check a command; record a failure and continue."""
        try:
            if command.program == OTHER_BLOCK:
                self.other_block(self.blocks[int(command.arguments[0])], command)
                return 0, ''
            self.check_variables(command.variables)
            return 0, self.program(command)
        except CheckError as error:
            self.fail(command.line, error)
            return 1, ''

    # Blocks that are not bash's.

    def other_block(self, block: Block, command: Command) -> None:
        if block.language in NOT_CODE:
            return
        if block.language == 'json':
            try:
                json.loads(block.text)
            except ValueError as error:
                raise CheckError(f'not json: {error}') from error
        elif block.language == 'python':
            with at(command.folder, command.variables):
                self.python(block)
        else:
            raise CheckError(f'a block of {block.language or "no"} language: not listed in doc_rules.py')

    def python(self, block: Block) -> None:
        """Run code in the page's namespace; read a config as one."""
        where = str(ROOT / self.name)
        try:
            tree = ast.increment_lineno(ast.parse(block.text, where), block.line)
        except SyntaxError as error:
            self.fail(block.line + (error.lineno or 1), error.msg)
            return
        if is_config(tree):
            self.config(block)
            return
        status, output, error = captured(lambda: run_code(tree, where, self.namespace))
        if error is not None:
            line = max((frame.lineno or 0 for frame in error.frames if frame.filename == where), default=block.line)
            self.fail(line, error)
        elif status:
            self.fail(block.line, f'ends with {status}: {output.strip()[-200:]}')

    def config(self, block: Block) -> None:
        """Write a config to the path in its first line, or into configs/, and check it."""
        named = re.match(r'# (\S+\.py)\n', block.text)
        path = Path(named[1]) if named else Path('configs') / f'documented_{block.line}.py'
        path.write_text(block.text, encoding='utf-8')
        check_config(path)

    # Programs.

    def check_variables(self, variables: dict[str, str]) -> None:
        for name in variables:
            if name not in OTHER_VARIABLES and not occurs_in_sources(name):
                raise CheckError(f'nothing reads the environment variable {name}')

    def program(self, command: Command) -> str:
        program = 'python' if command.program == 'python3' else command.program.replace('-', '_')
        method: Callable[[Command], str | None] | None = getattr(self, f'run_{program}', None)
        if method is None:
            what = command.arguments[0] if command.program == UNKNOWN else command.program
            raise CheckError(f'{what}: not listed in doc_rules.py')
        with at(command.folder, command.variables):
            return method(command) or ''

    def run_python(self, command: Command) -> str:
        first, *rest = command.arguments
        if first == '-m':
            return self.module(rest[0], rest[1:], command)
        if first == '-c':
            tree = ast.parse(rest[0])
            _, output, error = captured(lambda: run_code(tree, '<string>', {'__name__': '__main__'}))
            if error is not None:
                raise CheckError(error)
            return output
        path = Path(first)
        if path.parent == Path('tools') or (command.folder / path).parent == self.world / 'tools':
            return self.tool(path.stem, rest)
        if not path.is_file():
            raise CheckError(f'{first} does not exist')
        return run_file(path, rest)

    def module(self, name: str, arguments: list[str], command: Command) -> str:
        if name not in CHECKED_MODULES:
            raise CheckError(f'python -m {name}: not listed in doc_rules.py')
        if name == 'torch.distributed.run':
            from torch.distributed.run import get_args_parser
            status, output, args = captured(lambda: get_args_parser().parse_args(arguments))
            if status:
                raise CheckError(output.strip().splitlines()[-1])
            self.tool(Path(args.training_script).stem, args.training_script_args, run=False)
        elif name == 'mmpartref.demo':
            from mmpartref.demo.__main__ import check_arguments, parse_args
            status, output, args = captured(lambda: parse_args(self.fill(arguments)))
            if status:
                raise CheckError(output.strip().splitlines()[-1])
            try:
                check_arguments(args)
            except (ValueError, OSError) as error:
                raise CheckError(error) from error
        elif name == 'mmpartref.labelling':
            from mmpartref.labelling.__main__ import parse_args as parse_backend
            status, output, _ = captured(lambda: parse_backend(self.fill(arguments)))
            if status:
                raise CheckError(output.strip().splitlines()[-1])
        elif name == 'pytest':
            for each in arguments:
                if not each.startswith('-') and not (ROOT / each.split('::')[0]).exists():
                    raise CheckError(f'{each} does not exist')
        elif name == 'venv':
            activate = Path(arguments[-1]) / 'bin/activate'
            activate.parent.mkdir(parents=True, exist_ok=True)
            activate.touch()
        return ''

    def fill(self, words: Sequence[str]) -> list[str]:
        """Replace placeholders by files of the world; CHECKPOINT is that of the config in the same command."""
        filled = [word if word == 'CHECKPOINT' else self.placeholders.get(word, word) for word in words]
        config = next((Path(word).stem for word in filled if Path(word).name in SMALL_CONFIGS),
                      Path(self.placeholders['CONFIG']).stem)
        if not (self.world / self.placeholders['CHECKPOINT'].format(config=config)).exists():
            config = Path(PLACEHOLDERS['CONFIG']).stem
        return [self.placeholders['CHECKPOINT'].format(config=config) if word == 'CHECKPOINT' else word
                for word in filled]

    def tool(self, name: str, words: Sequence[str], run: bool = True) -> str:
        """Parse and check a command of tools/, and run it if doc_rules.py lists it as run."""
        if name not in RUN_TOOLS and name not in CHECKED_TOOLS:
            raise CheckError(f'tools/{name}.py: not listed in doc_rules.py')
        words = self.fill(words)
        args = parse(name, words)
        small = True
        if getattr(args, 'config', None):
            small = Path(args.config).name in SMALL_CONFIGS
            if not (small and run and name in RUN_TOOLS):
                check_config(args.config, getattr(args, 'cfg_options', None), getattr(args, 'data_root', None))
        if not run or name in CHECKED_TOOLS or not small:
            self.stand_in(args)
            return ''
        output = run_file(ROOT / 'tools' / f'{name}.py', [*words, *shorter(name, args)], EXIT_CODES.get(name, (0, )))
        if name == 'train':
            name_checkpoints(args)
        return output

    def stand_in(self, args: Any) -> None:
        """Copy a small model's dump to the path where a command that is only checked would write one."""
        target = getattr(args, 'dump', None)
        if isinstance(target, str) and not Path(target).exists():
            shutil.copy(dump_for(self.world, Path(target).name, self.dumps), target)

    def run_torchrun(self, command: Command) -> str:
        return self.module('torch.distributed.run', command.arguments, command)

    def run_mim(self, command: Command) -> None:
        """Parse with mim's parser, and check the command that it would start."""
        kind, *words = command.arguments
        if kind not in ('train', 'test'):
            raise CheckError(f'mim {kind}: doc_commands.py supports train and test')
        try:
            context = importlib.import_module(f'mim.commands.{kind}').cli.make_context(kind, self.fill(words))
        except Exception as error:
            raise CheckError(f'mim {kind}: {getattr(error, "message", error)}') from error
        given = context.params
        if given['package'] != 'mmpartref':
            raise CheckError(f"mim {kind} {given['package']}: this package is mmpartref")
        checkpoint = [given['checkpoint']] if kind == 'test' else []
        started = [given['config'], *checkpoint, '--launcher', given['launcher'], *given['other_args']]
        self.tool(kind, started, run=False)

    def run_make(self, command: Command) -> None:
        done = subprocess.run([shutil.which('make') or 'make', '-n', '-C', str(ROOT), *command.arguments],
                              capture_output=True, text=True, check=False)
        if done.returncode:
            raise CheckError(done.stderr.strip())

    def run_pip(self, command: Command) -> None:
        """Parse as pip does; extras are setup.cfg's, versions agree with it."""
        from pip._internal.commands import create_command
        name, *words = command.arguments
        try:
            status, output, parsed = captured(lambda: create_command(name).parser.parse_args(words))
        except Exception as error:
            raise CheckError(f'pip {name}: {error}') from error
        if status:
            raise CheckError(output.strip().splitlines()[-1])
        options, requirements = parsed
        for each in [*requirements, *getattr(options, 'editables', [])]:
            check_requirement(each)

    def run_git(self, command: Command) -> None:
        if command.arguments[0] != 'clone':
            raise CheckError(f'git {command.arguments[0]}: doc_commands.py supports clone')

    def run_pre_commit(self, command: Command) -> None:
        if command.arguments != ['install']:
            raise CheckError('doc_commands.py supports pre-commit install')


def shorter(name: str, args: Any) -> list[str]:
    """Return the arguments that make a run of the tool short."""
    added = list(RUN_TOOLS[name])
    if added and getattr(args, 'config', None):
        added += FEW_IMAGES.get(Path(args.config).name, ())
    # Indices of a command exceed the small dataset.
    added += [f'{key}=3' for key in getattr(args, 'cfg_options', None) or {} if key.endswith('.indices')]
    return added


def name_checkpoints(args: Any) -> None:
    """Give the checkpoints of a shortened training the names they would have."""
    from mmpartref.engine.launch.build_runner import load_config
    cfg = load_config(args.config, args.cfg_options, work_dir=args.work_dir)
    last = cfg.train_cfg.max_epochs
    for path in Path(cfg.work_dir).glob('*epoch_1.pth'):
        path.replace(path.with_name(path.name.replace('epoch_1.pth', f'epoch_{last}.pth')))


def occurs_in_sources(variable: str) -> bool:
    """Return whether the package, its tools or the Makefile read a variable."""
    files = [ROOT / 'Makefile', *(path for folder in ('mmpartref', 'tools') for path in (ROOT / folder).rglob('*.*')
                                  if path.suffix in ('.py', '.sh'))]
    return any(re.search(rf'\b{variable}\b', path.read_text(encoding='utf-8')) for path in files)
