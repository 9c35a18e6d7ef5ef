"""Stage `vqvae` through `hpc.worker`, as real processes: killed, stopped and started again, it ends as if nothing had been.

Whether killed ranks were launched by mpirun or horovodrun does not matter, nor which of them goes on: two numbers have one sum.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from tests.contracts.training import NETWORKS, differences, left
from tests.distributed.launch import _MARK, LAUNCHERS, missing, survivors
from tests.distributed.moving import write_moving
from tests.house.source import CHECKOUT

pytestmark = pytest.mark.distributed
WORKERS = {"alone": [], **LAUNCHERS}
STEPS = 48
# A step takes some 10 ms, a record is written after each third one.
SETTINGS = (
    "stage=vqvae", "preset=tiny", "model=paper", "crop=8", "quantizer.decay=0.5", "quantizer.restart_below=0.2", "train.batch=2",
    "train.accumulate=2", "train.warmup=4", "train.log_every=3", "train.validate_every=20", "train.checkpoint_every=7",
)  # fmt: skip
ENDS_WITHIN_S = 30.0  # after a rank was killed; on a busy machine, too


class Worker:
    """A running `hpc.worker`, of one process or of two ranks.

    Args:
        launcher: "alone", or one of `LAUNCHERS`.
        run: the run's folder.
        settings: of the stage.
        limit: commands of the shell that starts it, such as "ulimit …;".
    """

    def __init__(self, launcher: str, run: Path, settings: list[str], limit: str = "") -> None:
        self.metrics, self.output = run / "metrics.jsonl", run.with_name(run.name + ".txt")
        self._mark = uuid.uuid4().hex
        words = [*WORKERS[launcher], sys.executable, "-m", "hpc.worker", "--run-dir", str(run), *settings]
        environ = {**os.environ, "OMPI_MCA_btl_vader_single_copy_mechanism": "none", _MARK: self._mark}
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                ["bash", "-c", f'{limit} exec "$@"', "bash", *words], cwd=CHECKOUT, env=environ, stdout=output,
                stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def ranks(self) -> list[int]:
        """Process ids of its ranks, not of launchers."""
        found = []
        for pid in survivors(self._mark):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[1:3] == [b"-m", b"hpc.worker"]:
                found.append(pid)
        return sorted(found)

    def wait_for_records(self, count: int) -> None:
        """Until so many records of this launch are there; returns too when it ends before."""
        deadline = time.monotonic() + 150
        first = None
        while self._process.poll() is None:
            text = self.metrics.read_text() if self.metrics.exists() else ""
            first = text.count("\n") if first is None and self._joined() else first
            if first is not None and text.count("\n") >= first + count:
                return
            assert time.monotonic() < deadline, f"no record within 150 s:\n{self.output.read_text()[-3000:]}"
            time.sleep(0.01)

    def _joined(self) -> bool:
        """Whether its rank 0 has opened the records."""
        for pid in self.ranks():
            try:
                if any(os.readlink(entry) == str(self.metrics) for entry in Path(f"/proc/{pid}/fd").iterdir()):
                    return True
            except OSError:
                continue
        return False

    def signal(self, number: int, which: slice) -> None:
        """Send a signal to some ranks."""
        ranks = self.ranks()
        for pid in ranks[which]:
            os.kill(pid, number)

    def end(self, within_s: float = 120) -> int:
        """Exit status of the whole; no process of it is left then.

        Raises:
            AssertionError: it did not end in time, or left a process.
        """
        try:
            status = self._process.wait(timeout=within_s)
            deadline = time.monotonic() + 10
            while survivors(self._mark) and time.monotonic() < deadline:
                time.sleep(0.05)
            assert survivors(self._mark) == [], "a process is left"
        except subprocess.TimeoutExpired:
            raise AssertionError(f"no end within {within_s} s:\n{self.output.read_text()[-3000:]}") from None
        finally:
            for pid in survivors(self._mark):
                os.kill(pid, signal.SIGKILL)
        return status


def _usable(*launchers: str) -> None:
    for launcher in launchers:
        if reason := missing(launcher):
            pytest.skip(reason)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Moving shapes."""
    return write_moving(tmp_path_factory.mktemp("moving") / "data")


def _finish(launcher: str, run: Path, settings: list[str]) -> dict[str, float]:
    worker = Worker(launcher, run, settings)
    assert worker.end(900) == 0, worker.output.read_text()[-3000:]
    result: dict[str, float] = json.loads((run / "result.json").read_text())
    return result


def _kill(launcher: str, run: Path, settings: list[str], which: slice, moment: random.Random) -> None:
    """Start, and kill some ranks with -9 at a random moment; the others end by themselves, soon."""
    worker = Worker(launcher, run, settings)
    worker.wait_for_records(moment.randint(1, 3))
    time.sleep(moment.uniform(0, 0.03))
    worker.signal(signal.SIGKILL, which)
    assert worker.end(ENDS_WITHIN_S) != 0, "it finished before it was killed: this shows nothing"


def _stop(launcher: str, run: Path, settings: list[str], number: int) -> None:
    """Start, and ask the last rank to stop."""
    worker = Worker(launcher, run, settings)
    worker.wait_for_records(1)
    worker.signal(number, LAST)
    assert worker.end() == 75, worker.output.read_text()[-3000:]
    said = worker.output.read_text()
    step = int(said.rpartition("asked to stop (USR2 or TERM) after step ")[2].partition(";")[0])
    assert (run / "checkpoints" / f"step-{step:08d}.json").exists(), (
        "a run that stops leaves a checkpoint of its last step"
    )
    assert not (run / "result.json").exists()


ALL, FIRST, LAST = slice(None), slice(0, 1), slice(-1, None)


def test_two_ranks_killed_and_stopped_end_as_the_undisturbed_run(data: Path, tmp_path: Path):
    _usable("mpirun")
    settings = [*SETTINGS, f"data={data}", f"train.steps={STEPS}", "quantizer=ema"]
    expected = _finish("horovodrun", tmp_path / "whole", settings)
    run, moment = tmp_path / "it's a run; $HOME", random.Random()
    _stop("mpirun", run, settings, signal.SIGUSR2)
    _kill("horovodrun", run, settings, (FIRST, LAST)[moment.randint(0, 1)], moment)
    _kill("mpirun", run, settings, ALL, moment)
    found = _finish("horovodrun", run, settings)
    assert differences(left(tmp_path / "whole", STEPS), left(run, STEPS)) == []
    assert differences(expected, found) == []
    assert found["world_size"] == 2


@pytest.mark.parametrize("network", ["gradient", "residual"])
def test_one_process_that_is_killed_ends_as_the_undisturbed_run(data: Path, tmp_path: Path, network: str):
    settings = [*SETTINGS, f"data={data}", f"train.steps={STEPS}", *NETWORKS[network]]
    expected = _finish("alone", tmp_path / "whole", settings)
    run, moment = tmp_path / "run", random.Random()
    _kill("alone", run, settings, ALL, moment)
    found = _finish("alone", run, settings)
    assert differences(left(tmp_path / "whole", STEPS), left(run, STEPS)) == []
    assert differences(expected, found) == []


def test_a_checkpoint_that_cannot_be_written_ends_all_ranks_with_the_reason(data: Path, tmp_path: Path):
    """Files of 64 kB at most, as on a disk that is full; a checkpoint is larger."""
    settings = [*SETTINGS, f"data={data}", f"train.steps={STEPS}"]
    worker = Worker("horovodrun", tmp_path / "run", settings, limit="ulimit -f 64;")
    assert worker.end() != 0
    said = worker.output.read_text()
    assert "worker: [Errno 27] File too large: " in said, said[-3000:]
    ranks = [line for line in said.splitlines() if line.startswith("[")]  # horovodrun has one of its own to show
    assert [line for line in ranks if "Traceback" in line] == []
    assert "step-00000007.pt could not be written; checkpoints before it are untouched. Make room" in said
    assert not list((tmp_path / "run" / "checkpoints").iterdir()), "nothing half-written stays"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_fifty_kills_at_random_moments_change_nothing(data: Path, tmp_path: Path):
    """From the launch on: before the first step, in a checkpoint, in an epoch's end; every second time one rank alone is killed."""
    _usable("mpirun")
    settings = [*SETTINGS, f"data={data}", "train.steps=2000", "train.checkpoint_every=7", "train.validate_every=100"]
    _finish("horovodrun", tmp_path / "whole", settings)
    run, moment, kills = tmp_path / "run", random.Random(), 0
    while kills < 50:
        worker = Worker(("mpirun", "horovodrun")[kills % 2], run, settings)
        if kills % 10:
            worker.wait_for_records(moment.randint(0, 12))
        else:
            time.sleep(moment.uniform(0, 4))
        worker.signal(signal.SIGKILL, (ALL, FIRST, LAST)[kills % 3])
        assert worker.end(ENDS_WITHIN_S) != 0, "it finished before it was killed: give it more steps"
        kills += 1
    _finish("horovodrun", run, settings)
    assert differences(left(tmp_path / "whole", 2000), left(run, 2000)) == []
