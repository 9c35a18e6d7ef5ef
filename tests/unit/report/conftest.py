"""Folders that several tests only read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.pages import command_line
from tests.unit.report.making import HOSTILE, make_evaluation, make_inference, make_run, make_video
from v2a.report.__main__ import main


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation of two videos, one with a hostile name; runs of both stages; an inference."""
    top = tmp_path_factory.mktemp("report")
    videos = [make_video(top / HOSTILE), make_video(top / "b.mp4")]
    (top / "ev").mkdir()
    make_evaluation(top / "ev", videos)
    make_run(top / "fw", "audio")
    make_run(top / "s1 <i>", "vqvae")
    make_inference(top / "sounds")
    return top


@pytest.fixture(scope="session")
def page(world: Path) -> Path:
    """A page of all of them."""
    out = world / "report.html"
    assert main([*(str(world / name) for name in ("ev", "fw", "s1 <i>", "sounds")), "--out", str(out)]) == 0
    return out


@pytest.fixture(name="report")
def report_fixture(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line here: exit status, what it printed, what it complained about."""
    return command_line(main, capfd)
