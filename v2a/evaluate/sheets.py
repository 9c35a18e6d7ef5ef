"""Pictures to judge sounds by: spectrograms under each other, with their levels."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from v2a.evaluate.config import BASELINES
from v2a.evaluate.sounds import read_wave
from v2a.metrics.heard import Heard, listen, make_bands
from v2a.whole import write_whole

_COLUMNS = 5
_ALONE = 3  # clips whose candidates are all drawn


def draw_sheets(out: Path, titles: Sequence[str], candidates: Sequence[str], sample_rate: int) -> list[Path]:
    """`sheet-NAME.png` for each model, or for "redrawn" without any: clips of the sheet, truth above output; and `clip-NN.png`.

    Args:
        out: the folder, with the clips' sounds.
        titles: of the clips on the sheet, in their order.
        candidates: all, the models first.
        sample_rate: Hz.
    """
    bands = make_bands(sample_rate)
    heard: dict[tuple[int, str], Heard] = {}
    for place in range(len(titles)):
        for name in candidates:
            wave = read_wave(out, place, name)
            if wave is not None:
                heard[place, name] = listen(wave, bands)
    drawn = []
    for name in [name for name in candidates if name not in BASELINES] or ["redrawn"]:
        drawn.append(out / f"sheet-{name}.png")
        write_whole(drawn[-1], _sheet(heard, titles, name))
    for place in range(min(_ALONE, len(titles))):
        drawn.append(out / f"clip-{place:02d}.png")
        write_whole(drawn[-1], _alone(heard, place, titles[place], [n for n in candidates if (place, n) in heard]))
    return drawn


def _sheet(heard: dict[tuple[int, str], Heard], titles: Sequence[str], name: str) -> bytes:
    lines = -(-len(titles) // _COLUMNS)
    columns = min(_COLUMNS, len(titles))
    figure = Figure(figsize=(3.4 * columns, 3.6 * lines))
    figure.subplots_adjust(0.01, 0.03, 0.97, 0.97, wspace=0.15, hspace=0.2)
    axes = figure.subplots(2 * lines, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for place, title in enumerate(titles):
        line, column = divmod(place, columns)
        for row, who in ((2 * line, "truth"), (2 * line + 1, name)):
            if (place, who) in heard:
                _spectrogram(axes[row, column], heard[place, who], heard[place, "truth"], f"{who}: {title}")
    return _png(figure)


def _alone(heard: dict[tuple[int, str], Heard], place: int, title: str, names: Sequence[str]) -> bytes:
    ordered = sorted(names, key=lambda name: name != "truth")  # the truth on top
    figure = Figure(figsize=(9, 1.7 * len(ordered) + 0.4))
    figure.subplots_adjust(0.01, 0.02, 0.96, 0.95, hspace=0.25)
    axes = figure.subplots(len(ordered), 1, squeeze=False)[:, 0]
    figure.suptitle(_plain(title), fontsize=9)
    for axis, name in zip(axes, ordered, strict=True):
        _spectrogram(axis, heard[place, name], heard[place, "truth"], name)
    return _png(figure)


def _spectrogram(axis: object, sound: Heard, truth: Heard, title: str) -> None:
    """64 mel bands, from -70 dB to the truth's loudest; the line is the level over 110 ms, on the scale at the right."""
    seconds = sound.power.shape[1] / sound.frame_rate
    axis.set_axis_on()  # type: ignore[attr-defined]
    loudest = max(float(truth.mel_db.max()), -60.0)
    axis.imshow(  # type: ignore[attr-defined]
        sound.mel_db, origin="lower", aspect="auto", extent=(0, seconds, 0, 64), cmap="magma", vmin=-70, vmax=loudest
    )  # fmt: skip
    axis.set_title(_plain(title), fontsize=6, pad=2)  # type: ignore[attr-defined]
    axis.set_yticks([])  # type: ignore[attr-defined]
    axis.tick_params(labelsize=5, length=2, pad=1)  # type: ignore[attr-defined]
    level = axis.twinx()  # type: ignore[attr-defined]
    times = (np.arange(len(sound.envelope_db)) + 0.5) / sound.frame_rate
    level.plot(times, sound.envelope_db, color="cyan", linewidth=0.8)
    level.set_ylim(-75, 0)
    level.tick_params(labelsize=5, length=2, pad=1)


def _plain(text: str) -> str:
    """Names of files may hold what matplotlib takes for formulas, or cannot draw."""
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text).replace("$", r"\$")


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    FigureCanvasAgg(figure).print_png(file, metadata={"Software": None})  # type: ignore[no-untyped-call]
    return file.getvalue()
