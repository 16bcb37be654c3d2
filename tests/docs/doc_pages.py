"""The fenced code blocks of a Markdown page, with their lines."""
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt


@dataclass(frozen=True)
class Block:
    """One code block.

    Attributes:
        language: the word after the fence; '' for an indented block or a fence without one.
        line: the fence's line in the page, from 1.
        text: between the fences.
    """
    language: str
    line: int
    text: str


def read_blocks(page: Path) -> list[Block]:
    """Return a page's code blocks in order."""
    tokens = MarkdownIt('commonmark').parse(page.read_text(encoding='utf-8'))
    return [Block(token.info.strip(), token.map[0] + 1, token.content) for token in tokens
            if token.type in ('fence', 'code_block')]
