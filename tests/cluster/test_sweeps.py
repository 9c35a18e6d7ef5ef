"""A sweep on the test cluster, in PostgreSQL where there is one: trials of two hosts, three drivers, one of them killed."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from slurm.testbed.layout import Addresses, Cluster
from sweeps.opening import open_sweep
from sweeps.place import Place, find_place
from sweeps.storage import open_storage
from tests.cluster.testbed import CHECKOUT, Testbed, clean_environment, wait_until
from tests.databases.postgres import PASSWORD, Postgres, binaries

pytestmark = pytest.mark.cluster
TRIALS = 3


@pytest.fixture
def runs(shared_folder: Path) -> Path:
    folder = shared_folder / "sweeps"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


@pytest.fixture
def server(cluster: Testbed) -> Iterator[Postgres | None]:
    """A database that the nodes reach."""
    if binaries() is None:
        yield None
        return
    subnet = IPv4Network(Cluster(cluster.folder).ready_file.read_text().strip())
    found = Postgres(Addresses(subnet).shell)
    found.start()
    yield found
    found.remove()


@pytest.fixture
def storage(server: Postgres | None, runs: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The database; a journal, which all nodes see here, where there is no PostgreSQL."""
    if server is None:
        return f"journal:{runs / 'study.log'}"
    monkeypatch.setenv("PGPASSFILE", str(server.passfile(runs)))
    return server.url


def driver_command(runs: Path, storage: str, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "sweeps.optuna_run", "--cluster", "slurm", "--runs", str(runs), "--study", "on two hosts",
        "--storage", storage, "--search", "lr=log(1e-3, 1e-1)", *more, "stage=selftest",
    ]  # fmt: skip


def start(cluster: Testbed, command: list[str], node: str | None = None) -> subprocess.Popen[str]:
    """A driver in this machine's shell, or on a node."""
    environment = clean_environment(SLURM_CONF=str(cluster.slurm_conf))
    program = command if node is None else cluster.command("shell", node)
    process = subprocess.Popen(
        program,
        cwd=CHECKOUT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if node is not None and process.stdin is not None:
        process.stdin.write(f"cd {shlex.quote(str(CHECKOUT))} && exec {shlex.join(command)}\n")
        process.stdin.flush()
    return process


def check_trials(storage: str, runs: Path, trials: int) -> None:
    """So many, all finished, each with parameters of its own, and no job left."""
    place: Place = find_place(storage, runs, {})
    found = open_sweep(open_storage(place), "on two hosts", None).trials()
    states = [trial.state.name for trial in found]
    assert set(states) <= {"COMPLETE", "PRUNED"}, [trial.user_attrs.get("reason") for trial in found]
    assert len(states) == trials
    assert len({str(trial.params) for trial in found}) == trials


def _what_slurm_tells(cluster: Testbed) -> str:
    """Of the jobs that are there, to any user: their descriptions, and the script of each."""
    jobs = cluster.run("squeue", "-h", "-o", "%A").stdout.split()
    assert jobs
    told = cluster.run("scontrol", "show", "job", "--details").stdout
    return told + "".join(cluster.run("scontrol", "write", "batch_script", job, "-").stdout for job in jobs)


def test_two_drivers_finish_what_a_killed_one_began(cluster: Testbed, runs: Path, storage: str) -> None:
    command = [*driver_command(runs, storage, "--nodes", "2", "--trials", str(TRIALS), "--parallel", "1"), "steps=10"]
    first = start(cluster, command)
    begun = runs / "on two hosts" / "trial-0000" / "where.json"
    wait_until("the first trial runs", lambda: begun.exists() or first.poll() is not None, timeout_s=120)
    assert first.poll() is None, first.communicate()[0]
    assert PASSWORD not in _what_slurm_tells(cluster), "a password that every user of the cluster can read"
    first.kill()
    first.communicate()
    drivers = [start(cluster, command), start(cluster, command)]
    try:
        said = [process.communicate(timeout=200)[0] for process in drivers]
    finally:
        for process in drivers:
            process.kill()
    assert [process.returncode for process in drivers] == [0, 0], "\n".join(said)
    check_trials(storage, runs, TRIALS)
    logs = "".join(path.read_text() for path in runs.glob("*/trial-*/submitit/*.out"))
    assert "on t4-" in logs
    wait_until("every job ends", lambda: cluster.run("squeue", "-h").stdout == "")
    files = [path for path in (runs / "on two hosts").rglob("*") if path.is_file()]
    assert [path for path in files if PASSWORD.encode() in path.read_bytes()] == [], "a password was written down"


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_killed_driver_a_dead_node_and_a_stopped_database_cost_time_alone(
    cluster: Testbed, runs: Path, storage: str, server: Postgres | None
) -> None:
    """24 trials of two ranks, four at once, two drivers on two hosts."""
    command = [
        *driver_command(runs, storage, "--ranks-per-node", "2", "--trials", "24", "--parallel", "2"),
        "steps=300",
    ]
    first, second = start(cluster, command), start(cluster, command, node="t4-4")
    folder = runs / "on two hosts"
    try:
        wait_until("four trials run", lambda: len(list(folder.glob("trial-*/where.json"))) >= 4, timeout_s=300)
        first.kill()
        first.communicate()
        first = start(cluster, command)
        assert first.stdout is not None
        while not first.stdout.readline().startswith("trial"):
            assert first.poll() is None, "the driver that was started again ended"
        cluster("fault", "cut", "t4-1")
        if server is not None:
            server.stop()
            time.sleep(60)
            server.start()
        wait_until("ten trials began", lambda: len(list(folder.glob("trial-*/where.json"))) >= 10, timeout_s=600)
        cluster("fault", "heal", "t4-1")
        said = [process.communicate(timeout=900)[0] for process in (first, second)]
    finally:
        for process in (first, second):
            process.kill()
    assert [process.returncode for process in (first, second)] == [0, 0], "\n".join(said)
    check_trials(storage, runs, 24)
    wait_until("every job ends", lambda: cluster.run("squeue", "-h").stdout == "")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_worker_of_two_hosts_whose_time_is_short_goes_back_into_the_queue(
    cluster: Testbed, runs: Path, storage: str
) -> None:
    """Slurm's warning comes in the middle of a trial; the same job goes on with it from its checkpoint."""
    options = ["--mode", "workers", "--nodes", "2", "--trials", "2", "--parallel", "1"]
    driver = start(cluster, [*driver_command(runs, storage, *options), "steps=600"])
    folder = runs / "on two hosts"
    metrics = folder / "trial-0000" / "metrics.jsonl"
    try:
        wait_until("the first trial trains", lambda: metrics.exists() and metrics.stat().st_size > 0, timeout_s=300)
        (job,) = cluster.run("squeue", "-h", "-o", "%A").stdout.split()
        cluster.run("scancel", "--signal=USR2", job)
        said = driver.communicate(timeout=400)[0]
    finally:
        driver.kill()
    assert driver.returncode == 0, said
    check_trials(storage, runs, 2)
    starts = cluster.run("sacct", "-n", "-X", "-D", "-P", "-o", "JobID,State", f"--jobs={job}").stdout.split()
    assert len(starts) == 2, "one job, put back once"
    logs = "".join(path.read_text() for path in folder.rglob("*_0_log.out"))
    assert "there is more to do: back into the queue" in logs
    assert "going on from step" in logs
