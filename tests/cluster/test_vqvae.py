"""Stages `vqvae` and `codes` on two hosts of the test cluster, by srun and PMIx: what two local ranks and one process give."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.cluster.testbed import Testbed
from tests.contracts.training import differences, left
from tests.distributed.launch import launch
from tests.distributed.moving import CLIPS, write_moving
from v2a.codes.__main__ import main

pytestmark = pytest.mark.cluster
SETTINGS = ["preset=tiny", "model=paper", "crop=8", "train.steps=12", "train.log_every=3", "train.checkpoint_every=5"]


@pytest.fixture
def place(shared_folder: Path) -> Path:
    folder = shared_folder / "stage one"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    write_moving(folder / "clips")
    return folder


def _worker(run: Path, stage: str, *settings: str) -> list[str]:
    return ["-m", "hpc.worker", "--run-dir", str(run), f"stage={stage}", *settings]


def test_two_hosts_train_and_encode_as_one_machine_does(cluster: Testbed, place: Path) -> None:
    on_two_hosts = ["srun", "-N2", "--ntasks-per-node=1", "--mpi=pmix", sys.executable]
    training = ["vqvae", *SETTINGS, f"data={place / 'clips'}"]
    said = cluster.run(*on_two_hosts, *_worker(place / "hosts", *training)).stdout
    assert "on t4-1 (" in said
    assert "on t4-2 (" in said
    ended = launch("mpirun", _worker(place / "local", *training))
    assert ended.status == 0, ended.output
    assert differences(left(place / "hosts", 12), left(place / "local", 12)) == []
    result = json.loads((place / "hosts" / "result.json").read_text())
    assert (result["world_size"], result["step"]) == (2, 12)

    encoding = [f"model={place / 'hosts'}", f"data={place / 'clips'}"]
    cluster.run(*on_two_hosts, *_worker(place / "encode", "codes", *encoding, f"out={place / 'codes'}"))
    assert main(["--workers", "0", *encoding, f"out={place / 'codes of one'}"]) == 0
    shards = sorted((place / "codes").glob("codes-*.h5"))
    assert [path.read_bytes() for path in shards] == [
        (place / "codes of one" / path.name).read_bytes() for path in shards
    ]
    assert json.loads((place / "encode" / "result.json").read_text())["clips"] == CLIPS


def test_by_the_door_of_the_cluster(cluster: Testbed, place: Path) -> None:
    door = [sys.executable, "-m", "hpc.submit", "--nodes", "2", "--follow", "--runs", str(place / "runs")]
    done = cluster.run(*door, "stage=vqvae", *SETTINGS, f"data={place / 'clips'}")
    assert "finished: world_size 2  step 12" in done.stdout
    (run,) = (place / "runs").glob("vqvae-*")
    assert json.loads((run / "result.json").read_text())["world_size"] == 2
    assert (run / "test.json").exists()
