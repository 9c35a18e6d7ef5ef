"""A full disk: it is said, what is whole stays, and the same command goes on when there is room."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.media.videos import write_video
from tests.unit.infer.running import lines, made, nothing_is_left, run

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk, and so needs root")


@needs_root
def test_a_full_disk_is_said_and_leaves_what_is_whole(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for number in range(6):
        write_video(tmp_path / f"videos/{number}.mp4", 9.0, seed=number, sound=False)
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=900k", "none", disk], check=True)
    try:
        assert run(tmp_path / "videos", "--model", model, "--out", disk) == 1
        assert "no room is left in" in capsys.readouterr().err
        assert nothing_is_left(disk)
        whole = {Path(name).stem for name in made(disk)}
        assert 1 <= len(whole) < 6
        assert made(disk) == {f"{stem}{suffix}" for stem in whole for suffix in (".mp4", ".wav")}
        subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
        assert run(tmp_path / "videos", "--model", model, "--out", disk) == 0
        assert len(made(disk)) == 12
        assert lines(disk / "failures.jsonl") == []
    finally:
        subprocess.run(["umount", disk], check=True)


@needs_root
def test_a_disk_that_is_full_when_the_picture_is_copied_is_no_bad_picture(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "a.mp4"
    write_video(path, 9.0, seed=1, sound=False)
    disk = tmp_path / "disk"
    disk.mkdir()
    said = []
    for size in range(160, 520, 24):  # from no room for the WAV to room for everything
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "none", disk], check=True)
        try:
            if run(path, "--model", model, "--out", disk) == 0:
                continue
            said.append(capsys.readouterr().err)
            assert "no room is left in" in said[-1], f"{size}k"
            subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
            assert run(path, "--model", model, "--out", disk) == 0, f"{size}k"
        finally:
            subprocess.run(["umount", disk], check=True)
    assert len(said) > 3
