"""The stage `infer` as a job of independent tasks, one for each video.

Any number of these jobs may be at work in one output folder at once, each with any number of processes: see `v2a.infer.claims`.
torch is imported where it is used: a process that begins reads this module before it is deaf to Ctrl-C.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from v2a.codes.turns import Seat
from v2a.config import ConfigError
from v2a.export.errors import ModelError
from v2a.infer.claims import Claims
from v2a.infer.config import Config
from v2a.infer.names import Found, find_items
from v2a.infer.plan import Plan, VideoTask, make_plan, note_refused, recipe_of
from v2a.infer.progress import Progress
from v2a.infer.records import STATE, Failed, Records
from v2a.infer.windows import overlap_frames
from v2a.infer.work import Worker, is_full, remove_strays
from v2a.shards.errors import DiskFull
from v2a.tasks import Counts, Link

if TYPE_CHECKING:
    import torch

    from v2a.audio.load import LoadedAudio


class InferJob:
    """Plans, works and finishes; see `v2a.tasks.Job`. Only its settings travel to the workers.

    Args:
        config: validated.
        inputs: folders, videos, lists; `config.videos` when there are none.
        progress: where the process that leads shows how far it is.
    """

    def __init__(self, config: Config, inputs: Sequence[str] = (), progress: Progress | None = None) -> None:
        self.config, self._inputs = config, tuple(inputs) or (config.videos,)
        self._progress = progress or Progress()
        self._out = Path(config.out)
        self._begun = time.monotonic()
        self._plan = Plan()
        self._recipe = ""
        self._named: frozenset[str] = frozenset()
        self._lost = 0

    def __reduce__(self) -> tuple[type[InferJob], tuple[Config, tuple[str, ...]]]:
        return InferJob, (self.config, self._inputs)

    def plan(self) -> Sequence[VideoTask]:
        """Find the inputs, load the model once to know it, see what is done.

        Raises:
            ConfigError: no inputs, or settings that do not fit the model.
            ModelError: no model.
            FolderInUse: others make something else in this folder.
            OSError: the folder cannot be made or written.
        """
        found, self._recipe, self._plan, claims = survey(self.config, self._inputs)
        records = Records(self._out)
        try:
            records.make_folders()
        except OSError as error:
            why = error.strerror or str(error)
            raise OSError(f"cannot write to {self._out} ({why}); name another folder with --out") from None
        if others := claims.others():
            raise FolderInUse(
                f"another infer with another model, seed or settings is at work in {self._out} ({', '.join(others)}); wait for "
                "it, or choose another --out"
            )
        note_refused(found, records)
        self._named = frozenset([*(item.path for item in found.items), *(entry for entry, _ in found.refused)])
        self._progress.begin(found, self._plan, remove_strays(self._out, claims))
        return self._plan.tasks

    def work(self, link: Link) -> None:
        """One worker."""
        tasks = link.tasks()
        first = next(tasks, None)
        if first is None:
            return
        try:
            with Seat(self._out, STATE.lstrip(".")) as seat:
                loaded = load_model(self.config, seat.number)
                Worker(self.config, loaded, _recipe(self.config, loaded), link).run(chain([first], tasks))
        except OSError as error:
            if not is_full(error):
                raise
            raise DiskFull(
                f"no room is left in {self._out}. What is done there is whole; make room, and give the same command again"
            ) from None

    def show(self, done: int, total: int, counts: Counts) -> None:
        """Progress, by bytes."""
        del done, total
        self._progress.show(counts)

    def again(self, task: VideoTask) -> VideoTask:
        """Nothing of a video is kept before all of it."""
        return task

    def lost(self, task: VideoTask, reason: str) -> None:
        """It ended its process twice, and will not be tried again by itself."""
        self._lost += 1
        failed = Failed(task.item.path, "crash", reason, task.bytes, task.mtime_ns, self._recipe)
        Records(self._out).fail(task.item.key, failed)

    def finish(self, counts: Counts, stopped: bool) -> Counts:
        """Put the records of the folder together, say what came of it; the numbers are those of this command's inputs."""
        done, everything_failed = Records(self._out).merge()
        failed = [failure for failure in everything_failed if failure.input in self._named]
        left = max(0, len(self._plan.tasks) - self._lost - int(counts.get("videos", 0.0)))
        earlier = len(everything_failed) - len(failed)
        self._progress.end(self._out, (done, failed), counts, earlier, None if stopped else left)
        done = [video for video in done if video.input in self._named]
        return {
            "videos": float(len(done)), "failures": float(len(failed)), "made": counts.get("made", 0.0),
            "seconds": counts.get("seconds", 0.0), "wall_s": time.monotonic() - self._begun, "stopped": float(stopped),
        }  # fmt: skip

    def close(self) -> None:
        """Nothing is held."""
        self._progress.close()


class FolderInUse(BlockingIOError):  # noqa: N818 - the name says what happened
    """Another infer makes something else in this folder."""


def survey(config: Config, inputs: Sequence[str]) -> tuple[Found, str, Plan, Claims]:
    """What there is to do: the inputs, the recipe, the plan, and the claims of this folder.

    Raises:
        ConfigError, ModelError, OSError: as `InferJob.plan`.
    """
    import torch

    loaded = load_model(config, 0, torch.device("cpu"))
    out = Path(config.out)
    records = Records(out)
    found = find_items(inputs, records.own_outputs())
    recipe = _recipe(config, loaded)
    claims = Claims(out / STATE / "claims", config.lease_s, recipe)
    return found, recipe, make_plan(found, out, records, recipe, config.retry_failures), claims


def load_model(config: Config, seat: int, device: torch.device | None = None) -> LoadedAudio:
    """The model of these settings.

    Raises:
        ModelError: missing, damaged, or another stage's; says which command makes it.
    """
    from v2a.audio.load import load_audio
    from v2a.models.staged import StagedQuantizer
    from v2a.training.precision import pick_device

    path = Path(config.model)
    if not path.is_dir():
        raise ModelError(
            path, f"is not there. `python -m v2a.audio` trains a model, and `python -m v2a.export runs/audio --out {path}` puts it "
            "there; --model names another folder"
        )  # fmt: skip
    loaded = load_audio(path, device or pick_device(config.device, seat))
    quantizer = loaded.encoder.model.quantizer
    if isinstance(quantizer, StagedQuantizer):
        quantizer.beam = min(quantizer.beam, config.beam)
    return loaded


def _recipe(config: Config, loaded: LoadedAudio) -> str:
    try:
        overlap = overlap_frames(loaded.geometry, config.overlap_s)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return recipe_of(loaded.identity, config.seed, overlap, config.fit, config.beam)
