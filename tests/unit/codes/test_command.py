"""The commands: help with its settings; info and verify of a folder of codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.house.documents import script_faults
from v2a.codes.__main__ import main, parser
from v2a.shards.cli import main as shards
from v2a.stages import load_config, shares_tasks


def test_help_shows_settings_and_examples_that_are_accepted(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    said = capsys.readouterr().out
    assert ended.value.code == 0
    assert "device=auto" in said
    examples = [line for line in (parser().epilog or "").splitlines() if line.startswith(("python", "mpirun"))]
    assert len(examples) == 5
    assert script_faults("\n".join(examples)) == []


def test_the_launcher_knows_the_stage():
    assert shares_tasks("codes")
    assert load_config("codes", ["model=a b", "data=c"]).model == "a b"


def test_info_and_verify(run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    assert main(["--workers", "0", f"model={run}", f"data={data}", f"out={out}"]) == 0
    assert shards(["info", str(out)]) == 0
    assert "30 clips in 6 shards, codes 3x2x4" in capsys.readouterr().out
    assert shards(["info", "--json", str(out)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["clips"], found["grid"], found["codes"], found["bits_per_pixel"]) == (30, [3, 2, 4], 16, 0.0625)
    assert shards(["verify", str(out)]) == 0
    assert "sound; 6 sound shards of codes" in capsys.readouterr().out
    for number, damage in ((1, b""), (4, b"x" * 5000)):
        (out / f"codes-w0-0000{number}.h5").write_bytes(damage)
    assert shards(["verify", str(out)]) == 1
    said = capsys.readouterr().out
    assert "NOT SOUND; 4 sound shards" in said
    assert said.count("bad:  ") == 2
    assert shards(["info", str(out)]) == 1
    assert shards(["info", str(data)]) == 0  # clips are still clips
