"""`hpc.submit` and the worker on the test cluster: the self-test trains on four hosts, and unfit jobs are refused."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

from tests.cluster.testbed import CHECKOUT, T4_NODES, Testbed

pytestmark = pytest.mark.cluster
SUBMIT = [sys.executable, "-m", "hpc.submit"]


@pytest.fixture
def runs(shared_folder: Path) -> Path:
    folder = shared_folder / "runs"
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def result(runs: Path) -> tuple[dict[str, float], Path]:
    (path,) = runs.glob("selftest-*/result.json")
    return json.loads(path.read_text()), path.parent


def test_four_hosts_train_to_what_one_process_trains_to(cluster: Testbed, runs: Path) -> None:
    done = cluster.run(*SUBMIT, "--nodes", "4", "--follow", "--runs", str(runs / "four"), "stage=selftest", "steps=30")
    four, four_dir = result(runs / "four")
    assert "Submitted job" in done.stdout
    assert "finished: world_size 4  step 30" in done.stdout
    assert (four["world_size"], four["step"], four["ranks_agree"]) == (4, 30, 1)
    assert four["loss"] < four["loss_first"] / 5
    lines = [json.loads(line) for line in (four_dir / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, 31))
    logs = "".join(path.read_text() for path in (four_dir / "submitit").glob("*.out"))
    assert all(f"on {node} (" in logs for node in T4_NODES), "not every host had a rank"

    cluster.run(*SUBMIT, "--cluster", "local", "--runs", str(runs / "one"), "stage=selftest", "steps=30")
    one, one_dir = result(runs / "one")
    assert one["world_size"] == 1
    weights = [torch.load(folder / "weights.pt", weights_only=True) for folder in (four_dir, one_dir)]
    for name, tensor in weights[0].items():
        # fp32 sums in another order: measured 4e-7 after 30 steps, while a lost rank makes 4e-2.
        torch.testing.assert_close(tensor, weights[1][name], rtol=0, atol=1e-5)


def test_two_hosts_without_pmix_find_each_other(cluster: Testbed, runs: Path) -> None:
    options = ["--nodes", "2", "--controller", "gloo", "--follow", "--runs", str(runs)]
    cluster.run(*SUBMIT, *options, "stage=selftest", "steps=5")
    found, _ = result(runs)
    assert (found["world_size"], found["step"], found["ranks_agree"]) == (2, 5, 1)
    again = cluster.run(*SUBMIT, *options, "stage=selftest", "steps=5").stdout
    assert "nothing to do; --again runs it once more" in again


def test_more_nodes_than_the_partition_has_are_refused_before_the_queue(cluster: Testbed, runs: Path) -> None:
    done = cluster.run(*SUBMIT, "--nodes", "5", "--runs", str(runs), "stage=selftest", check=False)
    assert done.returncode == 1
    assert "partition t4 has 4 nodes, but --nodes 5" in done.stderr
    assert cluster.run("squeue", "-h").stdout == ""
    assert not runs.exists()


def test_an_unknown_partition_names_the_known_ones(cluster: Testbed, runs: Path) -> None:
    done = cluster.run(*SUBMIT, "--partition", "gpu", "--runs", str(runs), "stage=selftest", check=False)
    assert done.returncode == 1
    assert "there are: t4, dgx, low" in done.stderr


def test_dry_run_submits_nothing(cluster: Testbed, runs: Path) -> None:
    done = cluster.run(
        *SUBMIT, "--nodes", "4", "--gpus-per-node", "4", "--dry-run", "--runs", str(runs), "stage=selftest"
    )
    assert "would submit to Slurm: 4 ranks on 4 nodes" in done.stdout
    assert cluster.run("squeue", "-h").stdout == ""
    assert not runs.exists()


def test_a_folder_that_the_nodes_do_not_share_is_found_by_the_preflight(cluster: Testbed) -> None:
    # Every node has a /tmp of its own, so a run there would leave its checkpoints in two places.
    worker = [
        sys.executable,
        "-m",
        "hpc.worker",
        "--run-dir",
        "/tmp/v2a-runs/x",
        "--shared-timeout",
        "4",
        "stage=selftest",
    ]
    done = cluster.run("srun", "-N2", "--ntasks-per-node=1", "--mpi=pmix", "--kill-on-bad-exit=1", *worker, check=False)
    assert done.returncode != 0
    assert "does not see" in done.stdout + done.stderr
    assert not Path("/tmp/v2a-runs").exists()


def test_preflight_by_itself_on_four_nodes(cluster: Testbed, runs: Path) -> None:
    done = cluster.run(
        "srun", "-N4", "--ntasks-per-node=1", "--mpi=pmix", sys.executable, "-m", "hpc.preflight", "--runs", str(runs)
    )
    assert all(node in done.stdout for node in T4_NODES)


def test_sbatch_script_of_the_self_test(cluster: Testbed, runs: Path) -> None:
    done = cluster.run(
        "sbatch",
        "--parsable",
        "--wait",
        "-N2",
        f"--output={runs}.log",
        "slurm/selftest.sh",
        RUN_DIR=str(runs / "x"),
        STEPS="10",
    )
    assert done.stdout.strip().isdecimal()
    assert json.loads((runs / "x" / "result.json").read_text())["world_size"] == 2
    assert CHECKOUT.joinpath("slurm", "selftest.sh").exists()
