"""Questions to Slurm, each one command, and their answers as values. Works without sacct."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

_TIMEOUT_S = 30
_WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD")
_RUNNING = ("RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "SIGNALING", "STAGE_OUT", "RESIZING", "STOPPED")
_FIELDS = "%i|%T|%r|%S|%P|%D|%N|%L|%k|%j"


class SlurmError(RuntimeError):
    """Slurm did not answer; the text is its own."""


@dataclass(frozen=True)
class Job:
    """A job as Slurm knows it.

    Attributes:
        job_id: Slurm's.
        state: Slurm's word, "RUNNING" for example.
        reason: why it waits, or how it ended; "None" when there is nothing to say.
        start: when it started, or will by Slurm's own estimate: "2026-11-30T12:00:00", or "N/A".
        partition: its name.
        nodes: number of nodes.
        node_list: their names, as Slurm writes them; empty while it waits.
        time_left: until the time limit, as Slurm writes it; empty when unknown.
        name: of the job.
        mark: its comment, by which a run knows its own (`hpc.job.JobSpec.mark`); None when it was not asked for.
    """

    job_id: str
    state: str
    reason: str
    start: str
    partition: str
    nodes: int
    node_list: str
    time_left: str
    name: str
    mark: str | None = None

    @property
    def waits(self) -> bool:
        """Whether it is in the queue."""
        return self.state in _WAITING

    @property
    def runs(self) -> bool:
        """Whether it has nodes."""
        return self.state in _RUNNING


def is_configured() -> bool:
    """Whether this machine belongs to a Slurm cluster, whether or not its controller answers.

    Raises:
        SlurmError: SLURM_CONF names a file that is not there.
    """
    if shutil.which("sbatch") is None:
        return False
    try:
        ask("sinfo", "--noheader", "--format=%P")
    except SlurmError as error:
        # Programs without a cluster. Anything else, a controller that is down for example, must not make a job that was
        # meant for the cluster run on its login node.
        if "configuration source" in str(error):
            return False
        raise
    return True


def job_state(job_id: str) -> str:
    """State of a job in Slurm's words, "COMPLETED" for example, from the controller's memory (`scontrol`).

    Raises:
        SlurmError: the controller does not know the job.
    """
    match = re.search(r"JobState=(\S+)", ask("scontrol", "--oneliner", "show", "job", str(job_id)))
    if match is None:
        raise SlurmError(f"scontrol shows no state of job {job_id}")
    return match.group(1)


def my_jobs(*options: str) -> dict[str, Job]:
    """This user's jobs that the controller remembers, those that ended a short time ago too, by id: one `squeue`.

    Args:
        options: more of squeue's, "--jobs=4711" for example.

    Raises:
        SlurmError: squeue failed.
    """
    text = ask("squeue", "--noheader", "--states=all", f"--user={os.getuid()}", f"--format={_FIELDS}", *options)
    jobs = {}
    for line in text.splitlines():
        fields = line.split("|", 9)
        if len(fields) == 10 and fields[5].isdecimal():
            left = "" if fields[7] in ("INVALID", "NOT_SET") else fields[7]
            job_id, state, reason, start, partition = fields[:5]
            nodes, node_list, _, mark, name = int(fields[5]), *fields[6:]
            jobs[job_id] = Job(job_id, state, reason, start, partition, nodes, node_list, left, name, mark)
    return jobs


def accounted(job_ids: Iterable[str]) -> dict[str, Job]:
    """Jobs by id from the accounting, in one query; empty where there is none, or when it does not answer."""
    wanted = ",".join(job_ids)
    if not wanted or shutil.which("sacct") is None:
        return {}
    fields = "JobID,State,ExitCode,Start,Partition,NNodes,NodeList,JobName"
    try:
        text = ask("sacct", "--allocations", "--noheader", "--parsable2", f"--jobs={wanted}", f"--format={fields}")
    except SlurmError:
        return {}
    jobs = {}
    for line in text.splitlines():
        parts = line.split("|", 7)
        if len(parts) == 8:
            state = parts[1].split()[0] if parts[1] else ""  # "CANCELLED by 0"
            jobs[parts[0]] = Job(
                parts[0],
                state,
                f"exit {parts[2]}",
                parts[3],
                parts[4],
                int(parts[5]) if parts[5].isdecimal() else 0,
                parts[6],
                "",
                parts[7],
            )
    return jobs


def requeue(job_id: str) -> None:
    """Put a running job of the user's back into the queue.

    Raises:
        SlurmError: Slurm refuses.
    """
    ask("scontrol", "requeue", str(job_id))


def delay(job_id: str, seconds: float) -> None:
    """Keep a job that waits, or was just queued again, from starting for a while.

    Raises:
        SlurmError: Slurm refuses.
    """
    ask("scontrol", "update", f"JobId={job_id}", f"StartTime=now+{seconds:.0f}")


def exclude_nodes(job_id: str, nodes: str) -> None:
    """Keep a waiting job away from nodes.

    Raises:
        SlurmError: Slurm refuses.
    """
    ask("scontrol", "update", f"JobId={job_id}", f"ExcNodeList={nodes}")


def cancel(job_id: str) -> None:
    """End a job.

    Raises:
        SlurmError: Slurm refuses.
    """
    ask("scancel", str(job_id))


def seconds_left(job_id: str) -> int | None:
    """Until a running job's time limit; None when it has none.

    Raises:
        SlurmError: the controller does not know the job.
    """
    text = ask("squeue", "--noheader", f"--jobs={job_id}", "--format=%L").strip()
    match = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", text)
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def ask(*command: str) -> str:
    """What one of Slurm's programs prints.

    Args:
        command: the program and its arguments.

    Raises:
        SlurmError: it is not there, fails, or does not answer.
    """
    config = os.environ.get("SLURM_CONF")
    if config is not None and not os.path.exists(config):
        # Slurm's programs would wait a minute for the file.
        raise SlurmError(
            f"SLURM_CONF names {config!r}, which is not there: this shell's cluster is down. Bring it up, or: unset SLURM_CONF"
        )
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except FileNotFoundError:
        raise SlurmError(
            f"there is no {command[0]} here: log in to the cluster, load its Slurm module, or use --cluster local"
        ) from None
    except subprocess.TimeoutExpired:
        raise SlurmError(f"`{' '.join(command)}` did not answer within {_TIMEOUT_S} s; is slurmctld up?") from None
    if done.returncode != 0:
        raise SlurmError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
    return done.stdout
