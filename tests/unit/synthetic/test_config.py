"""Settings of the synthetic corpora."""

import dataclasses

import pytest

from tests.house.fields import unread_fields
from tests.house.source import python_sources
from v2a.config import ConfigError, build_config
from v2a.synthetic.config import Config


def test_the_defaults_are_a_corpus():
    config = build_config(Config, ["out=somewhere"])
    assert (config.geometry().frames, config.geometry().samples) == (250, 480000)
    assert config.processes() >= 1


def test_there_are_never_more_processes_than_clips():
    assert build_config(Config, ["out=x", "n=2", "workers=16"]).processes() == 2


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("n=0", "expected n from 1 to 1000000, but got n=0"),
        ("seed=-1", "expected seed from 0 to"),
        ("width=641", "try width=642"),
        ("height=361", "try height=362"),
        ("width=32", "expected width from 64"),
        ("crf=52", "expected crf from 0 to 51"),
        ("sample_rate=8000", "expected sample_rate 16000,"),
        ("seconds=0", "expected seconds from 0.5"),
        ("seconds=nan", "expected seconds from 0.5"),
        ("seconds=1.003", "whole number of frames"),
        ("workers=-1", "expected workers from 0"),
        ("fps=0", "expected fps from 1"),
        ("height=40", "up to 4 times as wide"),
        ("wdith=640", "did you mean width"),
        ("n=many", "expected n=<int>"),
        ("out=a\0b", "without a zero byte"),
    ],
)
def test_bad_settings_are_refused_with_the_rule(override: str, words: str):
    with pytest.raises(ConfigError, match=words):
        build_config(Config, ["out=somewhere", override])


def test_a_folder_must_be_given():
    with pytest.raises(ConfigError, match="give out=DIR"):
        build_config(Config, [])


def test_hostile_folders_come_through(hostile_name: str):
    if hostile_name:
        assert build_config(Config, [f"out={hostile_name}"]).out == hostile_name
    else:
        with pytest.raises(ConfigError, match="give out=DIR"):
            build_config(Config, ["out="])


def test_every_setting_is_read():
    assert unread_fields(Config, list(python_sources("v2a"))) == []


def test_the_identity_holds_what_changes_a_clip_and_nothing_else():
    base = Config(out="a")
    same = [dataclasses.replace(base, **change) for change in ({"out": "b"}, {"n": 5}, {"workers": 3})]
    assert all(other.identity("flyby") == base.identity("flyby") for other in same)
    changes = ({"seed": 1}, {"crf": 30}, {"width": 320}, {"fps": 10}, {"seconds": 4.0}, {"sample_rate": 44100})
    assert all(dataclasses.replace(base, **change).identity("flyby") != base.identity("flyby") for change in changes)
    assert base.identity("impacts") != base.identity("flyby")
