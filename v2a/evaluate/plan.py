"""What an evaluation is: which clips, against what, with which models; and what of it is done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from v2a.config import ConfigError
from v2a.evaluate.clips import key_of, open_clips, partners, pick
from v2a.evaluate.config import Config
from v2a.evaluate.parts import read_part
from v2a.evaluate.reference import make_reference, read_reference, write_reference
from v2a.evaluate.retrieval import nearest_codes
from v2a.evaluate.shown import spread
from v2a.loading.codes import CodeDataset
from v2a.whole import parse_json, write_whole

if TYPE_CHECKING:
    import torch

    from v2a.audio.load import LoadedAudio

SETTINGS, REFERENCE = "evaluation.json", "reference.npz"
_RULE = 1  # goes up when the same settings would give other numbers


@dataclass(frozen=True)
class ClipTask:
    """A clip to be measured.

    Attributes:
        clip: its number in the split.
        key: its name in files.
        other: number of the clip whose sound "shuffled" has; None where there is one video only.
        near: number in the training split of the clip whose codes are nearest; None where there is none of another video.
        apart: how far it is, 0 to 1.
        shown: its place on the sheet; -1 when it is not on it.
        identity: of the evaluation.
    """

    clip: int
    key: str
    other: int | None
    near: int | None
    apart: float
    shown: int
    identity: str


@dataclass
class Plan:
    """The work of one run.

    Attributes:
        tasks: all clips, in their order.
        left: those that are not measured yet.
        settings: what the numbers depend on, as JSON.
        identity: hash of that.
        left_out: clips of the split without sound.
    """

    tasks: list[ClipTask] = field(default_factory=list)
    left: list[ClipTask] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    identity: str = ""
    left_out: int = 0


def load_models(config: Config, device: torch.device) -> dict[str, LoadedAudio]:
    """The models by their short names, for these codes.

    Raises:
        v2a.export.errors.ModelError: one cannot be used.
        ConfigError: they are of different encoders, and codes are of one.
    """
    from v2a.audio.load import load_audio

    loaded = {name: load_audio(Path(path), device) for name, path in config.model_names().items()}
    encoders = {name: model.encoder.identity for name, model in loaded.items()}
    if len(set(encoders.values())) > 1:
        said = ", ".join(f"{name}: {encoder}" for name, encoder in encoders.items())
        raise ConfigError(
            f"expected models of one encoder, whose codes are in {config.codes}, but got {said}; evaluate them apart"
        )
    return loaded


def make_plan(config: Config, models: dict[str, LoadedAudio], tick: Callable[[str, int, int], None]) -> Plan:
    """Choose clips, listen to the training split, look up nearest clips; see what is done.

    Args:
        config: validated.
        models: by name.
        tick: called with what is done, how far, and of how many.

    Raises:
        ConfigError: the split has no clip with sound, or the training split fewer than two; the folder holds another evaluation.
        v2a.shards.errors.ShardError: a shard is missing, damaged, or of another encoder.
    """
    encoder = next(iter(models.values())).encoder.identity if models else None
    clips, training = (open_clips(config, split, encoder) for split in (config.split, "train"))
    chosen, among = pick(clips, config.clips), pick(training, config.reference)
    check_any(config, clips, chosen, among)
    settings = _settings(config, models, (clips, training))
    identity = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    out = Path(config.out)
    _check_same(out, settings)
    write_whole(out / SETTINGS, (json.dumps(settings, indent=1) + "\n").encode())
    _keep_reference(out, identity, training, among, tick)
    plan = Plan(settings=settings, identity=identity, left_out=clips.left_out["silent"])
    plan.tasks = _tasks(plan, config, (clips, chosen), (training, among))
    plan.left = [task for task in plan.tasks if read_part(out, task.key, identity) is None]
    return plan


def _tasks(
    plan: Plan, config: Config, measured: tuple[CodeDataset, list[int]], reference: tuple[CodeDataset, list[int]]
) -> list[ClipTask]:
    clips, chosen = measured
    near, apart = nearest_codes(clips, chosen, *reference)
    others = partners([clips.row(clip).group for clip in chosen], config.seed)
    shown = {clip: place for place, clip in enumerate(pick_shown(clips, chosen, config.sheet))}
    return [
        ClipTask(
            clip, key_of(clips, clip), None if (other := others[place]) is None else chosen[other],
            near[place] if near[place] >= 0 else None, apart[place], shown.get(clip, -1), plan.identity,
        )
        for place, clip in enumerate(chosen)
    ]  # fmt: skip


def pick_shown(clips: CodeDataset, chosen: list[int], most: int) -> list[int]:
    """Clips for the sheet: of as many videos as there are places, evenly through them; nobody picks the good ones."""
    return [chosen[place] for place in spread([clips.row(clip).group for clip in chosen], most)]


def check_any(config: Config, clips: CodeDataset, chosen: list[int], among: list[int]) -> None:
    """Raise `ConfigError` unless there is something to measure, and something to hold it against."""
    if not chosen:
        raise ConfigError(
            f"expected clips with sound to measure, but the split {config.split} of {config.data} has none "
            f"({clips.left_out['silent']} clips are of videos without sound); `python -m v2a.shards info` shows what is in it"
        )
    if len(among) < 2:
        raise ConfigError(
            f"expected at least 2 training clips with sound for the null baselines, but {config.data} has {len(among)}; "
            "prepare more videos"
        )


def _settings(config: Config, models: dict[str, LoadedAudio], sides: tuple[CodeDataset, CodeDataset]) -> dict[str, Any]:
    clips, training = sides
    return {
        "rule": _RULE, "models": {name: model.identity for name, model in models.items()}, "encoder": clips.head.encoder,
        "split": config.split, "clips": clips.identity, "n": len(pick(clips, config.clips)), "training": training.identity,
        "reference": len(pick(training, config.reference)), "seed": config.seed, "sheet": config.sheet,
        "geometry": clips.geometry.as_dict(), "truth": config.truth,
    }  # fmt: skip


def check_unchanged(out: Path, models: dict[str, LoadedAudio]) -> None:
    """See that the models are those of the plan: a run that still trains may have gone on since.

    Raises:
        ModelError: one is not.
    """
    from v2a.export.errors import ModelError

    planned = json.loads((out / SETTINGS).read_bytes())["models"]
    for name, model in models.items():
        if planned.get(name) != model.identity:
            raise ModelError(
                name, f"changed during the work: it was {planned.get(name)} and is {model.identity}. Export a run that still "
                "trains, and take the export"
            )  # fmt: skip


def check_folder(config: Config, models: dict[str, LoadedAudio], sides: tuple[CodeDataset, CodeDataset]) -> None:
    """Raise `ConfigError` when the folder holds another evaluation than that of these models, clips and training clips."""
    _check_same(Path(config.out), _settings(config, models, sides))


def _check_same(out: Path, settings: dict[str, Any]) -> None:
    try:
        there = parse_json((out / SETTINGS).read_bytes())
        differs = [name for name in settings if there.get(name) != settings[name]]
    except FileNotFoundError:
        return
    except (ValueError, AttributeError, IsADirectoryError, NotADirectoryError):
        raise ConfigError(f"{out / SETTINGS} is damaged; remove it, or choose another out") from None
    if differs:
        was = ", ".join(f"{name} {there.get(name)}, now {settings[name]}" for name in differs)
        raise ConfigError(f"{out} holds another evaluation ({was}); choose another out=DIR, or remove that folder")


def _keep_reference(
    out: Path, identity: str, training: CodeDataset, among: list[int], tick: Callable[[str, int, int], None]
) -> None:
    if read_reference(out / REFERENCE, identity) is not None:
        return
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        tick("training clips heard", done, len(among))

    write_reference(out / REFERENCE, make_reference(training, among, count), identity)
