"""A node that passed the preflight a short time ago, and when that counts."""

import json
import time
from pathlib import Path

import pytest

from hpc import join
from hpc.fit import checks_left, forget_fit, note_fit
from hpc.outcome import PreflightFailed
from hpc.preflight import checks
from hpc.preflight.finding import Finding
from hpc.world import World

_HERE = World(0, 1, 0, 1, "single process", "it's-a-node", None)


def test_a_record_counts_for_a_time_on_its_own_node_only(tmp_path: Path):
    assert checks_left(tmp_path, "t4-1", 60, gpus=False) is None
    note_fit(tmp_path, "t4-1")
    assert checks_left(tmp_path, "t4-1", 60, gpus=False) == ("python", "runs", "shm", "shared")
    assert checks_left(tmp_path, "t4-1", 60, gpus=True) == ("python", "runs", "shm", "shared", "gpu"), "a GPU may fail"
    assert checks_left(tmp_path, "t4-2", 60, gpus=False) is None
    forget_fit(tmp_path, "t4-1")
    forget_fit(tmp_path, "t4-1")
    assert checks_left(tmp_path, "t4-1", 60, gpus=False) is None


@pytest.mark.parametrize(
    ("field", "value"), [("time", 1.0), ("time", "now"), ("time", None), ("boot", "another"), ("python", "/another")]
)
def test_an_old_or_other_record_counts_for_nothing(field: str, value: object, tmp_path: Path):
    note_fit(tmp_path, "t4-1")
    path = tmp_path / ".fit" / "t4-1.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    assert checks_left(tmp_path, "t4-1", 60, gpus=False) is None
    path.write_text("[")
    assert checks_left(tmp_path, "t4-1", 60, gpus=False) is None


def test_a_record_of_the_future_counts_for_nothing(tmp_path: Path):
    note_fit(tmp_path, "t4-1")
    path = tmp_path / ".fit" / "t4-1.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "time": time.time() + 3600}))
    assert checks_left(tmp_path, "t4-1", 60, gpus=False) is None


def test_the_second_look_asks_no_other_process_and_a_failed_one_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[str] = []
    level = "fail"

    def look(_context: object) -> list[Finding]:
        asked.append("torch")
        return [
            Finding("torch", level, "it is broken", "mend it") if level == "fail" else Finding("torch", "ok", "fine")
        ]

    kept = {name: check for name, check in checks.CHECKS.items() if name in ("runs", "shm")}
    monkeypatch.setattr(checks, "CHECKS", {**kept, "torch": checks._Check(look, 30)})
    monkeypatch.setattr("hpc.fit._ALWAYS", ("runs", "shm"))
    with pytest.raises(PreflightFailed, match="it is broken"):
        join.preflight(_HERE, tmp_path, 1.0, fit_s=60)
    level = "ok"
    for _ in range(2):
        join.preflight(_HERE, tmp_path, 1.0, fit_s=60)
    assert asked == ["torch"] * 2, "after the failure once more, and then no more"
    join.preflight(_HERE, tmp_path, 1.0)
    assert asked == ["torch"] * 3, "a run that is no trial asks everything"
