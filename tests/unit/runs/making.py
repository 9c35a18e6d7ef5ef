"""Folders of runs, and the jobs that Slurm has for them."""

import json
from pathlib import Path

from hpc.job import mark_of
from hpc.record import append
from tests.unit.fake_slurm import FakeSlurm
from v2a.whole import write_json

Event = tuple[str, dict[str, object]]
STARTED: Event = ("started", {})
FAILED: Event = ("failed", {"error": "no room"})


def make_run(folder: Path, name: str, job_id: str | None = None, **run: object) -> Path:
    """A run's folder after its submission."""
    run_dir = folder / name
    run_dir.mkdir(parents=True)
    write_json(run_dir / "run.json", {"stage": "selftest", "steps": 100, "spec": {"restarts": 2}, **run})
    if job_id is not None:
        append(run_dir, "submitted", where="slurm", job_id=job_id)
    return run_dir


def put_job(slurm: FakeSlurm, run_dir: Path, job_id: str, state: str, **fields: object) -> None:
    flags = {"job-name": run_dir.name, "comment": mark_of(run_dir), "partition": "t4", "nodes": "2"}
    text = json.dumps({"id": job_id, "state": state, "flags": flags, **fields})
    (slurm.folder / "jobs" / f"{job_id}.json").write_text(text)


def note_events(run_dir: Path, *events: Event) -> None:
    for event, fields in events:
        append(run_dir, event, **fields)
