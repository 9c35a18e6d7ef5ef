"""Faults on request, each for real: what Slurm says of it, and that its undoing brings everything back."""

from pathlib import Path

import pytest

from tests.cluster.testbed import T4_NODES, Testbed, wait_until

pytestmark = pytest.mark.cluster


def hosts_that_answer(cluster: Testbed, timeout_s: float = 90) -> list[str]:
    """Names of the hosts that run a job of all T4 nodes, once Slurm calls every node idle."""
    wait_until("every node is idle", lambda: set(cluster.states().values()) == {"idle"}, timeout_s)
    return sorted(cluster.run("srun", "-N4", "hostname").stdout.split())


def test_a_cut_node_is_found_down_and_comes_back_when_healed(cluster: Testbed) -> None:
    assert "cut off" in cluster("fault", "cut", "t4-2").stdout
    wait_until("Slurm finds t4-2 down", lambda: cluster.states()["t4-2"].startswith("down"), timeout_s=90)
    assert cluster.run("srun", "-N3", "hostname").stdout.split() != []
    assert "network again" in cluster("fault", "heal", "t4-2").stdout
    assert hosts_that_answer(cluster) == T4_NODES


def test_a_killed_node_loses_its_processes_and_comes_back_when_restarted(cluster: Testbed, shared_folder: Path) -> None:
    alive = shared_folder / "alive"
    alive.unlink(missing_ok=True)
    job = cluster.run(
        "sbatch", "--parsable", "--no-requeue", "-w", "t4-3", "-o", "/dev/null", "--wrap",
        f"while :; do touch {alive}; sleep 0.1; done",
    ).stdout.strip()  # fmt: skip
    wait_until("the job runs", alive.exists)
    assert "lost its power" in cluster("fault", "kill", "t4-3").stdout
    alive.unlink()
    assert "does not run already" in cluster("fault", "kill", "t4-3").stdout
    assert not alive.exists(), "a process of the killed node still writes"
    wait_until("the job is given up", lambda: cluster.job_state(job) == "NODE_FAIL", timeout_s=90)
    assert "starts" in cluster("fault", "restart", "t4-3").stdout
    assert hosts_that_answer(cluster) == T4_NODES
    assert "runs already" in cluster("fault", "restart", "t4-3").stdout


def test_a_killed_slurmd_leaves_its_job_alone(cluster: Testbed) -> None:
    job = cluster.run("sbatch", "--parsable", "-w", "t4-4", "-o", "/dev/null", "--wrap", "sleep 8").stdout.strip()
    wait_until("the job runs", lambda: cluster.job_state(job) == "RUNNING")
    assert "was killed" in cluster("fault", "kill", "t4-4/slurmd").stdout
    assert "runs again" in cluster("fault", "restart", "t4-4/slurmd").stdout
    wait_until("the job ends well", lambda: cluster.job_state(job) == "COMPLETED", timeout_s=60)
    assert cluster.states()["t4-4"] == "idle"


@pytest.mark.parametrize("daemon", ["slurmctld", "slurmdbd", "mariadbd", "munged"])
def test_a_killed_daemon_of_the_controller_can_be_restarted_under_a_running_job(cluster: Testbed, daemon: str) -> None:
    job = cluster.run("sbatch", "--parsable", "-o", "/dev/null", "--wrap", "sleep 12").stdout.strip()
    wait_until("the job runs", lambda: cluster.job_state(job) == "RUNNING")
    cluster.save_state(job)
    assert "was killed" in cluster("fault", "kill", daemon).stdout
    assert "runs again" in cluster("fault", "restart", daemon).stdout
    wait_until("the job ends well", lambda: cluster.job_state(job) == "COMPLETED", timeout_s=60)
    assert hosts_that_answer(cluster) == T4_NODES


@pytest.mark.parametrize(
    ("action", "target", "said"),
    [
        ("cut", "t4-9", "there is no node 't4-9'"),
        ("kill", "printer", "nothing called 'printer'"),
        ("heal", "ctl", "the nodes are"),
    ],
)
def test_unknown_targets_name_the_known_ones(cluster: Testbed, action: str, target: str, said: str) -> None:
    done = cluster("fault", action, target, check=False)
    assert done.returncode == 1
    assert said in done.stderr
    assert "t4-1" in done.stderr
