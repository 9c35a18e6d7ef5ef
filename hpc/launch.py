"""Submit a run from Python: what `python -m hpc.submit` does, and what a sweep calls.

    from hpc.launch import launch
    from hpc.states import states

    launched = launch("vqvae", ["train.lr=1e-4"], nodes=2, runs=Path("runs/sweep"), where="slurm")
    states([launched.run_dir])[launched.run_dir].state        # "pending", "running", "finished", …: one question to Slurm for all

Both are meant to be called with many runs: `launch` asks Slurm twice and submits, `states` asks once for any number of runs.
"""

from __future__ import annotations

import dataclasses
import fcntl
import importlib.metadata
import importlib.util
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpc import local
from hpc.aside import put_aside, put_back
from hpc.attempt import Attempt, Program
from hpc.batch import python_of, sbatch
from hpc.job import JobError, JobSpec
from hpc.plan import Plan, make_plan, why_again
from hpc.record import RUN, append, attempts, read_json
from hpc.request import Request
from hpc.slurm_query import SlurmError, my_jobs
from hpc.snapshot import code_root, git_commit, take_snapshot
from hpc.states import RunState, state_of
from hpc.worker import run
from v2a.stages import shares_tasks
from v2a.whole import write_json

_FORMAT = 1
_LIBRARIES = ("torch", "horovod", "numpy", "submitit")


class HoldsAnother(JobError):  # noqa: N818 - the name says what is wrong
    """A folder that holds a run of other settings."""


@dataclass(frozen=True)
class Launched:
    """What came of a submission.

    Attributes:
        run_dir: the run's folder.
        job_id: Slurm's; None for a local run.
        how: "submitted", "started" (local), "attached" (it waits or runs already), or "finished" (it was done before).
        state: how the run stood before.
        process: of a local run that was started: its supervisor.
    """

    run_dir: Path
    job_id: str | None
    how: str
    state: RunState
    process: subprocess.Popen[bytes] | None = None


def launch(stage: str, settings: Iterable[str] = (), **asked: Any) -> Launched:
    """Submit one run, or find it: the same settings are the same run.

    Args:
        stage: its name.
        settings: its "key=value" settings.
        asked: any field of `hpc.request.Request`: runs, name, where, nodes, ranks_per_node, gpus_per_node, minutes, partition,
            restarts, ….

    Returns:
        Its folder and Slurm's job id, and whether it was submitted now. A local run is started in the background.

    Raises:
        v2a.config.ConfigError: settings, or what the stage reads.
        JobError: what the queue could never start; a folder that holds another run, or cannot be used.
        SlurmError: Slurm does not answer, or refuses.
        OSError: the run's folder cannot be written.
    """
    return submit(make_plan(Request(stage, tuple(settings), **asked)))


def submit(plan: Plan, program: Program = run, code: Path | None = None) -> Launched:
    """Submit a plan, under a lock of the run's folder: two at once make one job.

    Args:
        plan: what to run.
        program: what every rank of a job calls in place of `hpc.worker.run`, with the same arguments; of a module, so that it can
            be named in the job. A sweep has one that listens.
        code: folder of the code that a job runs, for several jobs that share it; None for a snapshot of the code as it is now.
    """
    spec = plan.spec
    spec.run_dir.mkdir(parents=True, exist_ok=True)
    with _alone(spec.run_dir) as held:
        state = _find(plan)
        _refuse_another(plan)
        done = state.state == "finished" and not plan.request.again
        if done and not why_again(plan):
            return Launched(spec.run_dir, state.job_id, "finished", state)
        if state.is_active:
            return Launched(spec.run_dir, state.job_id, "attached", state)
        if state.state == "unknown":
            raise SlurmError(
                f"{spec.run_dir.name} was submitted before, and nobody can say whether it runs: {state.reason}"
            )
        if done:
            print(f"{spec.run_dir.name} has finished, and {why_again(plan)}: it goes on", file=sys.stderr)
        if (spec.run_dir / RUN).exists() and read_json(spec.run_dir / RUN) is None:
            print(f"{spec.run_dir / RUN} could not be read, and is written anew", file=sys.stderr)
        copied = plan.request.snapshot and plan.where == "slurm"
        if plan.where == "slurm":
            _need_submitit()
        else:
            _need_horovod(spec)
        code = code or (take_snapshot(spec.run_dir.parent) if copied else code_root())
        with put_aside(spec.run_dir):
            write_json(spec.run_dir / RUN, _describe(plan, code))
            if plan.where == "slurm":
                job_id, process = _sbatch(spec, code, program), None
            else:
                job_id, process = None, local.start(spec, held)
        if job_id is not None:
            _note_job(spec.run_dir, job_id)
        return Launched(spec.run_dir, job_id, "started" if process else "submitted", state, process)


@contextmanager
def _alone(run_dir: Path) -> Iterator[int]:
    """Hold the run's folder while it is looked at and submitted; gives the open file that is locked. On a file system without
    locks nothing is held."""
    file = os.open(run_dir / ".submit.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            print(
                f"submit: {run_dir} cannot be locked ({error.strerror}): do not submit it twice at once",
                file=sys.stderr,
            )
        yield file
    finally:
        os.close(file)


def _find(plan: Plan) -> RunState:
    """How the run stands; a job of it that no record knows, because its submission was killed, is written down, and the result that
    one put aside is put back when there is no such job."""
    state = state_of(plan.spec.run_dir)
    if state.is_active or state.state == "finished":
        return state
    for job in my_jobs().values() if plan.where == "slurm" else ():
        if job.mark == plan.spec.mark and (job.waits or job.runs) and job.state != "COMPLETING":
            append(plan.spec.run_dir, "submitted", where="slurm", job_id=job.job_id, found=True)
            return state_of(plan.spec.run_dir)
    if state.state != "unknown" and put_back(plan.spec.run_dir):
        return state_of(plan.spec.run_dir)
    return state


def _refuse_another(plan: Plan) -> None:
    """A folder that was named may hold a run of other settings; another number of ranks may go on with it."""
    there = read_json(plan.spec.run_dir / RUN)
    before = (there or {}).get("identity")
    if not isinstance(before, dict):
        return
    now = plan.identity
    unknown = {"data.content"} - before.keys()  # of a run that was submitted before it was looked at
    other = [name for name in sorted({*before, *now} - {"ranks"} - unknown) if before.get(name) != now.get(name)]
    if other:
        said = ", ".join(f"{name}={before.get(name)}" for name in other[:5])
        raise HoldsAnother(
            f"{plan.spec.run_dir} holds a run with {said}; go on with the same settings, or choose another --name"
        )


def _sbatch(spec: JobSpec, code: Path, program: Program) -> str:
    attempt = Attempt(spec.stage, spec.overrides, spec.run_dir, spec.controller, program)
    judged = [*python_of(code), "-m", "hpc.again", "--run-dir", str(spec.run_dir), "--status"]
    return sbatch(spec, code, attempt, after=judged)


def _note_job(run_dir: Path, job_id: str) -> None:
    """Write it down; it may have begun already, and said so."""
    if not any(event.get("job_id") == job_id for event in attempts(run_dir)):
        append(run_dir, "submitted", where="slurm", job_id=job_id)


def _need_horovod(spec: JobSpec) -> None:
    if spec.world_size > 1 and not shares_tasks(spec.stage) and importlib.util.find_spec("horovod") is None:
        raise JobError(
            f"{spec.world_size} ranks need Horovod, which is not installed; build it with: python -m hpc.build_horovod"
        )


def _need_submitit() -> None:
    if importlib.util.find_spec("submitit") is None:
        raise JobError(
            "jobs of Slurm need submitit, which is not installed; install what a cluster needs: pip install 'v2a-hpc[hpc]'"
        )


def _describe(plan: Plan, code: Path) -> dict[str, Any]:
    """What `run.json` holds."""
    spec = {**dataclasses.asdict(plan.spec), "run_dir": str(plan.spec.run_dir)}
    settings = _plain(dataclasses.asdict(plan.config))
    steps = settings.get("train", settings)
    return {
        "format": _FORMAT, "name": plan.spec.run_dir.name, "stage": plan.spec.stage, "where": plan.where, "profile": plan.profile,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "steps": steps.get("steps") if isinstance(steps, dict) else None,
        "identity": plan.identity, "videos": plan.videos, "settings": settings, "spec": spec,
        "after": [os.path.abspath(path) for path in plan.request.after],
        "code": {"folder": str(code), **git_commit()},
        "environment": {"python": platform.python_version(), "executable": sys.executable, **_versions()},
    }  # fmt: skip


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Values that JSON has; infinity is none of them."""
    plain: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            plain[name] = _plain(value)
        else:
            known = isinstance(value, (int, str)) or (isinstance(value, float) and math.isfinite(value))
            plain[name] = value if known else str(value)
    return plain


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
