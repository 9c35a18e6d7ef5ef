"""Runs that were begun before a setting was there go on with what was, in effect, its value."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from v2a.audio.config import Config
from v2a.config import build_config
from v2a.geometry import Geometry
from v2a.training.stamp import FILE, check_stamp

OLD = ["decoder.mirror=false", "weights.correlation=0", "weights.level=0"]


def begun_before(out: Path) -> None:
    """A stamp without the settings of today."""
    found = json.loads(json.dumps(dict(check_stamp(out, "audio", build_config(Config, OLD), Geometry()).content)))
    del (
        found["config"]["decoder"]["mirror"],
        found["config"]["weights"]["correlation"],
        found["config"]["weights"]["level"],
        found["config"]["decoder"]["input"],
    )
    (out / FILE).write_text(json.dumps(found))


def test_it_goes_on_with_what_it_was(tmp_path: Path):
    begun_before(tmp_path)
    assert check_stamp(tmp_path, "audio", build_config(Config, OLD), Geometry()).out == tmp_path
    with pytest.raises(
        ValueError,
        match=r"holds a run with decoder.mirror=False, weights.correlation=0.0, weights.level=0.0; go on with the same",
    ):
        check_stamp(tmp_path, "audio", Config(), Geometry())


def test_a_stamp_that_is_no_stamp_is_a_sentence(tmp_path: Path):
    for text in ("[" * 200_000, "[]", '{"stage": 1}'):
        (tmp_path / FILE).write_text(text)
        with pytest.raises(ValueError, match=r"stage.json is damaged"):
            check_stamp(tmp_path, "audio", Config(), Geometry())
