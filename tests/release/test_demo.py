"""The demo at its full size: sound that beats what knows nothing of the picture, and a second time that has nothing to do."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.house.source import CHECKOUT
from v2a.evaluate.config import BASELINES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(5400)]
_BEATEN = ("silence", "noise", "shuffled")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that `make demo` filled."""
    out = tmp_path_factory.mktemp("road") / "demo"
    _walk(out)
    return out


def _walk(out: Path) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", "hpc.demo", "--out", str(out)],
        cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout[-3000:]
    return ended.stdout


def _candidates(out: Path) -> dict[str, Any]:
    (metrics,) = (out / "runs").glob("evaluation-of-*/metrics.json")
    found: dict[str, Any] = json.loads(metrics.read_text())["candidates"]
    return found


def test_it_beats_silence_noise_and_anothers_sound(demo: Path):
    """With nothing in common between the intervals: 95 % of the model's is on the better side of theirs."""
    candidates = _candidates(demo)
    (model,) = (name for name in candidates if name not in BASELINES)
    ours = candidates[model]["scores"]
    for name in _BEATEN:
        theirs = candidates[name]["scores"]
        assert ours["log_mel_db"]["high"] < theirs["log_mel_db"]["low"], name
        assert ours["envelope_r"]["low"] > theirs["envelope_r"]["high"], name


def test_again_there_is_nothing_to_do(demo: Path):
    page = (demo / "report.html").read_bytes()
    begun = time.time()
    said = _walk(demo)
    assert said.count("): finished") == 6, "a link of the pipeline was not known as done"
    assert (demo / "report.html").read_bytes() == page
    trained = [path for path in (demo / "runs").rglob("*.pt") if path.stat().st_mtime > begun]
    assert trained == [], "it trained again"
