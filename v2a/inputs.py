"""Is there what a stage reads? Answered from manifests, names and sizes alone: a login node has neither torch nor h5py.

The stage itself looks at every byte that it reads; this finds, before a job waits in a queue, what would end it at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable
from pathlib import Path
from typing import Any

from v2a.config import ConfigError
from v2a.dataset_json import parse_manifest
from v2a.geometry import Geometry
from v2a.report.errors import ReportError
from v2a.report.kinds import find_kind
from v2a.whole import parse_json

_MANIFEST = "dataset.json"
_MAKE_CLIPS = "python -m v2a.prepare videos=DIR out={0} makes one (no videos? python -m v2a.synthetic flyby out=DIR)"
_MAKE_CODES = "python -m v2a.codes model={1} data={2} out={0} makes them"


def check(stage: str, config: Any, made_before: Container[str] = ()) -> None:
    """See that the inputs of a stage are there, whole, and of one geometry.

    Args:
        stage: its name; one that reads nothing passes.
        config: the stage's.
        made_before: settings whose folders will be there when the stage runs.

    Raises:
        ConfigError: the first input that is not as it must be; names the command that makes it. Or a folder of the stage's own that
            cannot be written.
    """
    for name, look in _LOOKS.get(stage, ()):
        if name not in made_before:
            look(config, made_before)
    check_out(getattr(config, "out", ""))
    _check_page(getattr(config, "page", ""))


def read_dataset(folder: str) -> dict[str, Any]:
    """The manifest of a folder of clip shards, after a look at the name and the size of each shard.

    Raises:
        ConfigError: no data set, or not a whole one.
    """
    place = Path(folder)
    if not place.is_dir():
        raise ConfigError(f"there is no data set at {folder}: {_MAKE_CLIPS.format(folder)}")
    index = f"python -m v2a.shards index {folder}"
    try:
        manifest = parse_manifest(place / _MANIFEST)
        Geometry.from_dict(manifest["geometry"])
        shards = {str(entry["name"]): int(entry["bytes"]) for entry in manifest["shards"]}
    except FileNotFoundError:
        raise ConfigError(
            f"{folder} has no {_MANIFEST}: {index} writes it from shards that are there; {_MAKE_CLIPS.format(folder)}"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{place / _MANIFEST} cannot be read ({error}); {index} writes it anew") from None
    for name, size in shards.items():
        found = (place / name).stat().st_size if (place / name).is_file() else None
        if found != size:
            what = "is missing" if found is None else f"has {found} bytes instead of {size}"
            raise ConfigError(f"{folder} is not whole: {name} {what}. Copy it again, or count what is there: {index}")
    return manifest


def _check_splits(folder: str, manifest: dict[str, Any], splits: Iterable[str]) -> None:
    for split in splits:
        if not manifest.get("by_split", {}).get(split, {}).get("clips", 1):
            raise ConfigError(
                f"{folder} has no clip in split {split}, which is needed here: prepare more videos into it, or the same ones with "
                f"other parts (split.test=…); `python -m v2a.shards info {folder}` shows it"
            )


def check_out(out: str) -> None:
    """See that a folder to be written can be: the nearest one above it that is there must be a folder, and let us write into it.

    Args:
        out: the folder; nothing for none.

    Raises:
        ConfigError: it cannot.
    """
    if not out:
        return
    there = Path(out).expanduser().absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise ConfigError(f"{out} cannot be made: {there} is a file; choose another out=DIR")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(f"{out} cannot be made or written: you may not write into {there}; choose another out=DIR")
    if str(there).startswith(("/proc/", "/sys/")) or str(there) in ("/proc", "/sys"):  # where root may, and cannot
        raise ConfigError(f"{out} cannot be made: {there} is the kernel's; choose another out=DIR")


def _check_page(page: str) -> None:
    """See that a file can be written: nothing is there, or a file, in a folder that lets us."""
    if not page:
        return
    if Path(page).expanduser().is_dir():
        raise ConfigError(f"{page} is a folder; expected a file to write the page to, as page=report.html")
    check_out(str(Path(page).expanduser().absolute().parent))


def _look_at_runs(config: Any, _made: Container[str]) -> None:
    runs = config.folders()
    if not runs:
        raise ConfigError("expected runs to make a page of, but got none; say runs=DIR,DIR")
    for run in runs:
        try:
            find_kind(Path(run))
        except ReportError as error:
            raise ConfigError(f"{error} (runs=DIR,DIR)") from None


def _look_at_videos(config: Any, _made: Container[str]) -> None:
    if not config.videos:
        raise ConfigError("expected a folder, a list or a CSV of videos, but got none; say videos=PATH")
    if not os.path.exists(config.videos):
        raise ConfigError(f"there are no videos at {config.videos}: say videos=PATH, a folder, a list or a CSV of them")


def _look_at_clips(config: Any, _made: Container[str]) -> None:
    manifest = read_dataset(config.data)
    if not hasattr(config, "crop"):  # the others read any split
        return
    if not manifest.get("by_split", {}).get("train", {}).get("clips", 1):
        raise ConfigError(f"{config.data} has no clip to train on; `python -m v2a.shards info {config.data}` shows it")
    geometry = Geometry.from_dict(manifest["geometry"])
    if config.crop > geometry.frames:
        raise ConfigError(
            f"crop={config.crop} is longer than the clips of {config.data}, which have {geometry.frames} frames"
        )
    strides = getattr(config.model, "product", None)
    if strides is None:
        return
    try:
        geometry.latent_grid([strides])
    except ValueError as error:
        raise ConfigError(f"the clips of {config.data} ({geometry}) do not fit the model's strides: {error}") from None


def _look_at_splits(config: Any, _made: Container[str]) -> None:
    """Of an evaluation, which measures one split beside another."""
    _check_splits(config.data, read_dataset(config.data), (config.split, "train"))


def _look_at_codes(config: Any, made: Container[str]) -> None:
    if getattr(getattr(config, "decoder", None), "input", "codes") != "codes":
        return  # it reads the clips themselves
    place = Path(config.codes)
    encoder = config.model if hasattr(config, "crop") else "MODEL"  # elsewhere it is a decoder of sound
    make = _MAKE_CODES.format(config.codes, encoder, config.data)
    if not place.is_dir():
        raise ConfigError(f"there are no codes at {config.codes}: {make}")
    if "data" in made:
        return
    wanted = [entry["name"].replace("clips-", "codes-", 1) for entry in read_dataset(config.data)["shards"]]
    missing = [name for name in wanted if not _has_bytes(place / name)]
    if missing:
        there = len(wanted) - len(missing)
        raise ConfigError(f"{config.codes} has codes of {there} of {len(wanted)} shards of {config.data}: {make}")


def _has_bytes(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _look_at_model(kind: str, make: str) -> Callable[[Any, Container[str]], None]:
    def look(config: Any, made: Container[str]) -> None:
        geometry = _check_model(config.model, kind, make)
        if hasattr(config, "data") and "data" not in made:
            _check_geometry(config.model, geometry, config.data)

    return look


def _look_at_models(config: Any, made: Container[str]) -> None:
    for path in config.model_names().values():
        geometry = _check_model(path, "audio", "python -m v2a.audio trains one")
        if "data" not in made:
            _check_geometry(path, geometry, config.data)


def _check_geometry(path: str, geometry: Any, data: str) -> None:
    """A model is of clips of one size, rate and length; nothing is known of one whose stamp does not say."""
    try:
        trained, there = (Geometry.from_dict(found) for found in (geometry, read_dataset(data)["geometry"]))
    except (KeyError, TypeError, ValueError):
        return  # the stage itself says what is wrong with it
    if trained != there:
        raise ConfigError(
            f"{path} is a model of clips of {trained}, but those of {data} are {there}; they must be alike"
        )


def _check_model(path: str, kind: str, make: str) -> Any:
    """The geometry of its clips, as its stamp has it."""
    place = Path(path)
    if not place.is_dir():
        raise ConfigError(
            f"there is no model at {path}: {make}; or say model=DIR, of a run or of `python -m v2a.export`"
        )
    stamp = place / "stage.json" if (place / "stage.json").exists() else place / "config.json"
    try:
        found = parse_json(stamp.read_text())
        stage, geometry = found["stage"], found.get("geometry")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(f"{path} holds neither a run of a training stage nor an exported model: {make}") from None
    if stage != kind:
        raise ConfigError(f"expected a model of stage {kind}, but {path} is of stage {stage}")
    if stamp.name == "stage.json" and not any(place.glob("checkpoints/step-*.json")):
        raise ConfigError(f"{path} has no checkpoint yet; wait until train.checkpoint_every steps are done")
    return geometry


_Look = tuple[str, Callable[[Any, Container[str]], None]]
_VQVAE = _look_at_model("vqvae", "python -m v2a.vqvae trains one")
_LOOKS: dict[str, tuple[_Look, ...]] = {
    "prepare": (("videos", _look_at_videos),),
    "vqvae": (("data", _look_at_clips),),
    "codes": (("data", _look_at_clips), ("model", _VQVAE)),
    "audio": (("data", _look_at_clips), ("model", _VQVAE), ("codes", _look_at_codes)),
    "evaluate": (("data", _look_at_splits), ("model", _look_at_models), ("codes", _look_at_codes)),
    "report": (("runs", _look_at_runs),),
    "infer": (("videos", _look_at_videos), ("model", _look_at_model("audio", "python -m v2a.audio trains one"))),
}
