"""A Slurm job whose ranks have ended is queued again, or given up with the reason in front."""

import json
from pathlib import Path

import pytest

from hpc import again, verdict
from hpc.again import judge
from hpc.outcome import noting
from hpc.record import append, attempts
from hpc.world import World
from tests.unit.fake_slurm import FakeSlurm
from v2a.whole import write_json


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
    monkeypatch.setattr(verdict, "has_room", lambda folder: False)
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
