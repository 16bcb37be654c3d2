"""Reading of config files: their bases, byte order marks and YAML."""
import ast
import os
import sys
import warnings
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from mmengine.config import Config
from mmengine.fileio import BaseFileHandler, register_handler
from mmengine.fileio.handlers.registry_utils import file_handlers

from mmpartref.errors import ConfigError


def check_bases(path: Path, above: tuple[Path, ...] = ()) -> list[Path]:
    """Check that a config is not among its own bases: mmengine would recurse for a minute until Python stops it.

    Returns:
        Absolute paths of the config and its bases, those in packages (``mmdet::...``) aside.

    Raises:
        ConfigError: it is.
    """
    path = Path(os.path.abspath(path))
    if path in above:
        raise ConfigError(f'the config {above[0]} has {path} among its own bases; correct _base_')
    try:
        lines = ast.parse(path.read_bytes()).body if path.suffix == '.py' else []
    except (OSError, SyntaxError, ValueError):
        return [path]  # reported when mmengine reads it
    found = [path]
    for line in lines:
        if isinstance(line, ast.Assign) and any(getattr(each, 'id', '') == '_base_' for each in line.targets):
            for each in ast.walk(line.value):
                if isinstance(each, ast.Constant) and isinstance(each.value, str) and '::' not in each.value:
                    found += check_bases(path.parent / each.value, (*above, path))
    return found


class SafeYamlHandler(BaseFileHandler):
    """Handler of YAML without Python objects; mmengine's builds and calls the object of a ``!!python`` tag."""

    def load_from_fileobj(self, file: Any, **kwargs: Any) -> Any:
        """Return the document of an open file."""
        return yaml.safe_load(file)

    def dump_to_fileobj(self, obj: Any, file: Any, **kwargs: Any) -> None:
        """Write a document to an open file."""
        yaml.safe_dump(obj, file, **kwargs)

    def dump_to_str(self, obj: Any, **kwargs: Any) -> str:
        """Return a document as text."""
        return yaml.safe_dump(obj, **kwargs)


@contextmanager
def yaml_without_objects() -> Iterator[None]:
    """Register ``SafeYamlHandler`` with mmengine inside this context."""
    before = {name: file_handlers[name] for name in ('yaml', 'yml')}
    register_handler(list(before))(SafeYamlHandler)
    try:
        yield
    finally:
        file_handlers.update(before)


def starts_with_bom(path: Path) -> bool:
    """Return whether a file starts with the byte order mark that Windows' editors write; False if it cannot be read."""
    try:
        with path.open('rb') as file:
            return file.read(len(BOM_UTF8)) == BOM_UTF8
    except OSError:
        return False


def _read_without_boms(path: str, files: Iterable[Path]) -> Config:
    """Read copies of a config and its bases without BOM, which mmengine takes for a syntax error.

    The copies are at the same paths below a temporary folder, so that bases are found.
    """
    with TemporaryDirectory() as folder:
        for file in files:
            copy = Path(f'{folder}{file}')
            copy.parent.mkdir(parents=True, exist_ok=True)
            # Variables such as {{ fileDirname }} get the original's values.
            Config._substitute_predefined_vars(str(file), str(copy))
            copy.write_bytes(copy.read_bytes().removeprefix(BOM_UTF8))
        cfg = Config.fromfile(f'{folder}{os.path.abspath(path)}')
    return Config(cfg.to_dict(), cfg.text.replace(folder, ''), path, cfg.env_variables)


def add_import_folders(files: Iterable[Path]) -> None:
    """Add to the end of Python's path the folders of configs that name ``custom_imports``, if they hold such a module.

    Loading processes and checkpoints import the modules later as well, so the folders stay there.
    """
    for file in files:
        with suppress(OSError, SyntaxError, ValueError):
            for line in ast.parse(file.read_bytes()).body:
                if isinstance(line, ast.Assign) and any(getattr(each, 'id', '') == 'custom_imports'
                                                        for each in line.targets):
                    modules = {each.value.partition('.')[0] for each in ast.walk(line.value)
                               if isinstance(each, ast.Constant) and isinstance(each.value, str)}
                    here = any((file.parent / f'{name}.py').is_file() or (file.parent / name).is_dir()
                               for name in modules - {'', 'imports', 'allow_failed_imports'})
                    if here and str(file.parent) not in sys.path:
                        sys.path.append(str(file.parent))


def paths_to_text(node: Any) -> Any:
    """Replace the paths in a config's value by text; a dumped config would write them as code that cannot be read.

    Returns:
        The value; dicts and lists are changed in place.
    """
    if isinstance(node, Mapping):
        for key, value in node.items():
            if (plain := paths_to_text(value)) is not value:
                node[key] = plain  # type: ignore[index]
    elif isinstance(node, list):
        node[:] = map(paths_to_text, node)
    elif isinstance(node, tuple):
        return tuple(map(paths_to_text, node)) if any(isinstance(each, PurePath) for each in node) else node
    return str(node) if isinstance(node, PurePath) else node


def read_config_file(path: str | Path) -> Config:
    """Read a config, with paths as text and without the classes and functions that it imports at its top level.

    A byte order mark (BOM) at the start of it or of a base is ignored.

    Raises:
        ConfigError: it is not a config, or raises an error.
        ModuleNotFoundError: one of its bases is in a package that is not installed.
    """
    files = check_bases(Path(path))
    add_import_folders(files)
    try:
        with warnings.catch_warnings(), yaml_without_objects():
            # mmengine looks up the package of a base such as 'mmdet::...' through pkg_resources.
            warnings.filterwarnings('ignore', 'pkg_resources is deprecated', UserWarning)
            boms = any(starts_with_bom(file) for file in files)
            cfg = _read_without_boms(str(path), files) if boms else Config.fromfile(path)
            for key, value in cfg.to_dict().items():
                if callable(value):
                    cfg.pop(key)
                elif (plain := paths_to_text(cfg[key])) is not cfg[key]:
                    cfg[key] = plain
            return cfg
    except ModuleNotFoundError:
        raise
    except (Exception, SystemExit) as error:  # a config is a program, which can raise anything, and end
        reason = ' '.join(str(error).split()) or 'no message'
        raise ConfigError(f'the config {path} cannot be read ({type(error).__name__}: {reason}); correct it, or give '
                          'another') from error
