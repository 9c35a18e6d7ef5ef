"""Settings: types, names, values as they stand, and sentences for what is wrong."""

import dataclasses
import random
import re
from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from tests.house.fields import dataclasses_below
from v2a.config import ConfigError, build_config, choose, describe, science
from v2a.stages import load_config, stage_names, stage_summary


@dataclass
class Optimizer:
    """A group.

    Attributes:
        lr: of each step; a
            second line: with a colon.
        warmup_steps, unknown: until it is reached.
    """

    lr: float = 0.1
    warmup_steps: int = 10

    def __post_init__(self) -> None:
        if self.lr <= 0:
            raise ValueError(f"expected a learning rate above 0, but got lr={self.lr}")


@dataclass
class Config:
    """Made up for these tests: a field of each type, and a group."""

    videos: str = "clips"
    steps: int = 100
    shuffle: bool = True
    gain: float = 1.0
    train: Optimizer = field(default_factory=Optimizer)

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"expected at least one step, but got steps={self.steps}")


def test_without_settings_the_defaults_hold():
    assert build_config(Config, []) == Config()


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("steps=5", 5),
        ("steps=-5", None),
        ("steps=1.5", None),
        ("steps=1e3", None),
        ("steps=many", None),
        ("steps=", None),
        ("steps=true", None),
        ("steps=null", None),
        ("steps=${gain}", None),
        ("steps=???", None),
        ("shuffle=false", False),
        ("shuffle=no", False),
        ("shuffle=maybe", None),
        ("gain=1e-4", 1e-4),
        ("gain=2", 2.0),
        ("gain=loud", None),
        ("train.lr=0.5", 0.5),
        ("train.warmup_steps=0", 0),
        ("train.warmup_steps=0.5", None),
        ("train.lr=[1]", None),
    ],
)
def test_values_take_the_fields_type(override: str, value: object):
    key, _, text = override.partition("=")
    if value is None:
        with pytest.raises(ConfigError, match=re.escape(text or key)):
            build_config(Config, [override])
        return
    config: object = build_config(Config, [override])
    for part in key.split("."):
        config = getattr(config, part)
    assert config == value
    assert type(config) is type(value)


def test_the_message_says_the_type():
    with pytest.raises(ConfigError, match=r"^expected train.warmup_steps=<int>, but got '1.5'$"):
        build_config(Config, ["train.warmup_steps=1.5"])


def test_a_group_is_chosen_by_the_field_that_names_it():
    @dataclass
    class Network:
        NAME: ClassVar[str] = "kind"
        kind: str = "small"
        width: int = 8

    @dataclass
    class Two:
        network: Network = field(default_factory=Network)
        other: Optimizer = field(default_factory=Optimizer)

    Two.__annotations__["network"] = Network
    assert build_config(Two, ["network=large", "network.width=2"]).network == Network("large", 2)
    assert build_config(Two, ["network=large", "network.kind=huge"]).network.kind == "huge"
    with pytest.raises(ConfigError, match=r"there is no key 'other'; did you mean other\.lr or other\.warmup_steps"):
        build_config(Two, ["other=adam"])


def test_the_last_of_two_counts():
    assert build_config(Config, ["steps=1", "steps=2"]).steps == 2


def test_a_setting_does_not_leak_into_the_next_config():
    build_config(Config, ["train.lr=0.5", "steps=3"])
    assert build_config(Config, []) == Config()


def test_a_name_is_taken_as_it_stands(hostile_name: str):
    assert build_config(Config, [f"videos={hostile_name}"]).videos == hostile_name


def test_any_text_is_taken_as_it_stands():
    rng = random.Random(0)
    for _ in range(500):
        text = "".join(rng.choice("\\${}'\":, \n\ta()[]=oc.env") for _ in range(rng.randrange(12)))
        assert build_config(Config, [f"videos={text}"]).videos == text


def test_omegaconfs_word_for_missing_is_refused():
    with pytest.raises(ConfigError, match=r"videos=<str>, but got '\?\?\?'"):
        build_config(Config, ["videos=???"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stepz=5", "there is no key 'stepz'; did you mean steps?"),
        ("lr=5", "there is no key 'lr'; did you mean train.lr?"),
        ("train.lrr=5", "there is no key 'train.lrr'; did you mean train.lr or train.warmup_steps?"),
        ("train=5", "there is no key 'train'; did you mean train.lr or train.warmup_steps?"),
        ("=5", "there is no key ''; there are: gain, shuffle, steps, train.lr, train.warmup_steps, videos"),
        ("zzz=5", "there is no key 'zzz'; there are: gain, shuffle, steps, train.lr, train.warmup_steps, videos"),
        ("__class__=5", "there is no key '__class__'"),
        ("steps", "expected key=value, but got 'steps'"),
        ("steps=0", "expected at least one step, but got steps=0"),
        ("train.lr=0", "expected a learning rate above 0, but got lr=0.0"),
    ],
)
def test_messages_say_what_is_wrong_and_what_would_be_right(override: str, message: str):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        build_config(Config, [override])


def test_annotations_may_be_strings():
    """`from __future__ import annotations` in a config module must not hide its groups."""
    assert Later.__annotations__ == {"train": "Optimizer", "name": "str"}
    assert build_config(Later, ["train.lr=0.5"]).train.lr == 0.5


@dataclass
class Later:
    """A schema whose annotations are not evaluated yet."""

    train: "Optimizer" = field(default_factory=Optimizer)
    name: "str" = "x"


def test_the_description_has_a_line_for_each_field_and_what_its_docstring_says():
    assert describe(Config).splitlines() == [
        "  videos=clips  (str)",
        "  steps=100  (int)",
        "  shuffle=True  (bool)",
        "  gain=1.0  (float)",
        "  train.lr=0.1  (float)",
        "      of each step; a second line: with a colon.",
        "  train.warmup_steps=10  (int)",
        "      until it is reached.",
    ]


def test_choose_names_the_nearest():
    assert choose("stage", "audio", ["audio", "vqvae"]) == "audio"
    with pytest.raises(ConfigError, match=r"^there is no stage 'vqvea'; did you mean vqvae\?$"):
        choose("stage", "vqvea", ["audio", "vqvae"])
    with pytest.raises(ConfigError, match=r"^there is no stage 'zzz'; there are: audio, vqvae$"):
        choose("stage", "zzz", ["vqvae", "audio"])


@pytest.mark.parametrize("stage", stage_names())
def test_every_stage_has_defaults_and_a_summary(stage: str):
    assert load_config(stage, []) == load_config(stage, [])
    summary, *settings = stage_summary(stage).splitlines()
    assert summary
    assert len(settings) == len(describe(type(load_config(stage, []))).splitlines())


@pytest.mark.parametrize("override", ["steps=0", "batch=0", "batch=-1", "lr=0", "lr=1", "lr=nan", "lr=inf", "seed=x"])
def test_the_selftest_refuses_what_cannot_train(override: str):
    with pytest.raises(ConfigError, match=override.partition("=")[0]):
        load_config("selftest", [override])


def test_an_unknown_stage_names_the_known():
    with pytest.raises(ConfigError, match="there is no stage 'selftset'; did you mean selftest"):
        load_config("selftset", [])


@dataclasses.dataclass
class _Group:
    SAME_RESULT: ClassVar[tuple[str, ...]] = ("workers",)

    lr: float = 0.1
    workers: int = 2


@dataclasses.dataclass
class _Science:
    SAME_RESULT: ClassVar[tuple[str, ...]] = ("device",)

    data: str = "clips"
    device: str = "auto"
    group: _Group = dataclasses.field(default_factory=_Group)


def test_what_cannot_change_a_result_is_left_out():
    assert science(_Science()) == {"data": "clips", "group.lr": 0.1}


@pytest.mark.parametrize("stage", stage_names())
def test_every_setting_that_is_left_out_is_a_setting(stage: str):
    """A misspelt one would be left in, in silence."""
    for schema in dataclasses_below(type(load_config(stage, []))):
        fields = {field.name for field in dataclasses.fields(schema)}
        assert set(getattr(schema, "SAME_RESULT", ())) <= fields
