"""Outputs are not inputs, also under another name."""
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mmpartref.errors import InputError
from mmpartref.files.output_path import check_not_inputs


@pytest.mark.parametrize('link', [os.link, os.symlink])
def test_inputs_are_protected(link: Callable, tmp_path: Path) -> None:
    for name in ('a.jpg', 'a_0.png'):
        (tmp_path / name).touch()
    (tmp_path / 'folder').symlink_to(tmp_path)
    link(tmp_path / 'a_0.png', tmp_path / 'other.png')
    inputs = [tmp_path / 'a.jpg', str(tmp_path / 'a_0.png')]
    for output in ('a_0.png', 'folder/a_0.png', 'folder/folder/a_0.png', 'other.png'):
        with pytest.raises(InputError, match=r'\.png is an input and would be overwritten'):
            check_not_inputs([tmp_path / 'new.png', tmp_path / output], inputs)
    with pytest.raises(InputError, match='is an input'):
        check_not_inputs([tmp_path / 'missing'], [tmp_path / 'folder/missing'])
    check_not_inputs([tmp_path / 'a_1.png'], inputs)
