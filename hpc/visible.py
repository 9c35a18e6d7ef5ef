"""Text that others wrote, for a person's terminal: what would move its cursor, clear it or rename its window is made visible."""

from __future__ import annotations


def visible(text: str) -> str:
    """The text with all that is not printable as Python writes it (`\\x1b`, `\\n`); letters of any script stay."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def visible_lines(text: str) -> str:
    """The same of a text of several lines, which stay lines."""
    return "\n".join(map(visible, text.splitlines()))
