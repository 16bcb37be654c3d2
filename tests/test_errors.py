"""The handler of errors: exit codes, what is printed, a closed stdout."""
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mmpartref.errors import (
    CLOSED_STDOUT,
    MAX_MESSAGE,
    PREEMPTED,
    InputError,
    MissingFileError,
    MissingPackageError,
    PreemptedError,
    one_sentence_errors,
)

TOOLS = Path(__file__).parents[1] / 'tools'
TOOL = '''
import sys
from mmpartref.errors import InputError, one_sentence_errors

@one_sentence_errors(exit_code={code})
def main():
    {body}

sys.exit(main())
'''


def run(body, code=1, **options):
    return subprocess.run([sys.executable, '-c', TOOL.format(code=code, body=body)], text=True, check=False,
                          capture_output=True, **options)


@pytest.mark.parametrize('code', [1, 2])
def test_an_error_of_ours_ends_the_tool_with_its_message(code):
    done = run("raise InputError('a is wrong; correct it')", code)
    assert (done.returncode, done.stdout, done.stderr) == (code, '', 'a is wrong; correct it\n')


@pytest.mark.parametrize('body', ["open('/nowhere/at/all')", "int('x')", 'raise BrokenPipeError(32, "a socket")'])
def test_other_errors_keep_their_traceback(body):
    done = run(body, 2)
    assert done.returncode == 1
    assert done.stderr.startswith('Traceback')


def test_results_pass_through():
    assert run('return 3').returncode == 3
    assert run("print('shown')").stdout == 'shown\n'


@pytest.mark.parametrize('body', ["print('line\\n' * 10**6)", "print('short')"])
@pytest.mark.parametrize('unbuffered', [False, True])
def test_a_closed_stdout_ends_the_tool_silently(body, unbuffered):
    command = [sys.executable, *(['-u'] if unbuffered else []), '-c', TOOL.format(code=1, body=body)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b''
    assert process.returncode == CLOSED_STDOUT


@pytest.mark.parametrize('exit_code', [1, 2])
def test_preemption_has_a_separate_exit_code(exit_code, capsys):
    with pytest.raises(SystemExit) as ended, one_sentence_errors(exit_code):
        raise PreemptedError('saved')
    assert ended.value.code == PREEMPTED
    assert capsys.readouterr().err == 'saved\n'


@pytest.mark.parametrize('tool', sorted({path.name for path in TOOLS.glob('*.py')} - {'build_backend.py'}))
def test_every_tool_uses_the_handler(tool):
    text = (TOOLS / tool).read_text(encoding='utf-8')
    assert re.search(r'^@one_sentence_errors\((exit_code=2)?\)\n(@.*\n)*def main\(', text, re.MULTILINE)
    assert 'except ' not in text


@pytest.mark.parametrize('kind', [InputError, MissingFileError, MissingPackageError, PreemptedError])
def test_a_message_is_one_line_of_printable_text_of_a_bounded_length(kind):
    error = kind('a\nb\x1b[31m \ud800 é is wrong')
    assert str(error) == r'a\nb\x1b[31m \ud800 é is wrong'
    long = kind(f"expression {'x' * 32_000} is wrong; correct it")
    assert str(long).startswith('expression x')
    assert str(long).endswith('is wrong; correct it')
    assert len(str(long)) <= MAX_MESSAGE
    for each in (error, long):
        assert str(pickle.loads(pickle.dumps(each))) == str(each)


def test_a_report_of_several_lines_may_follow_a_message():
    assert str(InputError('these\nkeys differ:\n  a\n  b')) == 'these\\nkeys differ:\n  a\n  b'
