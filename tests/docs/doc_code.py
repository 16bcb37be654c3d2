"""Code of a page, run in this process."""
import ast
import traceback
from typing import Any


class CodeError(Exception):
    """What a page's code raised, and the lines it passed."""

    def __init__(self, error: Exception) -> None:
        super().__init__(f'{type(error).__name__}: {error}')
        self.frames = traceback.extract_tb(error.__traceback__)


def run_code(tree: ast.Module, where: str, namespace: dict[str, Any]) -> CodeError | None:
    """Run code; return what it raised."""
    try:
        exec(compile(tree, where, 'exec'), namespace)
    except Exception as error:
        return CodeError(error)
    return None


def is_config(tree: ast.Module) -> bool:
    """A config inherits: it sets ``_base_``."""
    return any(isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', '') == '_base_' for node in tree.body)
