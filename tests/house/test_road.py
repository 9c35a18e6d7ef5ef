"""The table of the documentation's commands (tests/release/road.py) is whole and not stale; tests/release runs them."""

import re

import pytest

from tests.house.documents import script_faults, typed
from tests.house.source import CHECKOUT
from tests.release.road import ELSEWHERE, NOWHERE, SMALLER, commands, documents

_COMMANDS = list(commands())


def test_every_document_is_walked_once():
    assert len(documents()) == len(set(documents()))
    assert {"README.md", "CONTRIBUTING.md", "docs/cluster.md"} <= {command.path for command in _COMMANDS}


def test_what_is_not_run_here_is_so_for_one_reason():
    both = [command for command in _COMMANDS if command.elsewhere() and command.nowhere()]
    assert both == []
    here = [command for command in _COMMANDS if not command.elsewhere() and not command.nowhere()]
    assert len(here) > len(_COMMANDS) / 2


def test_no_entry_is_stale():
    texts = [command.text for command in _COMMANDS]
    for pattern in [way.commands for way in ELSEWHERE] + [pattern for pattern, _ in NOWHERE]:
        assert any(re.fullmatch(pattern, text) for text in texts), pattern
    for number, (pattern, _) in enumerate(SMALLER):
        before = SMALLER[:number]
        assert any(re.search(pattern, _through(before, text)) for text in texts), pattern


def _through(changes: tuple[tuple[str, str], ...], text: str) -> str:
    for pattern, into in changes:
        text = re.sub(pattern, into, text)
    return text


@pytest.mark.parametrize("way", ELSEWHERE, ids=lambda way: way.test)
def test_the_other_test_is_there_and_names_it(way: object):
    assert way.names in (CHECKOUT / way.test).read_text()  # type: ignore[attr-defined]


def test_small_commands_are_commands():
    here = [command.small() for command in _COMMANDS if not command.elsewhere() and not command.nowhere()]
    assert [fault for text in here for fault in script_faults(f"{text}\n")] == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("a b  # why\n# nothing\n\nc\n", [(0, "a b"), (3, "c")]),
        ("a \\\n  b\nc\n", [(1, "a b"), (2, "c")]),
        ('a "\nimport x\ny" z\n', [(2, 'a "\nimport x\ny" z')]),
        ("a 'x # y'\n", [(0, "a 'x # y'")]),
    ],
)
def test_commands_are_told_apart(code: str, found: list[tuple[int, str]]):
    assert list(typed(code)) == found
