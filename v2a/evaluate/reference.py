"""What the training split says of sound, computed once: mean spectrum and level, and the space in which sounds are points."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from v2a.evaluate.clips import sound_of
from v2a.loading.codes import CodeDataset
from v2a.metrics.correlation import Array
from v2a.metrics.distribution import Space, describe_sound, learn_space
from v2a.metrics.heard import listen, make_bands
from v2a.whole import write_whole


@dataclass(frozen=True)
class Reference:
    """Of the training clips.

    Attributes:
        described: [n, 128], see `describe_sound`.
        level_db: mean of their levels, dB of full scale.
        space: learned on them.
    """

    described: Array
    level_db: float
    space: Space

    @property
    def spectrum_db(self) -> Array:
        """Mean level of each band, dB: [64]. Of decibels, not of powers: a few loud clips would drown the others."""
        found: Array = self.described[:, : self.described.shape[1] // 2].mean(0)
        return found


def make_reference(training: CodeDataset, numbers: Sequence[int], tick: Callable[[], None]) -> Reference:
    """Listen to these training clips; calls `tick` after each.

    Raises:
        ValueError: fewer than two.
    """
    bands = make_bands(training.geometry.sample_rate)
    described, levels = [], []
    for clip in numbers:
        sound = listen(sound_of(training, clip), bands)
        described.append(describe_sound(sound))
        levels.append(sound.level_db)
        tick()
    points = np.array(described).reshape(len(described), -1)
    return Reference(points, float(np.mean(levels)) if levels else 0.0, learn_space(points))


def write_reference(path: Path, reference: Reference, identity: str) -> None:
    """To a file, for the workers, and for the same command again."""
    space, file = reference.space, io.BytesIO()
    np.savez(
        file, identity=identity, described=reference.described, level_db=reference.level_db, mean=space.mean,
        scale=space.scale, directions=space.directions, width=space.width,
    )  # fmt: skip
    write_whole(path, file.getvalue())


def read_reference(path: Path, identity: str) -> Reference | None:
    """What `write_reference` wrote for this identity; None when it is another's, damaged, or not there."""
    try:
        with np.load(path, allow_pickle=False) as found:
            if str(found["identity"]) != identity:
                return None
            space = Space(found["mean"], found["scale"], found["directions"], float(found["width"]))
            return Reference(found["described"], float(found["level_db"]), space)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
