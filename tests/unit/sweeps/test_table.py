"""The live table of a terminal: never longer than the terminal, whatever its height."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from sweeps.opening import open_sweep
from sweeps.place import find_place
from sweeps.storage import open_storage
from sweeps.table import Table, rows_of
from tests.contracts.studies import ME, PLAN


class Terminal:
    """Takes what is written to a terminal."""

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


def test_the_live_table_fits_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    sweep = open_sweep(open_storage(find_place(None, tmp_path / "study.log", {})), "table", PLAN)
    for _ in range(12):
        assert sweep.claim(tmp_path, ME, sampler="random", trials=12, seed=None) is not None
    terminal, size = Terminal(), [80, 10]
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr("shutil.get_terminal_size", lambda *_: os.terminal_size(size))
    monkeypatch.setattr("sweeps.table._EVERY_S", 0)
    table = Table(sweep)
    table.show()
    assert terminal.text.count("\n") == 9, "the line of the cursor is the tenth"
    assert [line.split()[0] for line in terminal.text.splitlines()] == ["trial", *map(str, range(4, 12))]
    terminal.text, size[1] = "", 5
    table.show()
    assert re.match(r"\x1b\[4A\x1b\[J", terminal.text), "no further up than there is a screen"
    assert terminal.text.count("\n") == 4
    terminal.text = ""
    table.show(last=True)
    assert terminal.text.startswith("\x1b[4A")
    assert terminal.text.count("\n") == 14, "in the end all of them are said"


def test_a_trial_that_is_just_chosen_is_no_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    sweep = open_sweep(open_storage(find_place(None, tmp_path / "study.log", {})), "table", PLAN)
    assert sweep.claim(tmp_path, ME, sampler="random", trials=2, seed=None) is not None
    sweep.study.ask()  # what another process has asked for, before it draws
    Table(sweep).show(last=True)
    assert [row[0] for row in rows_of(sweep)] == ["0"]
    assert re.findall(r"^trial (\d+) running: (.*)", capsys.readouterr().out, re.MULTILINE)[0][1], "with its parameters"
