"""When a run goes on by itself, and when it stops with the reason in front."""

import json
from pathlib import Path
from typing import Any

import pytest

from hpc import again
from hpc.again import decide, judge, note_silent_end
from hpc.outcome import noting
from hpc.record import append, attempts
from hpc.world import World
from tests.unit.fake_slurm import FakeSlurm
from v2a.whole import write_json

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


@pytest.fixture
def job(tmp_path: Path, fake_slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose ranks of job 4711 have ended."""
    run_dir = tmp_path / "it's a run; $HOME"
    run_dir.mkdir()
    write_json(run_dir / "run.json", {"spec": {"restarts": 2}})
    append(run_dir, "submitted", job_id="4711")
    append(run_dir, "started", job_id="4711")
    (fake_slurm.folder / "jobs" / "4711.json").write_text(
        json.dumps({"id": "4711", "state": "RUNNING", "flags": {"job-name": run_dir.name}})
    )
    monkeypatch.setattr(again, "_LAST_WORDS_S", 0)
    monkeypatch.setattr(again, "_PATIENCE_S", 0)
    monkeypatch.setattr(again.signal, "signal", lambda *_: None)
    return run_dir


def _events(run_dir: Path) -> list[str]:
    return [event["event"] for event in attempts(run_dir)]


def test_a_broken_job_is_queued_again(job: Path, fake_slurm: FakeSlurm):
    assert judge(job, "4711", 137) == 137
    assert fake_slurm.calls("scontrol")[-1] == "scontrol requeue 4711"
    assert _events(job) == ["submitted", "started", "failed", "again"]


@pytest.mark.parametrize("state", ["COMPLETING", "CANCELLED", "PENDING", "PREEMPTED"])
def test_what_slurm_has_taken_is_left_to_it(state: str, job: Path, fake_slurm: FakeSlurm):
    fake_slurm.set("4711", state=state)
    assert judge(job, "4711", 143) == 143
    assert _events(job) == ["submitted", "started"]
    assert not any("requeue" in call for call in fake_slurm.calls("scontrol"))


def test_the_same_error_twice_stops_it(job: Path, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]):
    for _ in range(2):
        append(job, "started")
        append(job, "failed", error="no room", step=3)
    assert judge(job, "4711", 1) == 1
    assert "again: the run stops here: no room; the same error came twice at step 3" in capsys.readouterr().err
    assert attempts(job)[-1]["event"] == "gave up"
    assert not any("requeue" in call for call in fake_slurm.calls("scontrol"))


@pytest.mark.parametrize(
    ("spec", "excluded"),
    [
        ({}, ["ExcNodeList=t4-2"]),
        ({"nodes": 1, "exclude": "t4-[3-4]"}, ["ExcNodeList=t4-[3-4],t4-2"]),
        ({"nodes": 3, "exclude": "t4-2"}, ["ExcNodeList=t4-2,t4-2"]),
        ({"nodes": 2, "exclude": "t4-[3-4]"}, None),
        ({"nodes": 4}, None),
        ({"nodes": 1, "partition": "dgx"}, None),
    ],
)
def test_an_unfit_node_is_excluded_where_there_are_others(
    spec: dict[str, object], excluded: list[str] | None, job: Path, fake_slurm: FakeSlurm
):
    write_json(job / "run.json", {"spec": {"restarts": 2, **spec}})
    append(job, "failed", error="no room", step=0, unfit="t4-2")
    judge(job, "4711", 1)
    assert fake_slurm.jobs()[0].get("update") == excluded
    assert fake_slurm.jobs()[0]["state"] == "PENDING"


@pytest.mark.parametrize(
    "spec", [{"restarts": None, "nodes": None}, {"restarts": "many", "nodes": [], "partition": []}, [], "spec", None]
)
def test_a_description_that_is_damaged_stops_no_run(spec: object, job: Path, fake_slurm: FakeSlurm):
    write_json(job / "run.json", {"spec": spec})
    with (job / "attempts.jsonl").open("a") as file:
        file.write("[" * 200_000 + "\n")
    for step in ([], {}, "x", [], {}):
        append(job, "started")
        append(job, "failed", error=f"no room {step}", step=step, unfit="t4-2")
    judge(job, "4711", 1)
    assert fake_slurm.jobs()[0]["state"] == "PENDING"
    assert fake_slurm.jobs()[0]["update"] == ["ExcNodeList=t4-2"]


def test_a_finished_run_is_a_success_whatever_its_ranks_said(job: Path, fake_slurm: FakeSlurm):
    write_json(job / "result.json", {"step": 9})
    assert judge(job, "4711", 1) == 0
    assert fake_slurm.calls("scontrol") == []


def test_the_result_of_another_job_is_no_success(job: Path, fake_slurm: FakeSlurm):
    """`RUN_DIR=finished sbatch slurm/train_vqvae.sh`: what waits for it must not start when its worker fails."""
    write_json(job / "result.json", {"step": 9})
    append(job, "submitted", job_id="4712")
    fake_slurm.set("4711", id="4712")
    (fake_slurm.folder / "jobs" / "4711.json").rename(fake_slurm.folder / "jobs" / "4712.json")
    with pytest.raises(ValueError, match="lr"), noting(job, World(0, 1, 0, 1, "srun", "t4-1", "4712")):
        raise ValueError("expected lr")
    assert judge(job, "4712", 1) == 1
    assert attempts(job)[-1]["error"] == "expected lr"
    with noting(job, World(0, 1, 0, 1, "srun", "t4-1", "4712")):
        write_json(job / "result.json", {"step": 9})
    assert judge(job, "4712", 1) == 0


def test_a_job_whose_ranks_never_began_has_no_result(job: Path, fake_slurm: FakeSlurm):
    write_json(job / "result.json", {"step": 9})
    append(job, "finished", step=9)
    (fake_slurm.folder / "jobs" / "4711.json").rename(fake_slurm.folder / "jobs" / "4713.json")
    fake_slurm.set("4713", id="4713")
    assert judge(job, "4713", 127) == 127
    assert fake_slurm.calls("scontrol")[-1] == "scontrol requeue 4713"
    assert _events(job)[-3:] == ["submitted", "failed", "again"]


def test_a_controller_that_stays_away_is_said(job: Path, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]):
    (fake_slurm.folder / "down").touch()
    assert judge(job, "4711", 1) == 1
    assert "Unable to contact slurm controller" in capsys.readouterr().err


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


def test_a_job_without_room_is_queued_for_later(job: Path, fake_slurm: FakeSlurm):
    append(job, "failed", error="No space left on device", step=3, full=True)
    judge(job, "4711", 1)
    assert fake_slurm.jobs()[0]["state"] == "PENDING"
    assert fake_slurm.jobs()[0]["update"] == ["StartTime=now+60"]


def test_a_record_without_room_is_no_end(
    job: Path, fake_slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (job / "attempts.jsonl").unlink()
    (job / "attempts.jsonl").symlink_to("nowhere/at all")
    monkeypatch.setattr(again, "has_room", lambda folder: False)
    judge(job, "4711", 1)
    assert fake_slurm.jobs()[0]["update"] == ["StartTime=now+60"]
    assert f"again: queued again, to start in 60 s: the disk that holds {job} is full" in capsys.readouterr().out
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    fake_slurm.set("4711", state="RUNNING")
    judge(job, "4711", 1)
    assert "again: the run stops here: the disk that holds" in capsys.readouterr().err


def test_outside_of_a_job_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert again.main(["--run-dir", str(tmp_path), "--status", "1"]) == 2
    assert "there is no SLURM_JOB_ID here" in capsys.readouterr().err
