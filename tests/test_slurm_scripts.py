"""The scripts for Slurm, with a program that prints its arguments in the place of srun."""
import os
import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[1] / 'tools'


@pytest.fixture
def slurm(tmp_path: Path):
    (tmp_path / 'srun').write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / 'srun').chmod(0o755)

    def run(script: str, *given: str, **variables: str) -> list[str]:
        environment = {**os.environ, 'PATH': f'{tmp_path}:{os.environ["PATH"]}', 'PYTHON': 'python', **variables}
        done = subprocess.run(['bash', TOOLS / f'{script}.sh', *given], env=environment, text=True, check=False,
                              capture_output=True)
        return done.stdout.splitlines() if done.returncode == 0 else [f'{done.returncode} {done.stderr}']
    return run


@pytest.mark.parametrize(('script', 'fourth', 'expected'), [
    ('slurm_train', 'work', ['c.py', '--work-dir', 'work']), ('slurm_test', 'a.pth', ['c.py', 'a.pth'])])
def test_the_job_has_the_processes_and_the_arguments(slurm, script: str, fourth: str, expected: list[str]) -> None:
    called = slurm(script, 'part', 'job', 'c.py', fourth, '--cfg-options', 'a=b c', GPUS='4', SRUN_ARGS='--qos=x -v')
    before = called.index('python')
    assert called[:before] == ['-p', 'part', '--job-name=job', '--gres=gpu:4', '--ntasks=4', '--ntasks-per-node=4',
                               '--cpus-per-task=5', '--kill-on-bad-exit=1', '--qos=x', '-v']
    tool = str(TOOLS / f"{script.removeprefix('slurm_')}.py")
    assert called[before + 1:] == ['-u', tool, *expected, '--launcher', 'slurm', '--cfg-options', 'a=b c']
    assert '--ntasks-per-node=8' in slurm(script, 'part', 'job', 'c.py', fourth, GPUS='16')


@pytest.mark.parametrize('script', ['slurm_train', 'slurm_test'])
def test_a_missing_argument_is_the_usage(slurm, script: str) -> None:
    assert f'usage: {script}.sh PARTITION JOB_NAME CONFIG' in slurm(script, 'part', 'job', 'c.py')[0]
