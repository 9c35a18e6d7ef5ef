"""How an attempt ends, as its record says it, and when its time is up."""

import errno
import json
import os
import threading
import time
from pathlib import Path

import pytest

from hpc import budget
from hpc.budget import Budget
from hpc.outcome import PreflightFailed, Stopped, noting
from hpc.record import append, attempts, last_metrics, read_json, since_submitted
from hpc.room import has_room, is_full
from hpc.world import World
from tests.unit.fake_slurm import FakeSlurm
from v2a.training.alone import RunBusy
from v2a.whole import write_json


def _world(rank: int = 0, source: str = "srun", job_id: str | None = "4711") -> World:
    return World(rank, 2, rank, 2, source, "t4-1", job_id)


def test_rank_0_says_that_it_began_and_finished(tmp_path: Path):
    for rank in (0, 1):
        with noting(tmp_path, _world(rank)):
            (tmp_path / "metrics.jsonl").write_text('{"step": 5}\n')
    assert [(event["event"], event.get("job_id"), event.get("step")) for event in attempts(tmp_path)] == [
        ("submitted", "4711", None), ("started", "4711", None), ("finished", None, 5),
    ]  # fmt: skip


@pytest.mark.parametrize("source", ["horovodrun", "mpirun", "single process"])
def test_a_job_that_the_ranks_are_only_inside_of_is_not_the_runs(source: str, tmp_path: Path):
    """A person's whole session, for example."""
    append(tmp_path, "submitted", where="local", pid=1)
    with noting(tmp_path, _world(source=source)):
        pass
    assert [event["event"] for event in attempts(tmp_path)] == ["submitted", "started", "finished"]
    assert all("job_id" not in event for event in attempts(tmp_path))


@pytest.mark.parametrize(
    ("error", "final", "text"),
    [
        (ValueError("expected lr"), True, "expected lr"),
        (RunBusy("another process trains"), False, "another process trains"),
        (OSError("the disk is full"), False, "the disk is full"),
        (FloatingPointError("not finite at step 3"), False, "FloatingPointError: not finite at step 3"),
        (RuntimeError("HorovodInternalError"), False, "RuntimeError: HorovodInternalError"),
        (RuntimeError("new\nline" * 999), False, None),
    ],
)
def test_a_rank_that_fails_says_why(error: Exception, final: bool, text: str | None, tmp_path: Path):
    with pytest.raises(type(error)), noting(tmp_path, _world(rank=1)):
        raise error
    (event,) = attempts(tmp_path)
    assert (event["event"], event["rank"], event["final"], event["step"]) == ("failed", 1, final, 0)
    assert text is None or event["error"] == text
    assert len(event["error"]) <= 2000


def test_a_node_that_is_not_fit_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for _ in range(2):
        with pytest.raises(PreflightFailed), noting(tmp_path, _world(rank=1)):
            raise PreflightFailed("no room")
        monkeypatch.setenv("SLURMD_NODENAME", "node7")  # Slurm knows it by no other name
    assert [event["unfit"] for event in attempts(tmp_path)] == ["t4-1", "node7"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "no space: step-5.pt could not be written"),
        OSError(errno.EDQUOT, "quota"),
        PreflightFailed("t4-1 is not fit to train: 0.8 MB are free", full=True),
    ],
)
def test_a_full_disk_is_no_fault_of_settings_or_of_a_node(error: Exception, tmp_path: Path):
    with pytest.raises(type(error)), noting(tmp_path, _world()):
        raise error
    failed = attempts(tmp_path)[-1]
    assert (failed["event"], failed["full"]) == ("failed", True)
    assert not failed.get("final")
    assert "unfit" not in failed


def test_an_error_that_came_from_a_full_disk_is_one(tmp_path: Path):
    def write() -> None:
        try:
            raise OSError(errno.ENOSPC, "full")
        except OSError as error:
            raise ValueError("the shard could not be written") from error

    with pytest.raises(ValueError, match="shard"), noting(tmp_path, _world(rank=1)):
        write()
    assert (attempts(tmp_path)[0]["full"], attempts(tmp_path)[0]["final"]) == (True, False)
    assert is_full(RuntimeError(f"a task failed: [Errno 28] {os.strerror(errno.ENOSPC)}"))
    assert not is_full(ValueError("full"))
    assert not is_full(OSError(errno.EACCES, "no"))


def test_room_is_looked_for_by_a_real_write(tmp_path: Path):
    assert has_room(tmp_path)
    assert has_room(tmp_path / "missing"), "that is not for want of room"
    assert list(tmp_path.iterdir()) == []


def test_being_stopped_is_no_failure(tmp_path: Path):
    for rank in (0, 1):
        with pytest.raises(Stopped), noting(tmp_path, _world(rank)):
            raise Stopped("its time was nearly up")
    assert [event["event"] for event in attempts(tmp_path)] == ["submitted", "started", "stopped"]


def test_a_record_that_cannot_be_written_stops_nothing(tmp_path: Path):
    with noting(tmp_path / "missing", _world()):
        assert attempts(tmp_path / "missing") == []


def test_half_a_line_is_passed_over(tmp_path: Path):
    append(tmp_path, "submitted", job_id="1")
    with (tmp_path / "attempts.jsonl").open("a") as file:
        file.write('{"event": "star\n[]\n7\n{"time": 5}\n')
    append(tmp_path, "submitted", job_id="2")
    append(tmp_path, "started")
    assert [event["event"] for event in attempts(tmp_path)] == ["submitted", "submitted", "started"]
    assert [event.get("job_id") for event in since_submitted(attempts(tmp_path))] == ["2", None]


def test_what_follows_half_a_line_is_whole(tmp_path: Path):
    append(tmp_path, "submitted", job_id="1")
    with (tmp_path / "attempts.jsonl").open("a") as file:
        file.write('{"event": "failed", "error": "no ro')
    for job_id in ("2", "3"):
        append(tmp_path, "submitted", job_id=job_id)
    assert [event["job_id"] for event in attempts(tmp_path)] == ["1", "2", "3"]
    assert (tmp_path / "attempts.jsonl").read_text().count("\n") == 4, "a line is ended once"


def test_a_line_that_the_disk_takes_in_pieces_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write = os.write
    monkeypatch.setattr("hpc.record.os.write", lambda file, data: write(file, data[:7]))
    append(tmp_path, "submitted", job_id="1")
    assert [event["job_id"] for event in attempts(tmp_path)] == ["1"]


def test_many_writers_lose_no_line(tmp_path: Path):
    def write() -> None:
        for _ in range(50):
            append(tmp_path, "failed", error="x" * 500)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(attempts(tmp_path)) == 200


def test_the_newest_of_each_number_counts(tmp_path: Path):
    lines = [{"step": 1, "loss": 3.0}, {"step": 2, "loss": 2.0, "lr": 0.1}, {"step": 2, "validation/loss": 1.0}]
    (tmp_path / "metrics.jsonl").write_text(
        "x" * 20000 + "\n" + "\n".join(map(json.dumps, lines)) + '\n{"step": 3, "lo'
    )
    assert last_metrics(tmp_path) == {"step": 2, "loss": 2.0, "lr": 0.1, "validation/loss": 1.0}
    assert last_metrics(tmp_path / "missing") == {}


def test_a_file_is_written_whole_or_not(tmp_path: Path):
    write_json(tmp_path / "x.json", {"a": 1})
    with pytest.raises(OSError, match="could not be written"):
        write_json(tmp_path / "x.json" / "y.json", {"a": 2})
    assert read_json(tmp_path / "x.json") == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]
    (tmp_path / "x.json").write_text("[1]")
    assert read_json(tmp_path / "x.json") is None


def test_time_without_a_limit_is_never_spent():
    with Budget(None) as unlimited:
        assert not unlimited.is_spent()


def test_time_is_spent_before_the_limit():
    assert Budget(0).is_spent()
    assert not Budget(3600).is_spent()
    began = time.monotonic()
    short = Budget(0.5)
    while not short.is_spent():
        time.sleep(0.01)
    assert time.monotonic() - began >= 0.44, "a tenth of it is the margin"


def test_who_does_not_stop_is_queued_again_before_slurm_ends_the_job(tmp_path: Path):
    overdue = threading.Event()
    with Budget(0.2, overdue.set):
        assert overdue.wait(30)


def test_the_limit_is_slurms(tmp_path: Path, fake_slurm: FakeSlurm):
    job = {"id": "4711", "state": "RUNNING", "left": "0:00", "flags": {"job-name": "x"}}
    (fake_slurm.folder / "jobs" / "4711.json").write_text(json.dumps(job))
    assert Budget.of(_world(), tmp_path).is_spent()
    fake_slurm.set("4711", left="2-00:00:00")
    assert not Budget.of(_world(), tmp_path).is_spent()
    fake_slurm.set("4711", left="UNLIMITED")
    assert not Budget.of(_world(), tmp_path).is_spent()
    calls = len(fake_slurm.calls("squeue"))
    assert not Budget.of(_world(rank=1), tmp_path).is_spent()
    assert not Budget.of(_world(source="horovodrun"), tmp_path).is_spent()
    assert len(fake_slurm.calls("squeue")) == calls, "rank 0 asks for all"
    (fake_slurm.folder / "down").touch()
    assert not Budget.of(_world(), tmp_path).is_spent()


def test_an_overdue_job_is_queued_again_unless_nobody_submitted_it(tmp_path: Path, fake_slurm: FakeSlurm):
    (fake_slurm.folder / "jobs" / "4711.json").write_text(json.dumps({"id": "4711", "state": "RUNNING", "flags": {}}))
    append(tmp_path, "started")
    budget._requeue_at_once(tmp_path, "4711")
    assert fake_slurm.calls("scontrol") == []
    append(tmp_path, "submitted", job_id="4711")
    append(tmp_path, "started")
    write_json(tmp_path / "run.json", {"spec": {"restarts": 1}})
    budget._requeue_at_once(tmp_path, "4711")
    assert fake_slurm.calls("scontrol") == ["scontrol requeue 4711"]
    assert attempts(tmp_path)[-1]["why"] == "its time was up in the middle of a step"
