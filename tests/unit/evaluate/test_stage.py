"""A whole evaluation, from shards and checkpoint to tables and pictures."""

from __future__ import annotations

import csv
import json
import math
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile

from tests.unit.evaluate.conftest import World
from tests.unit.evaluate.making import GEOMETRY, RATE, videos_of
from v2a.evaluate.__main__ import main
from v2a.evaluate.config import BASELINES
from v2a.report.command import evaluation_command


@pytest.fixture(name="out", scope="module")
def out_fixture(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One evaluation, in this process."""
    out = tmp_path_factory.mktemp("evaluated") / "out"
    assert main(["--workers", "0", *world.settings(out, "sheet=3")]) == 0
    return out


@pytest.fixture(name="found", scope="module")
def found_fixture(out: Path) -> dict[str, Any]:
    """What it wrote."""
    read: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    return read


def value(found: dict[str, Any], name: str, measure: str) -> float:
    """Of a candidate."""
    number: float = found["candidates"][name]["scores"][measure]["value"]
    return number


def test_all_candidates_are_measured_on_all_clips_of_the_split(found: dict[str, Any]):
    videos = videos_of("test")
    assert set(found["candidates"]) == {"decoder", *BASELINES}
    assert (found["clips"], found["videos"]) == (2 * len(videos), len(videos))
    for name, candidate in found["candidates"].items():
        assert candidate["mmd"]["n"] == 2 * len(videos), name
        assert candidate["scores"]["stft"]["clips"] == 2 * len(videos), name
        score = candidate["scores"]["log_mel_db"]
        assert score["low"] <= score["value"] <= score["high"], name


@pytest.mark.parametrize(
    ("measure", "best"),
    [
        ("stft", 0), ("log_mel_db", 0), ("envelope_db", 0), ("level_abs_db", 0), ("mse", 0),
        ("envelope_r", 1), ("centroid_r", 1), ("onset_f1", 1), ("sync_energy_fit", 1),
    ],
)  # fmt: skip
def test_the_truth_is_best_in_everything(found: dict[str, Any], measure: str, best: float):
    if measure == "mse":
        assert found["candidates"]["truth"]["mse_ratio"] == 0
        return
    truth = value(found, "truth", measure)
    assert truth == pytest.approx(best, abs=1e-6)
    others = [value(found, name, measure) for name in found["candidates"] if name != "truth"]
    # Shifts and copies share its levels; nothing is better.
    assert min(abs(other - best) for other in others) >= abs(truth - best)
    assert max(abs(other - best) for other in others) > 0.1


def test_baselines_are_what_they_are_called(found: dict[str, Any]):
    assert value(found, "silence", "level_db") < -25
    assert value(found, "silence", "onset_f1") == 0
    assert found["candidates"]["silence"]["mse_ratio"] == 1
    assert found["candidates"]["silence"]["scores"]["sync_energy_abs_s"]["value"] is None
    assert found["candidates"]["silence"]["diversity"] == 0
    assert value(found, "shifted", "sync_energy_s") == pytest.approx(0.5, abs=0.02)
    assert value(found, "shifted", "sync_onset_abs_s") == pytest.approx(0.5, abs=0.02)
    assert abs(value(found, "shifted", "level_db")) < 2
    assert found["candidates"]["retrieval"]["nearest_ratio"] < 1e-5
    assert found["candidates"]["truth"]["nearest_ratio"] == 1
    assert found["candidates"]["truth"]["mmd"]["squared"] == 0
    assert value(found, "redrawn", "log_mel_db") < 0.6 * value(found, "noise", "log_mel_db")
    assert value(found, "redrawn", "envelope_r") > 0.9 > abs(value(found, "noise", "envelope_r"))
    assert value(found, "shuffled", "onset_f1") < 0.8
    # Every shuffled sound is a true one, so their levels are those of the truth.
    assert value(found, "shuffled", "level_db") == pytest.approx(0, abs=1e-6)
    assert value(found, "noise", "level_abs_db") < 0.3 * value(found, "silence", "level_abs_db")
    assert found["candidates"]["noise"]["of_noise"] == found["candidates"]["retrieval"]["of_retrieval"] == 1


def test_a_page_has_the_command_that_makes_it_again(
    out: Path,
    found: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    """From whatever folder, and it is the same evaluation: nothing is left to measure."""
    command = shlex.split(evaluation_command(out, found["settings"]))
    assert command[:3] == ["python", "-m", "v2a.evaluate"]
    monkeypatch.chdir(tmp_path)
    assert main(["--workers", "0", *command[3:]]) == 0
    assert "0 clips to measure, " in capsys.readouterr().err


def test_onsets_of_all_clips_together(out: Path, found: dict[str, Any]):
    with (out / "clips.csv").open(newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["candidate"] in ("truth", "shuffled")]
    truth, other = ([line for line in lines if line["candidate"] == name] for name in ("truth", "shuffled"))
    pairs = sum(
        float(mine["onset_f1"] or 0) * (float(mine["onsets"]) + float(its["onsets"])) / 2
        for mine, its in zip(other, truth, strict=True)
    )
    assert pairs == pytest.approx(round(pairs), abs=1e-3)  # a number of onsets
    total = sum(float(line["onsets"]) for line in lines)
    assert found["candidates"]["shuffled"]["onset_f1"] == pytest.approx(2 * pairs / total, abs=1e-5)
    assert found["candidates"]["truth"]["onset_f1"] == 1
    assert found["candidates"]["silence"]["onset_f1"] == 0


def test_every_clip_and_candidate_has_its_line(out: Path, found: dict[str, Any]):
    with (out / "clips.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == found["clips"] * len(found["candidates"])
    mine = [float(line["log_mel_db"]) for line in lines if line["candidate"] == "noise"]
    assert np.mean(mine) == pytest.approx(value(found, "noise", "log_mel_db"), rel=1e-4)
    silent = next(line for line in lines if line["candidate"] == "silence")
    assert silent["sync_energy_s"] == ""
    near = next(line for line in lines if line["candidate"] == "retrieval")
    assert near["sound_of"].endswith("s")
    assert 0 < float(near["code_distance"]) <= 1


def test_the_table_says_what_it_is_of(out: Path):
    said = (out / "table.md").read_text()
    assert f"{2 * len(videos_of('test'))} clips of {len(videos_of('test'))} videos, split test" in said
    assert "Synthetic truth was found for 0 of" in said
    assert "there is no JSON of its name beside the video" in said
    assert sum(line.startswith("| truth |") for line in said.splitlines()) == 3


def test_pictures_and_sounds_of_clips_of_different_videos(out: Path):
    assert sorted(path.name for path in out.glob("*.png")) == [
        "clip-00.png",
        "clip-01.png",
        "clip-02.png",
        "sheet-decoder.png",
    ]
    for path in out.glob("*.png"):
        with Image.open(path) as picture:
            assert len(np.unique(np.asarray(picture.convert("RGB").resize((64, 64))).reshape(-1, 3), axis=0)) > 50
    waves = sorted((out / "wav").glob("*.wav"))
    assert len(waves) == 3 * 8
    rate, samples = wavfile.read(out / "wav" / "00-truth.wav")
    assert (rate, samples.shape, samples.dtype) == (RATE, (GEOMETRY.samples,), np.int16)
    assert not wavfile.read(out / "wav" / "00-silence.wav")[1].any()


def test_the_same_command_measures_nothing_again(world: World, out: Path, capsys: pytest.CaptureFixture[str]):
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (out / "parts").iterdir()}
    table = (out / "metrics.json").read_bytes()
    assert main(["--workers", "0", *world.settings(out, "sheet=3")]) == 0
    assert f"0 clips to measure, {len(before)} done before" in capsys.readouterr().err
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (out / "parts").iterdir()} == before
    assert (out / "metrics.json").read_bytes() == table


def test_two_processes_find_the_same_to_the_last_digit(world: World, out: Path, tmp_path: Path):
    assert main(["--workers", "2", *world.settings(tmp_path / "two", "sheet=3")]) == 0
    for name in ("metrics.json", "clips.csv", "table.md", "sheet-decoder.png"):
        assert (tmp_path / "two" / name).read_bytes() == (out / name).read_bytes(), name


def test_intervals_are_there_and_json_has_no_nan(out: Path):
    def refuse(name: str) -> float:
        raise AssertionError(name)

    found = json.loads((out / "metrics.json").read_text(), parse_constant=refuse)
    assert math.isfinite(found["candidates"]["decoder"]["scores"]["stft"]["low"])
    assert found["settings"]["models"]["decoder"]
    assert found["settings"]["reference"] == 2 * len(videos_of("train"))
