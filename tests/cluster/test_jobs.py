"""Jobs on the test cluster: what a user of a real one expects of nodes, GPUs, accounting, preemption and Horovod."""

import sys
import time
from pathlib import Path

import pytest

from tests.cluster.testbed import CHECKOUT, T4_NODES, Testbed, wait_until

pytestmark = pytest.mark.cluster


def test_horovod_of_four_hosts_under_srun(cluster: Testbed) -> None:
    program = "import socket, horovod.torch as hvd; hvd.init(); print(hvd.rank(), hvd.size(), socket.gethostname(), flush=True)"
    done = cluster.run(
        "srun", "-N4", "--ntasks-per-node=1", "--gres=gpu:t4:2", "--mpi=pmix", sys.executable, "-c", program
    )
    rows = sorted(line.split() for line in done.stdout.splitlines())
    assert [row[:2] for row in rows] == [["0", "4"], ["1", "4"], ["2", "4"], ["3", "4"]]
    assert sorted(row[2] for row in rows) == T4_NODES


def test_sacct_knows_the_job(cluster: Testbed) -> None:
    cluster.run("srun", "-N2", "--job-name=remembered", "true")

    def rows() -> list[str]:
        return cluster.run(
            "sacct", "-X", "-n", "-P", "--name=remembered", "-o", "state,nnodes,partition"
        ).stdout.splitlines()

    wait_until("the job is in the accounting", lambda: rows() == ["COMPLETED|2|t4"], timeout_s=30)
    assert rows() == ["COMPLETED|2|t4"]


def test_each_node_has_its_own_name_address_and_folders(cluster: Testbed) -> None:
    script = (
        "touch /tmp/mine.$(hostname) /dev/shm/mine.$(hostname); sleep 1; "
        'echo $(hostname) $(ip -4 -o address show eth0 | grep -o "inet [0-9.]*" | cut -c6-) $(ls /tmp /dev/shm | grep -c mine)'
    )
    rows = sorted(line.split() for line in cluster.run("srun", "-N4", "bash", "-c", script).stdout.splitlines())
    assert [row[0] for row in rows] == T4_NODES
    assert len({row[1] for row in rows}) == 4
    assert {row[2] for row in rows} == {"2"}, "a node sees another's /tmp or /dev/shm"
    assert not list(Path("/tmp").glob("mine.t4-*")), "a node writes into this machine's /tmp"


def test_nodes_share_the_checkout_and_reach_each_other_by_name(cluster: Testbed, shared_folder: Path) -> None:
    script = f"cat {CHECKOUT}/LICENSE >/dev/null && getent hosts t4-4 dgx-1 ctl | wc -l"
    assert cluster.run("srun", "-N2", "bash", "-c", script).stdout.split() == ["3", "3"]


@pytest.mark.parametrize(
    ("partition", "gres", "devices"),
    [("t4", "gpu:t4:2", "0,1"), ("t4", "gpu:4", "0,1,2,3"), ("dgx", "gpu:v100:4", "0,1,2,3")],
)
def test_gpus_are_granted_as_on_a_real_node(cluster: Testbed, partition: str, gres: str, devices: str) -> None:
    done = cluster.run("srun", "-p", partition, f"--gres={gres}", "bash", "-c", "echo $CUDA_VISIBLE_DEVICES")
    assert done.stdout.strip() == devices


def test_more_gpus_than_a_node_has_are_refused(cluster: Testbed) -> None:
    done = cluster.run("srun", "--gres=gpu:t4:5", "true", check=False)
    assert done.returncode != 0
    assert "not available" in done.stderr


def test_a_job_of_the_low_partition_is_preempted_warned_and_requeued(cluster: Testbed, shared_folder: Path) -> None:
    said = shared_folder / "preempted.txt"
    said.unlink(missing_ok=True)
    script = f"trap 'echo warned >>{said}' USR2; echo start >>{said}; while :; do sleep 0.2; done"
    submitted = cluster.run(
        "sbatch",
        "--parsable",
        "-p",
        "low",
        "-N4",
        "--exclusive",
        "--requeue",
        "--signal=B:USR2@5",
        "-o",
        "/dev/null",
        "--wrap",
        script,
    )
    low = submitted.stdout.strip()
    wait_until("the low job runs", lambda: said.exists() and cluster.job_state(low) == "RUNNING")
    started = time.monotonic()
    cluster.run("srun", "-N4", "--exclusive", "true")  # waits until the low job has left
    assert time.monotonic() - started < 60
    assert "warned" in said.read_text()
    # It comes back by itself: cred_expire lets it start again 15 s after it was requeued.
    wait_until("the low job runs again", lambda: said.read_text().count("start") == 2, timeout_s=60)
    cluster.run("scancel", low)


def test_arrays_and_dependencies(cluster: Testbed, shared_folder: Path) -> None:
    out = shared_folder / "array"
    out.mkdir(exist_ok=True)
    for old in out.iterdir():
        old.unlink()
    array = cluster.run(
        "sbatch", "--parsable", "--array=0-5%2", "-o", "/dev/null", "--wrap", f"hostname > {out}/$SLURM_ARRAY_TASK_ID"
    ).stdout.strip()  # fmt: skip
    after = cluster.run(
        "sbatch",
        "--parsable",
        f"--dependency=afterok:{array}",
        "-o",
        "/dev/null",
        "--wrap",
        f"ls {out} | wc -l > {out}/count",
    ).stdout.strip()
    wait_until("the last job is done", lambda: cluster.job_state(after) == "COMPLETED", timeout_s=90)
    assert (out / "count").read_text().strip() in ("6", "7")  # its own file may be there already
