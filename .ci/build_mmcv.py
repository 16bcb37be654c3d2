#!/usr/bin/env python
"""Install mmcv with its compiled operations, from a wheel where pip finds one, else compiled in a few large files.

Each of mmcv's 77 C++ files includes all of torch's headers, which takes most of the compiler's time. Compiled as a few
files that include the others, the headers are read a few times only. The operations are the same.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

SOURCES = 'mmcv/ops/csrc/pytorch'
# Of what one C++ file defines and no other sees: structs and templates.
LOCAL_NAME = re.compile(r'^(?:struct (\w+)|template\s*<[^>]*>\s*(?:[\w:<>*&]+\s+)*?\**&?(?=\w+\s*\()(\w+))',
                        re.MULTILINE)
MACRO = re.compile(r'^#define (\w+)', re.MULTILINE)
PIP = (sys.executable, '-m', 'pip')


@dataclass
class Group:
    """A C++ file to be: its lines, their names and the size of what they include."""
    lines: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    size: int = 0


def group_sources(root: Path, number: int) -> list[Path]:
    """Replace the C++ files of mmcv's operations by a few files that include them.

    Args:
        root: mmcv's unpacked source.
        number: of files at least, of about the same size; more where several files define the same name.

    Returns:
        the new files.
    """
    folder = root / SOURCES
    sources = sorted([*folder.glob('*.cpp'), *folder.glob('cpu/*.cpp')], key=lambda path: -path.stat().st_size)
    if not sources:
        raise SystemExit(f'{root} has no {SOURCES}/*.cpp; is it the source of mmcv 2.1?')
    groups = [Group() for _ in range(number)]
    for source in sources:
        text = source.read_text(encoding='utf-8')
        names = {name for found in LOCAL_NAME.findall(text) for name in found if name}
        free = [group for group in groups if not names & group.names]
        if not free:
            groups.append(Group())
        smallest = min(free or groups[-1:], key=lambda group: group.size)
        smallest.size += len(text)
        smallest.names |= names
        # setup.py compiles every *.cpp of the folders.
        included = source.rename(source.with_suffix('.inc'))
        smallest.lines.append(f'#include "{included.relative_to(folder).as_posix()}"')
        # Macros of one file, `min` among them, would change the next.
        smallest.lines += [f'#undef {name}' for name in MACRO.findall(text)]
    written = []
    for index, group in enumerate(groups):
        written.append(folder / f'group_{index}.cpp')
        written[-1].write_text('\n'.join(group.lines) + '\n', encoding='utf-8')
    return written


def compile_wheel(requirement: str, wheels: Path, jobs: int, groups: int) -> Path:
    """Compile mmcv's source archive into a wheel.

    Args:
        requirement: for example ``mmcv==2.1.0``.
        wheels: folder for the wheel.
        jobs: compilers that run at the same time, 2 GiB of memory each.
        groups: number of C++ files.
    """
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*PIP, 'download', '-q', '--no-deps', '--no-build-isolation', '--no-binary', 'mmcv',
                        '-d', folder, requirement], check=True)
        archive = next(Path(folder).glob('mmcv-*.tar.gz'))
        subprocess.run(['tar', '-xf', archive, '-C', folder], check=True)
        root = archive.with_name(archive.name.removesuffix('.tar.gz'))
        group_sources(root, groups)
        environment = {'CFLAGS': '-g0 -O1', **os.environ, 'MAX_JOBS': str(jobs), 'MMCV_WITH_OPS': '1'}
        subprocess.run([*PIP, 'wheel', '-q', '--no-deps', '--no-build-isolation', '-w', wheels, root], check=True,
                       env=environment)
    # The folder may have wheels of another Python.
    return max(wheels.glob('mmcv-*.whl'), key=lambda path: path.stat().st_mtime)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('requirement', nargs='?', default='mmcv==2.1.0')
    parser.add_argument('--wheels', type=Path, required=True, help='folder for the compiled wheel')
    parser.add_argument('--jobs', type=int, default=2, help='compilers that run at the same time, 2 GiB of memory each')
    parser.add_argument('--groups', type=int, help='number of C++ files; default: as many as jobs')
    args = parser.parse_args(argv)
    if min(args.jobs, args.groups if args.groups is not None else args.jobs) < 1:
        parser.error('--jobs and --groups should be at least 1')
    install = (*PIP, 'install', '-q', '--no-build-isolation')
    found = subprocess.run([*install, '--only-binary', 'mmcv', '--find-links', args.wheels, args.requirement],
                           check=False, capture_output=True)
    if found.returncode:
        print(f'compiling {args.requirement}', flush=True)
        start = time.monotonic()
        wheel = compile_wheel(args.requirement, args.wheels.resolve(), args.jobs, args.groups or args.jobs)
        print(f'compiled {wheel.name} in {time.monotonic() - start:.0f} s', flush=True)
        subprocess.run([*install, wheel], check=True)
    # A build that lacked something can succeed without the operations.
    subprocess.run([sys.executable, '-c', 'import mmcv.ops'], check=True)


if __name__ == '__main__':
    main()
