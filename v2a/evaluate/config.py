"""Config of the stage `evaluate`; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar

from v2a.config import choose
from v2a.shards.splits import SPLITS


@dataclass
class Config:
    """What is measured, and on which clips.

    Attributes:
        model: a decoder of sound: a folder from `python -m v2a.export`, or a run's folder, whose last checkpoint is taken; empty
            for the null baselines alone.
        models: several, with commas between them; together with `model` when both are given.
        codes: folder of code shards of the models' encoder, from `python -m v2a.codes`.
        data: the clips that they were made from.
        out: folder of the tables, pictures and sounds; made when missing.
        split: "test", "validation", or "train" to see what was learned by heart.
        seed: of what models and baselines draw.
        clips: at most so many, the same number of each video as far as they go; 0 for all.
        reference: training clips at most that baselines, memorising and the distance of distributions look at; 0 for all.
        sheet: clips on the sheet of spectrograms and as WAV.
        truth: folder with the JSON of synthetic videos; empty to look beside each video.
        device: "auto" (a GPU for each process in turn, the CPU where there is none), "cpu", "cuda", "cuda:1", ….
    """

    SAME_RESULT: ClassVar[tuple[str, ...]] = ("device",)

    model: str = ""
    models: str = ""
    codes: str = "data/codes"
    data: str = "data/clips"
    out: str = "runs/evaluate"
    split: str = "test"
    seed: int = 0
    clips: int = 0
    reference: int = 1000
    sheet: int = 10
    truth: str = ""
    device: str = "auto"

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        choose("split", self.split, SPLITS)
        for name in ("codes", "data", "out", "device"):
            if not getattr(self, name):
                raise ValueError(f"expected {name}=…, but it is empty")
        for name, least, most in (
            ("seed", 0, 2**31 - 1), ("clips", 0, 10**6), ("reference", 0, 10**6), ("sheet", 0, 100),
        ):  # fmt: skip
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"expected {name} from {least} to {most}, but got {name}={getattr(self, name)}")
        if 0 < self.reference < 2:
            raise ValueError("expected reference of at least 2 (0 for all training clips), but got reference=1")
        names = self.model_names()
        if len(set(names.values())) != len(names):
            raise ValueError(f"expected each model once, but got {', '.join(names.values())}")

    def model_names(self) -> dict[str, str]:
        """Each model's short name, that of its folder, and its path; numbered where two folders have one name."""
        paths = [path for path in (self.model, *(part.strip() for part in self.models.split(","))) if path]
        names: dict[str, str] = {}
        for path in paths:
            short = "".join(c if c.isalnum() or c in "-_." else "_" for c in path.rstrip("/").rpartition("/")[2])
            short = short.strip(".") or "model"
            short = f"model_{short}" if short in BASELINES else short
            number = 1
            while (name := short if number == 1 else f"{short}-{number}") in names:
                number += 1
            names[name] = path
        return names

    def given(self) -> list[str]:
        """As on a command line, from whatever folder it is typed: places absolute, what is a default left out, and `out` too."""
        places = {
            "model": _absolute(self.model),
            "models": ",".join(_absolute(part.strip()) for part in self.models.split(",") if part.strip()),
            **{name: _absolute(getattr(self, name)) for name in ("codes", "data", "truth")},
        }
        others = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in {*places, "out"}}
        plain = {one.name: one.default for one in fields(self)}
        said = {**places, **{name: value for name, value in others.items() if value != plain[name]}}
        return [f"{name}={value}" for name, value in said.items() if value != ""]


def _absolute(path: str) -> str:
    return str(Path(path).absolute()) if path else ""


GIVEN = "given.json"  # in an evaluation's folder: what it was made from, for the command that makes it again
BASELINES = ("truth", "redrawn", "retrieval", "shifted", "shuffled", "noise", "silence")
