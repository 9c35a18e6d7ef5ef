"""What the JSON beside a synthetic video says of a clip's sound, on the grid of its sound."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from v2a.metrics.correlation import Array
from v2a.metrics.physics import add_levels
from v2a.shards.records import ClipRow

_APART_S = 0.05  # contacts nearer than this are one onset
_ABOVE_DB = 3.0  # an aircraft's pitch is asked for where it is so much louder than all else


class NoTruth(ValueError):  # noqa: N818 - says what is the matter, and is no fault
    """There is no synthetic truth for a clip; the text says why."""


@dataclass(frozen=True)
class Truth:
    """Of one clip; N frames of its sound. None where it does not apply.

    Attributes:
        level_db: of everything that is heard, dB of full scale, [N].
        distance_m: of the aircraft that is loudest in the clip, when its sound set out, [N].
        pitch_hz: its fundamental as received, [N]; None without propellers.
        clear: 1.0 where it drowns the rest, [N].
        impacts_s: times at which blows arrive, ascending, [k].
    """

    level_db: Array | None = None
    distance_m: Array | None = None
    pitch_hz: Array | None = None
    clear: Array | None = None
    impacts_s: Array | None = None


def find_truth(row: ClipRow, folder: str) -> dict[str, Any]:
    """The JSON of a clip's video, from `folder`, or from beside the video when that is "".

    Raises:
        NoTruth: there is none, it cannot be read, or it is another video's.
    """
    video = Path(row.source)
    path = (Path(folder) / video.name if folder else video).with_suffix(".json")
    try:
        found = json.loads(path.read_bytes())
        kind, named = found["kind"], found["video"]["file"]
    except (FileNotFoundError, NotADirectoryError):
        raise NoTruth("there is no JSON of its name " + ("in truth=…" if folder else "beside the video")) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NoTruth(f"its JSON is not the truth of a synthetic video ({type(error).__name__})") from None
    if named != video.name or kind not in _READERS:
        raise NoTruth("its JSON is another video's, or of a kind that this version does not know")
    truth: dict[str, Any] = found
    return truth


def read_truth(found: dict[str, Any], start_s: float, frames: int, frame_rate: float) -> Truth:
    """The truth of a clip.

    Args:
        found: by `find_truth`.
        start_s: of the clip within its video.
        frames: of the clip's sound, N.
        frame_rate: of these, Hz.

    Raises:
        NoTruth: it lacks what it should have.
    """
    times = start_s + (np.arange(frames) + 0.5) / frame_rate
    try:
        return _READERS[found["kind"]](found, start_s, times)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise NoTruth(f"its JSON lacks what it should have ({type(error).__name__}: {error})") from None


def _flyby(found: dict[str, Any], start_s: float, times: Array) -> Truth:
    del start_s
    fps = float(found["geometry"]["fps"])
    bed = np.full(len(times), float(found["scene"]["ambience_level_db"]))
    heard = [aircraft["heard"] for aircraft in found["aircraft"]]
    if not heard:
        return Truth(level_db=bed)
    levels = np.array([_track(one["level_db"], fps, times) for one in heard])
    loudest = int(np.power(10, levels / 10).mean(1).argmax())
    rest = np.vstack([np.delete(levels, loudest, 0), bed])
    pitch = heard[loudest]["fundamental_hz"]
    return Truth(
        level_db=add_levels(np.vstack([levels, bed])),
        distance_m=_track(heard[loudest]["distance_m"], fps, times),
        pitch_hz=None if pitch is None else _track(pitch, fps, times),
        clear=(levels[loudest] > add_levels(rest) + _ABOVE_DB).astype(np.float64),
    )


def _impacts(found: dict[str, Any], start_s: float, times: Array) -> Truth:
    end = len(times) * (times[1] - times[0]) if len(times) > 1 else 0.0
    arrivals = sorted(float(contact["arrival_s"]) - start_s for contact in found["contacts"])
    merged: list[float] = []
    for arrival in arrivals:
        if 0 <= arrival < end and (not merged or arrival - merged[-1] > _APART_S):
            merged.append(arrival)
    return Truth(impacts_s=np.array(merged))


_READERS = {"flyby": _flyby, "impacts": _impacts}


def _track(values: list[float], fps: float, times: Array) -> Array:
    """A list with one entry a frame, at these times."""
    given = np.asarray(values, np.float64)
    if given.ndim != 1 or not len(given) or not np.isfinite(given).all():
        raise ValueError("a track is not a list of numbers")
    found: Array = np.interp(times, np.arange(len(given)) / fps, given)
    return found
