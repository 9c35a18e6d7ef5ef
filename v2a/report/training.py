"""The folder of a training run, `audio` or `vqvae`, as a section: curves, the newest pictures and sounds, settings."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from v2a.report.charts import important, make_charts
from v2a.report.command import flatten, kept_overrides, training_command
from v2a.report.kinds import VQVAE, read_json
from v2a.report.records import Series, read_series
from v2a.report.section import Picture, Section, Sound

_PICTURES = {
    "frame": "Frame", "reconstruction": "Reconstruction", "codes": "Codes: a colour for each",
    "error": "Error, 4 times as strong", "video": "Frame, reconstruction and codes over time",
    "spectrogram": "Truth above what was drawn; time to the right, mel bands upwards",
}  # fmt: skip
_SOUNDS = {"truth": "truth", "drawn": "what was drawn"}


def read_training(folder: Path) -> Section:
    """Of a run that may still be training.

    Raises:
        ReportError: its `stage.json` is damaged.
    """
    stamp = read_json(folder / "stage.json")
    kept = stamp.get("config")
    config: dict[str, Any] = kept if isinstance(kept, dict) else {}
    stage = str(stamp.get("stage"))
    section = Section(stage, folder.resolve().name)
    curves, bad = read_series(folder / "metrics.jsonl")
    section.lead.append(_lead(stage, curves, config))
    section.lead += _reached(folder, curves)
    if not curves:
        section.notes.append("It has no records yet (metrics.jsonl is empty or not there): there are no curves.")
    if bad:
        section.notes.append(
            f"{bad} {'line' if bad == 1 else 'lines'} of metrics.jsonl cannot be read; the others are shown."
        )
    section.charts, section.shown = make_charts(curves), important(curves)
    section.pictures = _pictures(folder / "pictures")
    section.sounds = [
        Sound(said, path) for name, said in _SOUNDS.items() if (path := folder / "sounds" / f"{name}.wav").is_file()
    ]
    section.settings = [*flatten(config), *flatten({"geometry": stamp.get("geometry") or {}})]
    section.command = training_command(stage, config, folder)
    section.notes += _ranks(folder, config)
    return section


def _lead(stage: str, curves: Mapping[str, Series], config: Mapping[str, Any]) -> str:
    what = (
        "Stage 1: the VQ-VAE whose codes stand for the video"
        if stage == VQVAE
        else "Stage 2: the decoder from codes to sound"
    )
    steps = max((points[-1][0] for points in curves.values() if points), default=0)
    train = config.get("train")
    wanted = train.get("steps") if isinstance(train, dict) else None
    return f"{what}. {steps:,.0f} steps are done{f' of {wanted:,}' if isinstance(wanted, int) else ''}."


def _reached(folder: Path, curves: Mapping[str, Series]) -> list[str]:
    """The last validation, the codebook and the test, as sentences."""
    last = {name: points[-1][1] for name, points in curves.items() if points}
    said = []
    if "usage" in last and "perplexity" in last:
        said.append(f"Codebook: {last['usage']:.1%} of the codes are in use; perplexity {last['perplexity']:.0f}.")
    for title, found in (("Validation", _below("validation/", last)), ("Test", _test(folder))):
        numbers = ", ".join(f"{name} {value:.4g}" for name, value in found.items() if name != "clips")
        if numbers:
            said.append(f"{title} ({found.get('clips', 0):.0f} clips): {numbers}.".replace(" -", " −"))  # noqa: RUF001
    return said


def _below(prefix: str, values: Mapping[str, float]) -> dict[str, float]:
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}


def _test(folder: Path) -> dict[str, float]:
    try:
        found = json.loads((folder / "test.json").read_bytes())["metrics"]
        return {str(name): float(value) for name, value in found.items() if math.isfinite(float(value))}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # not tested yet


def _pictures(folder: Path) -> list[Picture]:
    """Those that are known first, in their order, then what else there is."""
    known = list(_PICTURES)
    paths = [path for path in folder.glob("*") if path.suffix in (".png", ".gif") and not path.name.startswith(".")]
    paths.sort(key=lambda path: (known.index(path.stem) if path.stem in known else len(known), path.name))
    return [Picture(_PICTURES.get(path.stem, path.stem), path, sharp=path.stem == "codes") for path in paths]


def _ranks(folder: Path, config: Mapping[str, Any]) -> list[str]:
    """With several ranks a step's batch is larger: the command alone does not say so."""
    if kept_overrides(folder) is None:
        return []
    size, train = read_json(folder / "config.json").get("world_size"), config.get("train")
    if not isinstance(size, int) or size < 2 or not isinstance(train, dict):
        return []
    return [f"It was trained by {size} ranks together: a step is {size} × {train.get('batch')} clips."]  # noqa: RUF001
