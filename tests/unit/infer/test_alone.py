"""A single video: one process with all cores, and what is said when it is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.house.source import CHECKOUT
from tests.unit.infer.running import film, lines, made
from v2a.infer.__main__ import main
from v2a.infer.job import InferJob
from v2a.tasks import Counts, SerialTasks


def test_a_single_video_has_one_process_and_all_cores(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen = []

    def watch(_: object, job: InferJob, should_stop: Callable[[], bool]) -> Counts:
        seen.append(job.config.threads)
        return SerialTasks().run(job, should_stop)

    monkeypatch.setattr("v2a.watched.WatchedTasks.run", watch)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(384)))
    path = film(tmp_path / "a.mp4")
    for number, more in enumerate(([], ["--set", "threads=1"], ["--set", "threads=3"])):
        out = tmp_path / str(number)
        assert main([str(path), "--model", str(model), "--out", str(out), "--device", "cpu", *more]) == 0
        assert made(out) == {"a.mp4", "a.wav"}
    assert seen == [8, 1, 3]


def test_a_single_video_that_ends_its_process_is_said(model: Path, tmp_path: Path):
    path = film(tmp_path / "a.mp4")
    out = tmp_path / "out"
    program = (
        "import os, signal; import v2a.infer.video as video; import v2a.watched as watched; real = watched._main\n"
        "def main(*words):\n"
        "    video.make_sound = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    real(*words)\n"
        "watched._main = main\n"
        "if __name__ == '__main__':\n"
        "    import sys; from v2a.infer.__main__ import main as infer; sys.exit(infer(sys.argv[1:]))\n"
    )
    (tmp_path / "program.py").write_text(program)
    done = subprocess.run(
        [sys.executable, tmp_path / "program.py", path, "--model", model, "--out", out, "--device", "cpu"],
        cwd=CHECKOUT, env={**os.environ, "PYTHONPATH": str(CHECKOUT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    (failure,) = lines(out / "failures.jsonl")
    assert failure["kind"] == "crash"
    assert failure["reason"] == "it ended the process that read it 2 times: signal SIGKILL (out of memory?)"
    assert "other processes" not in done.stderr
