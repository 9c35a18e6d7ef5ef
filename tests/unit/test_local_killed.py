"""Runs by processes of this machine that somebody kills, or whose records are damaged: one run stays one run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hpc.launch import Launched, launch
from hpc.plan import make_plan
from hpc.record import attempts
from hpc.request import Request

_LONG = "steps=1000000"


@pytest.fixture(name="begun")
def begun_fixture() -> Iterator[list[Launched]]:
    """Runs that were started; what still lives of them is ended with the test."""
    begun: list[Launched] = []
    yield begun
    for one in begun:
        if one.process is not None:
            one.process.terminate()
            one.process.wait()


def _launch(begun: list[Launched], runs: Path) -> Launched:
    begun.append(launch("selftest", [_LONG], runs=runs, where="local"))
    return begun[-1]


def _folder(runs: Path) -> Path:
    """Of the run that `_launch` starts."""
    return make_plan(Request("selftest", (_LONG,), runs=runs, where="local")).spec.run_dir


def test_a_record_that_was_cut_off_makes_no_second_run(tmp_path: Path, begun: list[Launched]):
    run_dir = _folder(tmp_path)
    run_dir.mkdir()
    (run_dir / "attempts.jsonl").write_text('{"event": "failed", "time": 1.0, "er')
    assert _launch(begun, tmp_path).how == "started"
    assert _launch(begun, tmp_path).how == "attached"
    assert [event["event"] for event in attempts(run_dir)].count("submitted") == 1
