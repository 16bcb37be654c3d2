"""Weights of packaged configs, by the model index (``configs/metafile.yml``)."""
import os
from pathlib import Path

import yaml

from mmpartref.engine.config.config_names import PACKAGED, find_config, name_below_configs
from mmpartref.errors import MissingFileError, WeightsError
from mmpartref.models.weights.archives import Archive, find_difference, locate_url

PACKAGE = Path(__file__).parents[2]
# Where the index has no address. Like this, names end in '/': mim takes such a file for one that it has downloaded.
UNPUBLISHED = 'not published'


def published_weights(name: str | os.PathLike) -> Path | None:
    """Return the file with the weights of a packaged config, None where there are none or ``name`` is a user's file.

    The key ``Weights`` of the model index is an address, which is downloaded once (see ``locate_url``), or the path of
    a file in the package, whose name ends in ``-<digits of its SHA-256>.pth``.

    Raises:
        MissingFileError: there is no such config; or the file is not in the package.
        WeightsError: the file is not the published one.
    """
    path = Path(find_config(name))
    if not path.is_relative_to(PACKAGED) or not names_exactly(os.fspath(name), path):
        return None
    index = yaml.safe_load((PACKAGED / 'metafile.yml').read_text(encoding='utf-8'))
    known = {Path(model['Config']).relative_to('configs'): model['Weights'].rstrip('/') for model in index['Models']}
    weights = known.get(path.relative_to(PACKAGED), UNPUBLISHED)
    if weights == UNPUBLISHED:
        return None
    if weights.startswith(('http://', 'https://')):
        return locate_url(weights)
    file = PACKAGE.parent / weights
    if not file.is_file():
        raise MissingFileError(f'{file} is missing; install mmpartref again')
    digits = file.stem.rpartition('-')[2]
    if found := find_difference(file, Archive(weights, digits)):
        raise WeightsError(f'{file} is not the published file: {found}; install mmpartref again')
    return file


def names_exactly(name: str, path: Path) -> bool:
    """Return whether a name is that of a packaged config: its name alone, or its whole path below ``configs/``.

    ``find_config`` also takes a path in another folder for a packaged config; its weights are not meant then.
    """
    below = path.relative_to(PACKAGED).with_suffix('').as_posix()
    return name_below_configs(name) in (below, path.stem) or Path(name) == path
