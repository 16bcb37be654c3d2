"""Configs by name: a path, or one of those in the package."""
import difflib
import os
from pathlib import Path

from mmpartref.errors import MissingFileError, NotPlainFileError
from mmpartref.text import shown_name

# In a wheel, and by links in a checkout.
PACKAGED = Path(__file__).parents[2] / '.mim' / 'configs'
SUFFIXES = ('.py', '.json', '.yaml', '.yml')
# Configs whose names are in an error.
MAX_NEAR = 4


def find_config(name: str | os.PathLike) -> str:
    """Return the path of a config.

    Args:
        name: a path; or the name of a packaged config, with or without ``configs/``, ``mmpartref::``, its folder and
            its suffix: ``'cris_r50_partimagenet'``, ``'configs/cris/cris_r101_partimagenet.py'``.

    Raises:
        MissingFileError: there is none; the message has packaged ones with similar names.
        NotPlainFileError: it is a folder.
    """
    path = os.fspath(name)
    if os.path.isfile(path):
        return path
    packaged = packaged_configs()
    wanted = name_below_configs(path)
    stems = {each.rpartition('/')[2]: each for each in packaged}
    # Another folder is ignored after 'configs/' only: elsewhere the user means a file that is not there.
    below = wanted.rpartition('/')[2] if path.startswith(('mmpartref::', 'configs/', './configs/')) else wanted
    found = wanted if wanted in packaged else stems.get(below)
    if found is not None:
        return str(packaged[found])
    if os.path.isdir(path):
        raise NotPlainFileError(f'the config {shown_name(path)} is a folder; name a .py file in it')
    close = difflib.get_close_matches(wanted.rpartition('/')[2], stems, n=MAX_NEAR, cutoff=0.6)
    hint = f"; similar ones are {', '.join(stems[each] for each in close)}" if close else ''
    raise MissingFileError(f'the config {shown_name(path)} does not exist; give the path of a .py file, or the name '
                           f'of a packaged config, for example cris_r50_partimagenet{hint}')


def name_below_configs(name: str) -> str:
    """Return a config's name without ``mmpartref::``, ``./``, ``configs/`` and its suffix."""
    return name.removeprefix('mmpartref::').removeprefix('./').removeprefix('configs/').removesuffix('.py')


def packaged_configs() -> dict[str, Path]:
    """Return the complete configs of the package by their names below ``configs/``, without suffix."""
    return {path.relative_to(PACKAGED).with_suffix('').as_posix(): path for path in sorted(PACKAGED.glob('**/*.py'))
            if '_base_' not in path.relative_to(PACKAGED).parts}
