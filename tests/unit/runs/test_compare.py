"""`hpc.runs compare`: the settings, curves and results of two runs."""

import json
from pathlib import Path

import pytest

from hpc import runs
from tests.unit.runs.making import make_run
from v2a.whole import write_json


def test_two_runs_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for name, lr in (("a", 0.1), ("b", 0.2)):
        run_dir = make_run(tmp_path, name, settings={"train": {"lr": lr, "steps": 100}, "seed": 1})
        lines = [json.dumps({"step": n, "loss": lr * (100 - n)}) for n in range(1, 101)]
        (run_dir / "metrics.jsonl").write_text("\n".join(lines))
        write_json(run_dir / "result.json", {"loss": lr})
    assert runs.main(["compare", "a", "b", "--runs", str(tmp_path)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == ["settings that differ:", "  train.lr  0.1  |  0.2"]
    assert "loss from 0 to 19.8, until step 100:" in said
    curve = next(line.split()[1] for line in said if line.startswith("  b "))
    assert (curve[0], curve[-1], len(curve)) == ("█", "▁", 48)
    rows = [line.split() for line in said]
    assert ["1", "9.9", "19.8"] in rows
    assert ["100", "0", "0"] in rows
    assert ["loss", "0.1", "0.2"] in rows
    assert runs.main(["compare", "a", "b", "--metric", "psnr", "--runs", str(tmp_path)]) == 1
    assert "neither run has 'psnr'; they have: loss" in capsys.readouterr().err


def test_runs_of_batch_scripts_are_compared_by_what_their_workers_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for name, overrides, ranks in (("a", ["train.lr=1e-3"], 4), ("b", ["train.lr=1e-5", "model=paper"], 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(
            json.dumps({"stage": "vqvae", "overrides": overrides, "world_size": ranks})
        )
        (tmp_path / name / "attempts.jsonl").write_text('{"event": "started", "time": 1.0}\n')
        (tmp_path / name / "metrics.jsonl").write_text(
            '{"step": 1, "loss": 2.0}\n{"step": NaN, "loss": 1.0}\n{"step": 2, "loss": 1' + "0" * 400 + "}\n"
        )
    assert runs.main(["compare", "a", "b", "--runs", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert [line.split() for line in said.splitlines()[1:4]] == [
        ["model", "(none)", "|", "paper"], ["train.lr", "1e-3", "|", "1e-5"], ["world_size", "4", "|", "2"],
    ]  # fmt: skip
    assert "loss from 2 to 2, until step 1" in said
    (tmp_path / "b" / "config.json").write_text('{"stage": "vqvae", "overrides": 5}')
    assert runs.main(["compare", "a", "b", "--runs", str(tmp_path)]) == 1
    assert "config.json is damaged" in capsys.readouterr().err
