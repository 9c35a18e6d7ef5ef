"""Text that others wrote, for a person's terminal: what would move its cursor, clear it or rename its window is made visible."""

from __future__ import annotations

import io
import sys


def say_what_can_be_said() -> None:
    """A terminal or pipe whose encoding lacks a sign gets a question mark in its place, and not the end of the program."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def visible(text: str) -> str:
    """The text with all that is not printable as Python writes it (`\\x1b`, `\\n`); letters of any script stay."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def visible_lines(text: str) -> str:
    """The same of a text of several lines, which stay lines."""
    return "\n".join(map(visible, text.splitlines()))
