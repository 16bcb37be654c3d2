"""Run a page's bash blocks in bash, with every program replaced by a stub that sends its command to the test.

bash itself splits, expands, joins lines and pipes. The blocks are at their own lines of the page, so that each command
has its line number.
"""
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from doc_pages import Block
from doc_rules import NATIVE_PROGRAMS

# Carries out a block that is not bash's: `document-block NUMBER`.
OTHER_BLOCK = 'document-block'
UNKNOWN = 'unknown-program'
# Sends line, program, folder, arguments and environment; prints and returns the output and exit status of the test.
STUB = """#!{bash}
{{ printf '%s\\0' "$DOC_LINE" "${{0##*/}}" "$PWD" "$#" "$@"; {env} -0; printf '\\0'; }} >&"$DOC_REQUEST"
read -r status <&"$DOC_REPLY"
{cat} "$DOC_OUTPUT"
exit "$status"
"""
PRELUDE = f"""
unset BASH_ENV
set -u
trap 'export DOC_LINE=$LINENO' DEBUG
command_not_found_handle() {{ {UNKNOWN} "$@"; }}
"""


@dataclass(frozen=True)
class Command:
    """One command as bash would start it.

    Attributes:
        line: of the page, from 1.
        program, arguments: expanded.
        folder: where it is started.
        variables: of the environment, those that the page sets.
    """
    line: int
    program: str
    arguments: list[str]
    folder: Path
    variables: dict[str, str]


CommandResult = tuple[int, str]


def page_script(blocks: Sequence[Block]) -> str:
    """Return bash blocks at their own lines, and a call of ``OTHER_BLOCK`` at the line of every other."""
    lines: list[str] = []
    for number, block in enumerate(blocks):
        lines += [''] * (block.line - 1 - len(lines))
        if block.language == 'bash':
            lines += ['', *block.text.splitlines()]
        else:
            lines.append(f'{OTHER_BLOCK} {number}')
    return '\n'.join(lines) + '\n'


def read_commands(stream: BinaryIO) -> Iterator[list[bytes]]:
    """Yield the message of each stub: line, program, folder, number of arguments, arguments, variables."""
    def text() -> bytes | None:
        found = bytearray()
        while (character := stream.read(1)) != b'\0':
            if not character:
                return None
            found += character
        return bytes(found)

    while (line := text()) is not None:
        fields = [line, text(), text(), text()]
        fields += [text() for _ in range(int(fields[3]))]
        while variable := text():
            fields.append(variable)
        yield fields


def run_page(blocks: Sequence[Block], folder: Path, programs: Sequence[str], scratch: Path,
             handle: Callable[[Command], CommandResult]) -> str:
    """Run a page in ``folder``; ``handle`` gets every command and returns its exit status and output.

    Args:
        blocks: of the page.
        folder: where the page begins.
        programs: names, or paths below ``folder``, of the stubs.
        scratch: another folder, for the script and the stubs.
        handle: called for each command.

    Returns:
        The stderr of bash itself: '' if every line could be parsed.
    """
    binaries = scratch / 'bin'
    binaries.mkdir()
    paths = {name: str(Path(found)) for name in (*NATIVE_PROGRAMS, 'env') if (found := shutil.which(name))}
    for name in NATIVE_PROGRAMS:
        (binaries / name).symlink_to(paths[name])
    for name in (*programs, OTHER_BLOCK, UNKNOWN):
        program = binaries / name
        program.write_text(STUB.format(**paths), encoding='utf-8')
        program.chmod(0o755)
    script, prelude, output = scratch / 'page.sh', scratch / 'prelude.sh', scratch / 'output.txt'
    script.write_text(page_script(blocks), encoding='utf-8')
    prelude.write_text(PRELUDE, encoding='utf-8')
    requests, request_end = os.pipe()
    reply_end, replies = os.pipe()
    before = {'PATH': str(binaries), 'PWD': str(folder), 'HOME': str(scratch), 'BASH_ENV': str(prelude),
              'DOC_REQUEST': str(request_end), 'DOC_REPLY': str(reply_end), 'DOC_OUTPUT': str(output)}
    with (scratch / 'stderr.txt').open('w+', encoding='utf-8') as errors, os.fdopen(requests, 'rb') as stream:
        bash = subprocess.Popen([paths['bash'], str(script)], cwd=folder, env=before, pass_fds=(request_end, reply_end),
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors)
        os.close(request_end)
        os.close(reply_end)
        try:
            for line, program, where, number, *rest in read_commands(stream):
                count = int(number)
                pairs = (each.decode().split('=', maxsplit=1) for each in rest[count:])
                ignored = {'DOC_LINE', 'OLDPWD', 'SHLVL', '_'}
                variables = {key: value for key, value in pairs if key not in ignored and before.get(key) != value
                             and key not in ('PWD', 'BASH_ENV')}
                status, text = handle(Command(int(line), program.decode(), [each.decode() for each in rest[:count]],
                                              Path(where.decode()), variables))
                output.write_text(text, encoding='utf-8')
                os.write(replies, f'{status}\n'.encode())
        finally:
            os.close(replies)
            bash.wait()
        errors.seek(0)
        return errors.read().replace(str(script), 'bash')
