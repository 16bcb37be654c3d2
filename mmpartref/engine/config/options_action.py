"""Parser of ``--cfg-options``."""
import argparse
import ast
from collections.abc import Sequence
from typing import Any

from mmengine.config import DictAction

# First characters of the Python literals that mmengine parses by hand.
BRACKETS = ('[', '(', '{')


class OptionsAction(DictAction):
    """mmengine's ``DictAction`` for KEY=VALUE that preserves the blanks in Python lists, tuples and dicts.

    ``DictAction`` removes them: ``templates=['{part} of {super_category}']`` would give ``carbodyofcar``. Values that
    are not Python literals (``[a,b]``, ``1,2``) are parsed by ``DictAction``.
    """

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
                 values: str | Sequence[Any] | None, option_string: str | None = None) -> None:
        """Add the options to the namespace; end the program where one has no ``=``."""
        given = [values] if isinstance(values, str) else list(values or ())
        for each in given:
            if '=' not in each:
                parser.error(f'{option_string} takes KEY=VALUE, got {each!r}; quote a value that has blanks')
        for each in given:
            key, value = each.split('=', maxsplit=1)
            try:
                literal = ast.literal_eval(value.strip()) if value.strip().startswith(BRACKETS) else None
            except (ValueError, SyntaxError):
                literal = None
            if literal is None:
                super().__call__(parser, namespace, [each], option_string)
            else:
                setattr(namespace, self.dest, {**(getattr(namespace, self.dest) or {}), key: literal})
