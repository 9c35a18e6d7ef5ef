"""The comparisons as commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from v2a.reproduce.__main__ import main
from v2a.reproduce.sizes import SIZES
from v2a.reproduce.steps import PARTS, make_steps


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("parts", [PARTS, *((part,) for part in PARTS)])
def test_every_step_comes_once_and_after_what_it_needs(size: str, parts: tuple[str, ...], tmp_path: Path):
    steps = make_steps(tmp_path, SIZES[size], parts)
    names = [step.name for step in steps]
    assert len(set(names)) == len(names)
    for place, step in enumerate(steps):
        assert set(step.needs) <= set(names[:place]), step.name


def test_a_part_leaves_out_what_only_others_need(tmp_path: Path):
    names = {step.name for step in make_steps(tmp_path, SIZES["tiny"], ("inputs",))}
    assert {"latents-flyby", "pixels-flyby", "framewise-flyby", "evaluate-inputs"} <= names
    assert not any("impacts" in name or "wavenet" in name for name in names)


def test_a_dry_run_shows_the_commands_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["--dry-run", "--out", str(tmp_path / "all"), "--part", "decoders"]) == 0
    shown = capsys.readouterr().out
    assert "python -m v2a.audio" in shown
    assert "preset=wavenet" in shown
    assert list(tmp_path.iterdir()) == []
