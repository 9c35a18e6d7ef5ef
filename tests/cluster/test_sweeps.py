"""A sweep on the test cluster, in PostgreSQL where there is one: trials of two hosts, three drivers, one of them killed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from slurm.testbed.layout import Addresses, Cluster
from sweeps.place import Place, find_place
from sweeps.storage import open_storage
from sweeps.study import open_sweep
from tests.cluster.testbed import CHECKOUT, Testbed, clean_environment, wait_until
from tests.databases.postgres import Postgres, binaries

pytestmark = pytest.mark.cluster
TRIALS = 3


@pytest.fixture
def runs(shared_folder: Path) -> Path:
    folder = shared_folder / "sweeps"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


@pytest.fixture
def storage(cluster: Testbed, runs: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database that the nodes reach; a journal, which they all see here, where there is no PostgreSQL."""
    if binaries() is None:
        yield f"journal:{runs / 'study.log'}"
        return
    subnet = IPv4Network(Cluster(cluster.folder).ready_file.read_text().strip())
    server = Postgres(Addresses(subnet).shell)
    server.start()
    monkeypatch.setenv("PGPASSFILE", str(server.passfile(runs)))
    yield server.url
    server.remove()


def test_two_drivers_finish_what_a_killed_one_began(cluster: Testbed, runs: Path, storage: str) -> None:
    driver = [
        sys.executable, "-m", "sweeps.optuna_run", "--cluster", "slurm", "--nodes", "2", "--trials", str(TRIALS), "--parallel", "1",
        "--runs", str(runs), "--study", "on two hosts", "--storage", storage, "--search", "lr=log(1e-3, 1e-1)", "stage=selftest",
        "steps=10",
    ]  # fmt: skip

    def start() -> subprocess.Popen[str]:
        environment = clean_environment(SLURM_CONF=str(cluster.slurm_conf))
        return subprocess.Popen(
            driver, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    first = start()
    begun = runs / "on two hosts" / "trial-0000" / "where.json"
    wait_until("the first trial runs", lambda: begun.exists() or first.poll() is not None, timeout_s=120)
    assert first.poll() is None, first.communicate()[0]
    first.kill()
    first.communicate()
    drivers = [start(), start()]
    try:
        said = [process.communicate(timeout=200)[0] for process in drivers]
    finally:
        for process in drivers:
            process.kill()
    assert [process.returncode for process in drivers] == [0, 0], "\n".join(said)

    place: Place = find_place(storage, runs, {})
    trials = open_sweep(open_storage(place), "on two hosts", None).trials()
    states = [trial.state.name for trial in trials]
    assert len(states) == TRIALS
    assert set(states) <= {"COMPLETE", "PRUNED"}, [trial.user_attrs.get("reason") for trial in trials]
    assert len({str(trial.params) for trial in trials}) == TRIALS
    logs = "".join(path.read_text() for path in runs.glob("*/trial-*/submitit/*.out"))
    assert "on t4-" in logs
    wait_until("every job ends", lambda: cluster.run("squeue", "-h").stdout == "")
