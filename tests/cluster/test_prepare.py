"""Stage `prepare` on the test cluster: four ranks on two hosts, by srun and by hpc.submit."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cluster.testbed import CHECKOUT, Testbed, clean_environment
from tests.media.datasets import clips_of, moments, records_of
from tests.media.videos import write_video
from v2a.prepare.__main__ import main

pytestmark = pytest.mark.cluster
TINY = ["preset=tiny", "clips_per_shard=4"]


@pytest.fixture
def place(shared_folder: Path) -> Path:
    folder = shared_folder / "prepare"
    shutil.rmtree(folder, ignore_errors=True)
    for number in range(12):
        write_video(folder / "my videos" / f"{number}.mp4", 9.0, seed=number % 3, mark=number)
    (folder / "my videos" / "text.mp4").write_text("no video" * 99)
    return folder


def _srun(place: Path, *options: str) -> list[str]:
    worker = [sys.executable, "-m", "hpc.worker", "--run-dir", str(place / "run"), "stage=prepare"]
    return ["srun", *options, "--mpi=pmix", *worker, f"videos={place / 'my videos'}", f"out={place / 'four'}", *TINY]


def test_four_ranks_on_two_hosts_give_the_clips_of_one_process(cluster: Testbed, place: Path) -> None:
    cluster.run(*_srun(place, "-N2", "--ntasks-per-node=2"))
    assert main(["--workers", "0", f"videos={place / 'my videos'}", f"out={place / 'one'}", *TINY]) == 0
    assert clips_of(place / "four") == clips_of(place / "one")
    assert len(moments(place / "four")) == 12 * 4
    hosts = {path.name.split("-")[1] + "-" + path.name.split("-")[2] for path in (place / "four").glob("clips-*.h5")}
    assert hosts == {"t4-1", "t4-2"}, "each host writes shards of its own"


def test_a_rank_killed_on_a_node_ends_the_step_and_the_same_command_goes_on(cluster: Testbed, place: Path) -> None:
    command = _srun(place, "-N2", "--ntasks-per-node=2", "--kill-on-bad-exit=1")
    environ = clean_environment(SLURM_CONF=str(cluster.slurm_conf))
    step = subprocess.Popen(command, cwd=CHECKOUT, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while step.poll() is None and not list(place.glob("four/clips-*.h5")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    subprocess.run(["pkill", "-KILL", "-o", "-f", f"hpc.worker --run-dir {place / 'run'}"], check=False)
    assert step.wait(timeout=90) != 0
    cluster.run(*_srun(place, "-N2", "--ntasks-per-node=2"))
    assert len(moments(place / "four")) == len(clips_of(place / "four")) == 48
    assert len(records_of(place / "four")) == 12


def test_by_the_door_of_the_cluster(cluster: Testbed, place: Path) -> None:
    size = ["--nodes", "2", "--ranks-per-node", "2", "--follow", "--runs", str(place / "runs")]
    done = cluster.run(
        sys.executable,
        "-m",
        "hpc.submit",
        *size,
        "stage=prepare",
        f"videos={place / 'my videos'}",
        f"out={place / 'four'}",
        *TINY,
    )
    assert "48 clips of 12 videos" in done.stdout
    assert len(moments(place / "four")) == 48
