"""Training runs: curves, damage, settings, the command."""

import json
import shlex
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.unit.report.making import make_run
from v2a.report.command import inference_command, training_command
from v2a.report.config import Config
from v2a.report.records import read_series
from v2a.report.stage import command_of
from v2a.report.svg import draw_chart
from v2a.report.training import read_training


def test_curves_pictures_and_the_codebook(world: Path):
    section = read_training(world / "s1 <i>")
    assert [title for title, _ in section.charts][:2] == ["Loss", "Reconstruction: PSNR"]
    assert [picture.title for picture in section.pictures][:2] == ["Frame", "Reconstruction"]
    assert "Codebook: 50.0% of the codes are in use; perplexity 20." in section.lead
    assert "40 steps are done of 40" in section.lead[0]
    assert section.notes == []


def test_lines_that_cannot_be_read_are_counted_and_lose_nothing_else(tmp_path: Path):
    lines = [
        '{"step": 1, "loss": 2}',
        '{"step": 2, "lo',
        "[]",
        '{"loss": 3}',
        '{"step": 3, "loss": NaN, "x": "text", "y": true}',
    ]
    run = make_run(tmp_path / "run", "audio", [*lines, '{"step": 4, "loss": 1}', "\x00\xff"])
    assert read_series(run / "metrics.jsonl") == ({"loss": [(1.0, 2.0), (4.0, 1.0)]}, 4)
    assert read_training(run).notes == ["4 lines of metrics.jsonl cannot be read; the others are shown."]


def test_an_empty_run_says_so(tmp_path: Path, report):
    run = make_run(tmp_path / "run", "vqvae", [])
    (run / "metrics.jsonl").unlink()
    assert report(run, "--out", tmp_path / "x.html")[0] == 0
    assert "It has no records yet" in (tmp_path / "x.html").read_text()


@pytest.mark.parametrize("values", [[1.0], [2.0, 2.0], [1e-9, 3e-9], [-5.0, 1e7], list(range(2000))])
def test_a_chart_is_well_formed_whatever_the_values(values: list[float]):
    svg = draw_chart(
        "<b>&", "x & y", {"a<b": [(float(k), value) for k, value in enumerate(values)], "none": []}, len(values)
    )
    root = ET.fromstring(svg)
    assert root.get("aria-label", "").startswith("<b>&. a<b: ")
    circles, points = root.findall("circle"), root.findall("polyline")
    assert len(circles) == (len(values) if len(values) <= 12 else 0)
    assert all(len(line.get("points", "").split()) <= 301 for line in points)
    assert len(points) == (len(values) > 1)


def test_the_command_has_what_is_not_the_default_and_is_quoted(tmp_path: Path):
    config = {"data": "my clips", "preset": "tiny", "crop": 20, "train": {"steps": 7, "warmup": 20, "new": True}}
    command = shlex.split(training_command("audio", config, tmp_path / "a b"))
    assert command[:3] == ["python", "-m", "v2a.audio"]
    assert set(command[3:]) == {
        "data=my clips",
        "preset=tiny",
        "train.steps=7",
        "train.new=true",
        "--out",
        str(tmp_path / "a b"),
    }


def test_a_name_that_looks_like_an_option_is_a_path():
    command = shlex.split(inference_command(Path("-sounds"), ["-a.mp4", "b.mp4"], ["3"]))
    assert command[3:] == ["./-a.mp4", "b.mp4", "--model", "MODEL", "--out", "./-sounds", "--seed", "3"]
    assert shlex.split(command_of(Config(runs="-ev,b", page="-x.html")))[3:] == [
        "./-ev", "b", "--clips=6", "--max-mb=60", "--out", "./-x.html",
    ]  # fmt: skip


def test_several_ranks_are_said(tmp_path: Path):
    run = make_run(tmp_path / "run", "audio")
    (run / "config.json").write_text(json.dumps({"overrides": ["a=1"], "world_size": 2}))
    assert "2 ranks" in read_training(run).notes[0]
