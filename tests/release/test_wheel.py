"""The wheel: everything is in it, and it works where nothing else of the project is."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.house.source import CHECKOUT, files
from tests.unit.audio.making import make_audio_run
from v2a.export.__main__ import main as export

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
_PACKAGES = ("hpc", "sweeps", "v2a")
_NOT_NEEDED = ("horovod", "mpi4py", "submitit", "optuna", "psycopg", "yt_dlp", "tfrecord", "pytest")
_IMPORT_ALL = f"""
import importlib, importlib.util, json, pkgutil, v2a
names = [m.name for m in pkgutil.walk_packages(v2a.__path__, "v2a.") if not m.name.endswith("__main__")]
for name in names:
    importlib.import_module(name)
print(json.dumps({{"from": v2a.__file__, "modules": len(names),
                  "there": [n for n in {_NOT_NEEDED!r} if importlib.util.find_spec(n)]}}))
"""


@dataclass(frozen=True)
class Installed:
    """The wheel, and a Python that has it and its dependencies, and nothing else."""

    wheel: Path
    python: Path

    def run(self, folder: Path, *arguments: object, status: int = 0) -> str:
        """Run that Python; -I keeps the present folder off its path."""
        command = [str(self.python), "-I", *map(str, arguments)]
        done = subprocess.run(
            command, cwd=folder, env=_plain(), capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        assert done.returncode == status, done.stdout[-2000:] + done.stderr[-4000:]
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Built by `make wheel` from a copy of what is committed, installed with the tested versions into a new environment."""
    folder = tmp_path_factory.mktemp("wheel")
    for path in files():
        (folder / "copy" / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(CHECKOUT / path, folder / "copy" / path)
    stale = folder / "copy/build/lib/v2a/gone.py"  # what an earlier build left must not come along
    stale.parent.mkdir(parents=True)
    stale.touch()
    _run(
        folder / "copy", "make", "-o", "setup", "wheel", f"BIN={Path(sys.executable).parent}", f"DIST={folder / 'dist'}"
    )
    (wheel,) = (folder / "dist").iterdir()
    _run(folder, sys.executable, "-m", "venv", "venv")
    python = folder / "venv" / "bin" / "python"
    _run(folder, python, "-m", "pip", "install", "--quiet", "-c", CHECKOUT / "constraints" / "cpu.txt", wheel)
    return Installed(wheel, python)


def _plain() -> dict[str, str]:
    """The environment without what would let the checkout in, or make this a make inside a make."""
    foreign = ("PYTHON", "VIRTUAL_ENV", "MAKE", "MFLAGS")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def _run(folder: Path, *command: object) -> None:
    done = subprocess.run(
        [str(word) for word in command], cwd=folder, env=_plain(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


def test_the_wheel_holds_the_packages_and_nothing_else(installed: Installed):
    with zipfile.ZipFile(installed.wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == {path for path in files() if path.split("/")[0] in _PACKAGES}


def test_v2a_needs_nothing_of_clusters_and_searches(installed: Installed, tmp_path: Path):
    answer = json.loads(installed.run(tmp_path, "-c", _IMPORT_ALL).splitlines()[-1])
    assert answer["modules"] > 100
    assert answer["there"] == []
    assert Path(answer["from"]).is_relative_to(installed.python.parents[1])


def test_inference_sounds_as_it_does_in_the_checkout(installed: Installed, tmp_path: Path):
    """An exported model, a silent video of the corpus that the wheel makes, a report: in the clean environment alone."""
    assert export([str(make_audio_run(tmp_path / "run")), "--out", str(tmp_path / "model")]) == 0
    size = ["seconds=3", "width=128", "height=72", "fps=10"]
    installed.run(tmp_path, "-m", "v2a.synthetic", "flyby", "out=videos", "n=1", "seed=5", *size)
    (video,) = (tmp_path / "videos").glob("*.mp4")
    _run(tmp_path, "ffmpeg", "-v", "error", "-i", video, "-an", "-c", "copy", "silent.mp4")
    installed.run(tmp_path, "-m", "v2a.infer", "silent.mp4", "--model", "model", "--out", "clean")
    again = [sys.executable, "-m", "v2a.infer", "silent.mp4", "--model", "model", "--out", "here"]
    subprocess.run(again, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(CHECKOUT)}, check=True)
    assert (tmp_path / "clean/silent.wav").read_bytes() == (tmp_path / "here/silent.wav").read_bytes()
    probe = ["ffprobe", "-v", "error", "-show_streams", "-of", "json", str(tmp_path / "clean/silent.mp4")]
    streams = json.loads(subprocess.run(probe, capture_output=True, text=True, check=True).stdout)["streams"]
    assert sorted(stream["codec_type"] for stream in streams) == ["audio", "video"]
    installed.run(tmp_path, "-m", "v2a.report", "clean", "--out", "report.html")
    assert "v2a-hpc" in (tmp_path / "report.html").read_text()


def test_one_process_trains_without_slurm_mpi_and_horovod(installed: Installed, tmp_path: Path):
    installed.run(
        tmp_path, "-m", "hpc.submit", "--cluster", "local", "--follow", "--name", "small", "stage=selftest", "steps=5"
    )
    assert json.loads((tmp_path / "runs/small/result.json").read_text())
