"""No config field that no code reads: it would promise what nothing does."""

import importlib
import re
import types
from dataclasses import dataclass, field

import pytest

from hpc.job import JobSpec
from tests.house.fields import dataclasses_below, unread_fields
from tests.house.source import Source, python_sources
from v2a.config import describe, field_meanings
from v2a.stages import load_config, stage_names


@pytest.mark.parametrize("stage", stage_names())
def test_every_setting_of_a_stage_is_read(stage: str):
    schemas = list(dataclasses_below(type(load_config(stage, []))))
    sources = list(python_sources("v2a"))
    assert schemas
    assert [fault for schema in schemas for fault in unread_fields(schema, sources)] == []


def _commands() -> list[str]:
    """Modules of v2a with a `Config` of settings."""
    sources = [source for source in python_sources("v2a") if source.module.endswith(".config")]
    return sorted(source.module for source in sources if "\nclass Config:" in source.text)


@pytest.mark.parametrize("module", _commands())
def test_every_setting_says_what_it_means(module: str):
    """In the docstring of its dataclass, from where `--help` takes it."""
    schema = importlib.import_module(module).Config
    settings = [
        line.partition("=")[0].strip() for line in describe(schema).splitlines() if re.match(r"  \w[\w.]*=", line)
    ]
    assert settings
    assert sorted(set(settings) - field_meanings(schema).keys()) == []


def test_the_help_of_prepare_names_choices_and_units():
    shown = " ".join(describe(load_config("prepare", []).__class__).split())
    for words in ('"none", "lz4" or "zstd"', '"stretch" (the paper), "crop" or "pad"', "dB of full scale"):
        assert words in shown


def test_every_field_of_a_job_is_read():
    assert unread_fields(JobSpec, list(python_sources("hpc"))) == []


def _schema(text: str) -> tuple[type, Source]:
    module = types.ModuleType("made.up")
    exec(compile(text, "made/up.py", "exec"), module.__dict__)
    schema: type = module.Config
    return schema, Source("made/up.py", text)


_MADE_UP = """
from dataclasses import dataclass
@dataclass
class Config:
    used: int = 1
    dead: int = 2
    derived: int = 3
    def __post_init__(self):
        if self.dead < self.used: raise ValueError
    @property
    def twice(self):
        return 2 * self.derived
"""


@pytest.mark.parametrize(
    ("code", "dead"),
    [
        ("def f(config): return config.used + config.twice", ["dead"]),
        ("def f(config): return config.used", ["dead", "derived"]),
        ("def f(config): return config.used + config.twice + config.dead", []),
        ("def f(config): config.dead = config.used + config.twice", ["dead"]),
        ("class Other:\n    def f(self): return self.dead + self.used + self.twice", ["used", "dead", "derived"]),
        ("class Other:\n    def f(self): return self.config.dead + self.config.used + self.config.twice", []),
    ],
)
def test_the_check_finds_dead_fields(code: str, dead: list[str]):
    schema, source = _schema(_MADE_UP)
    schema.__module__ = "made.up"
    faults = unread_fields(schema, [source, Source("made/reader.py", code)])
    assert faults == [f"made.up.Config.{name} is read nowhere" for name in dead]


def test_groups_are_walked():
    @dataclass
    class Inner:
        lr: float = 0.1

    @dataclass
    class Middle:
        inner: Inner = field(default_factory=Inner)

    @dataclass
    class Outer:
        middle: Middle = field(default_factory=Middle)

    Middle.__annotations__["inner"], Outer.__annotations__["middle"] = Inner, Middle
    assert list(dataclasses_below(Outer)) == [Outer, Middle, Inner]
