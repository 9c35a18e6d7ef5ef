"""When a run goes on by itself, and when it stops, by its record."""

from pathlib import Path
from typing import Any

import pytest

from hpc.record import append
from hpc.verdict import decide, note_silent_end

_SUBMITTED = {"event": "submitted"}
_STARTED = {"event": "started"}


def _failed(error: str, step: int, **more: object) -> dict[str, Any]:
    return {"event": "failed", "error": error, "step": step, **more}


def _stopped(step: int) -> dict[str, Any]:
    return {"event": "stopped", "why": "its time was nearly up", "step": step}


@pytest.mark.parametrize(
    ("after", "goes_on", "said"),
    [
        ([_STARTED, _stopped(5)], True, "its time was nearly up"),
        ([_STARTED, _failed("killed", 5)], True, "killed"),
        ([_STARTED, _failed("killed", 5), _STARTED, _failed("killed", 9)], True, "killed"),
        ([_STARTED, _failed("killed", 5), _STARTED, _failed("full disk", 5)], True, "full disk"),
        (
            [_STARTED, _failed("killed", 5), _STARTED, _failed("killed", 5)],
            False,
            "killed; the same error came twice at step 5",
        ),
        ([_STARTED, _failed("killed", 5), _STARTED, _stopped(5), _STARTED, _failed("killed", 5)], True, "killed"),
        ([_STARTED, _failed("expected a batch that divides", 0, final=True)], False, "expected a batch that divides"),
        ([_STARTED, _stopped(5)] * 5, False, "5 attempts in a row ended at step 5: is the time limit too short?"),
        ([_STARTED, {**_stopped(3), "why": "ended by who listens", "final": True}], False, "ended by who listens"),
        ([_STARTED, {"event": "finished"}], False, "it has finished"),
        ([], True, "before they began"),
    ],
)
def test_the_record_decides(after: list[dict[str, Any]], goes_on: bool, said: str):
    verdict = decide([_SUBMITTED, *after], restarts=20)
    assert verdict.goes_on is goes_on
    assert said in verdict.why


def test_the_number_of_restarts_is_bounded():
    events: list[dict[str, Any]] = [_SUBMITTED]
    for number in range(3):
        events += [_STARTED, _stopped(number)]
    assert decide(events, restarts=3).goes_on
    assert (
        decide(events, restarts=2).why == "it was stopped; it went on by itself 2 times, and --restarts allows no more"
    )
    assert not decide(events, restarts=0).goes_on


def test_waiting_for_another_process_is_no_attempt():
    busy = _failed("another process trains in runs/x", 0, busy=True)
    waits = [_SUBMITTED, *([_STARTED, busy] * 9)]
    assert decide(waits, restarts=1).goes_on
    assert decide([*waits, _STARTED, _failed("no room", 0)], restarts=1).goes_on
    assert not decide([*waits, _STARTED, _failed("no room", 0), _STARTED, _failed("no room", 0)], restarts=5).goes_on


def test_the_rank_that_failed_counts_and_not_those_that_it_took_along():
    taken = _failed("RuntimeError: HorovodInternalError: shut down", 4)
    events = [_SUBMITTED, _STARTED, taken, _failed("no room", 4), _STARTED, _failed("no room", 4), taken]
    verdict = decide(events, restarts=20)
    assert not verdict.goes_on
    assert verdict.why.startswith("no room; the same error came twice at step 4")


def test_an_attempt_that_slurm_ended_without_a_word_is_no_error():
    events = [_SUBMITTED, _STARTED, _STARTED, _failed("killed", 5)]
    assert decide(events, restarts=20).goes_on


def test_a_node_that_is_not_fit_is_named():
    assert decide([_SUBMITTED, _STARTED, _failed("no room", 0, unfit="t4-2")], restarts=20).node == "t4-2"


def test_ranks_that_ended_without_a_word_get_an_outcome(tmp_path: Path):
    append(tmp_path, "submitted", job_id="5")
    append(tmp_path, "started")
    (tmp_path / "metrics.jsonl").write_text('{"step": 7, "loss": 1}\n{"step": 8, "lo')
    found = note_silent_end(tmp_path, 137)
    assert found[-1]["event"] == "failed"
    assert found[-1]["step"] == 7
    assert "exit status 137, killed: out of memory?" in found[-1]["error"]
    assert note_silent_end(tmp_path, 137) == found, "one outcome is enough"
    append(tmp_path, "again")
    assert len(note_silent_end(tmp_path, 1)) == len(found) + 2, "a job that ended before it began has one too"


def _full(step: int) -> dict[str, Any]:
    return _failed("No space left on device", step, full=True)


def test_a_full_disk_is_waited_for_longer_each_time():
    events: list[dict[str, Any]] = [_SUBMITTED, _STARTED, _failed("killed", 5)]
    waits = []
    for _ in range(9):
        events += [_STARTED, _failed("RuntimeError: HorovodInternalError: shut down", 5), _full(5)]
        waits.append(decide(events, restarts=20).wait_s)
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    killed = [*events, _STARTED, _failed("killed", 5)]
    assert "the same error came twice" in decide(killed, restarts=20).why, "the disk was no part of it"
    assert decide([*killed[:3], *killed[-2:], _STARTED, _full(5)], restarts=20).wait_s == 60, "a new disk, a new wait"


def test_a_disk_that_stays_full_is_given_up():
    assert not decide([_SUBMITTED, *([_STARTED, _full(5)] * 4)], restarts=3).goes_on
    unwritten = [_SUBMITTED, _STARTED, _full(5)]  # the attempts between found no room for a line
    assert decide(unwritten, restarts=3, went_on=2).goes_on
    assert not decide(unwritten, restarts=3, went_on=3).goes_on
