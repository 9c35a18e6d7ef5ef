"""Draws the picture of the README from an evaluation: python docs/pictures/result.py runs/evaluate

The first four clips of the evaluation's sheet, which are taken evenly from the held-out videos; nobody picks the good ones. Of
each, pictures of the video, the spectrogram of its true sound, and that of the sound made from the silent pictures alone.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from v2a.geometry import Geometry
from v2a.media.readers import get_reader
from v2a.media.reading import Request
from v2a.metrics.heard import Heard
from v2a.report.evaluation import read_evaluation
from v2a.report.section import Clip
from v2a.report.spectrogram import QUIET_DB, hear, loudest_db

OUT = Path(__file__).with_name("result.png")
_CLIPS = 4
_PICTURES = 6
_COLOURS = 128
_TEXT = "#555555"  # read on white and on GitHub's dark page alike, as the paper around it is white


def draw(evaluation: Path, out: Path = OUT) -> None:
    """Write the picture.

    Args:
        evaluation: folder of `python -m v2a.evaluate`; its videos are where they were when they were prepared.
        out: the file, a PNG.
    """
    clips = read_evaluation(evaluation).clips[:_CLIPS]
    figure = Figure(figsize=(12.0, 0.45 + 1.72 * len(clips)), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        len(clips), 3, width_ratios=(1.5, 1, 1), left=0.005, right=0.955, top=1 - 0.32 / figure.get_figheight(),
        bottom=0.3 / figure.get_figheight(), wspace=0.03, hspace=0.12,
    )  # fmt: skip
    for row, clip in enumerate(clips):
        strip, truth, made = (figure.add_subplot(grid[row, column]) for column in range(3))
        _draw_pictures(strip, clip)
        assert clip.truth is not None
        sounds = [hear(path, clip.seconds) for path in (clip.truth, _made(clip))]
        top = loudest_db(sounds[0])
        for axis, sound in zip((truth, made), sounds, strict=True):
            _draw_sound(axis, sound, top, clip.seconds, last=row == len(clips) - 1)
        truth.tick_params(labelright=False)
        if row == 0:
            for axis, title in (
                (strip, "held-out silent video"),
                (truth, "its true sound"),
                (made, "sound from the pictures"),
            ):
                axis.set_title(title, fontsize=11, color=_TEXT, pad=5)
    _save(figure, out)


def _made(clip: Clip) -> Path:
    path = clip.sounds[0].path  # the model's own comes first
    assert path is not None
    return path


def _draw_pictures(axis: Any, clip: Clip) -> None:
    """Pictures at even times, three beside each other in two lines."""
    with get_reader("auto").open(Request(str(clip.source), Geometry(), start_s=clip.start_s)) as reading:
        frames = next(iter(reading)).video
    chosen = [frames[int((k + 0.5) * len(frames) / _PICTURES)] for k in range(_PICTURES)]
    half = _PICTURES // 2
    rows = [np.concatenate(chosen[k : k + half], axis=1) for k in (0, half)]
    axis.imshow(np.concatenate(rows, axis=0), aspect="auto", interpolation="antialiased")
    axis.set_axis_off()


def _draw_sound(axis: Any, sound: Heard, top_db: float, seconds: float, *, last: bool) -> None:
    axis.imshow(
        sound.mel_db, origin="lower", aspect="auto", cmap="magma", vmin=QUIET_DB, vmax=top_db,
        extent=(0, seconds, 0, len(sound.mel_db)), interpolation="antialiased",
    )  # fmt: skip
    hertz = (200, 1000, 4000)
    places = np.interp(hertz, sound.centres, np.arange(len(sound.centres))) + 0.5
    axis.set_yticks(places, ["200 Hz", "1 kHz", "4 kHz"], fontsize=8, color=_TEXT)
    axis.yaxis.tick_right()
    marks = range(0, round(seconds), 2)
    axis.set_xticks(marks, [f"{mark} s" for mark in marks], fontsize=8)
    axis.tick_params(length=2, colors=_TEXT, labelbottom=last)


def _save(figure: Figure, out: Path) -> None:
    canvas: Any = figure.canvas
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    picture.quantize(_COLOURS, dither=Image.Dither.NONE).save(out, optimize=True)


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
