"""What is said while clips are encoded."""

from __future__ import annotations

import io

import pytest

from tests.unit.codes.test_code_shards import HEAD
from v2a.codes.plan import Plan, ShardTask
from v2a.codes.progress import Progress


def test_rate_and_time_left_leave_the_start_out(monkeypatch: pytest.MonkeyPatch):
    now = 100.0
    monkeypatch.setattr("v2a.codes.progress.time.monotonic", lambda: now)
    said = io.StringIO()
    progress = Progress(said)
    progress.begin(Plan(tasks=[ShardTask(HEAD, 100)], done=7), cleaned=0)
    assert "100 clips in 1 shards to encode, 7 clips done before" in said.getvalue()
    for now, clips in ((130.0, 0), (140.0, 1), (145.0, 11), (150.0, 21), (151.0, 23)):  # noqa: B007 - the clock reads it
        progress.show({"clips": clips})
    assert said.getvalue().splitlines()[1:] == ["11/100 clips, 2 clips/s, 00:00:44 left"]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_on_a_terminal():
    said = _Terminal()
    progress = Progress(said)
    progress.begin(Plan(tasks=[ShardTask(HEAD, 10)]), cleaned=2)
    progress.show({"clips": 10})
    progress.end(None, None, {"clips": 10}, stopped=True)  # type: ignore[arg-type]
    assert "removed 2 unfinished" in said.getvalue()
    assert "10/10" in said.getvalue()
    assert "clip/s" in said.getvalue()
    assert "stopped as asked" in said.getvalue()
