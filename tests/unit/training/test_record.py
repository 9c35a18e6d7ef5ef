"""A run's records on a disk that is full: which file it was, and nothing worse than lost points of a curve at the end."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from v2a.training.record import Recorder

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk, and so needs root")


@pytest.fixture
def small_disk(tmp_path: Path):
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(folder: Path) -> None:
    """To the last byte."""
    with (folder / "other").open("ab", buffering=0) as file:
        for size in (4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def write(recorder: Recorder) -> None:
    """What the file's last page still takes, and more; TensorBoard's thread is waited for now and then."""
    for step in range(1, 20_000):
        recorder.record(step, {"loss": 0.5})
        if not step % 1000:
            recorder._board._writer.flush()  # type: ignore[union-attr]


@needs_root
def test_metrics_that_cannot_be_written_name_their_file(small_disk: Path):
    recorder = Recorder(small_disk / "run", 0, 1000)
    fill(small_disk)
    with pytest.raises(OSError, match=r"metrics\.jsonl could not be written\. Make room, and the same command goes on"):
        write(recorder)
    recorder.close()


@needs_root
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_curves_that_cannot_be_written_name_their_folder_and_do_not_spoil_the_end(
    small_disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Only TensorBoard's folder is on the full disk. Its own thread writes, so what failed is known a little later."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "tensorboard").symlink_to(small_disk)
    recorder = Recorder(run, 0, 1000)
    fill(small_disk)
    with pytest.raises(OSError, match=r"tensorboard could not be written\. Make room, and the same command goes on"):
        write(recorder)
    lines = (run / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, len(lines) + 1))
    recorder.close()
    assert "the last points of its curves could not be written: No space left on device" in capsys.readouterr().out
