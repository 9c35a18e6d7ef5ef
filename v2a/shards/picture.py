"""Pictures of clips: frames over the sound that belongs to them, on one axis of time."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from v2a.geometry import Geometry
from v2a.shards.info import printable
from v2a.shards.records import Clip, ClipRow

_DPI = 100
_WIDTH = 15.0  # inches
_FLOOR_DB = -80.0
_TEXT = "#222222"
_WAVE = "#2b6cb0"


def draw_clip(clip: Clip, geometry: Geometry, out: Path) -> None:
    """One clip: a strip of frames, each where its time is, over its waveform and spectrogram. The format is `out`'s suffix.

    Raises:
        ValueError, OSError: the picture cannot be written there.
    """
    figure = _figure(_WIDTH, 1.0)
    shown = _strip_length(geometry, 8)
    strip_height = _WIDTH * 0.92 / shown * geometry.height / geometry.width
    figure.set_size_inches(_WIDTH, strip_height + 5.2)
    grid = figure.add_gridspec(
        3, 1, height_ratios=(strip_height, 1.2, 2.4), left=0.06, right=0.98, top=1 - 0.75 / figure.get_figheight(),
        bottom=0.6 / figure.get_figheight(), hspace=0.12,
    )  # fmt: skip
    top, wave, spectrum = (figure.add_subplot(grid[row]) for row in range(3))
    _draw_strip(top, clip, geometry, shown, times=True)
    _draw_wave(wave, clip, geometry)
    _draw_spectrum(spectrum, clip, geometry)
    spectrum.set_xlabel("seconds in the clip")
    wave.set_ylabel("amplitude")
    spectrum.set_ylabel("kHz")
    wave.tick_params(labelbottom=False)
    figure.text(0.06, 1 - 0.3 / figure.get_figheight(), _title(clip.row), fontsize=13, color=_TEXT, parse_math=False)
    figure.text(
        0.06, 1 - 0.55 / figure.get_figheight(), _subtitle(clip.row, geometry), fontsize=10, color="#666666",
        parse_math=False,
    )  # fmt: skip
    _save(figure, out)


def draw_overview(clips: Sequence[Clip], geometry: Geometry, out: Path) -> None:
    """Many clips, a row each: strip of frames and spectrogram."""
    shown = _strip_length(geometry, 6)
    row_height = _WIDTH * 0.6 / shown * geometry.height / geometry.width + 0.42
    figure = _figure(_WIDTH, row_height * len(clips) + 0.3)
    grid = figure.add_gridspec(
        len(clips), 2, width_ratios=(0.62, 0.36), left=0.01, right=0.99, hspace=0.42 / (row_height - 0.42), wspace=0.02,
        top=1 - 0.35 / figure.get_figheight(), bottom=0.1 / figure.get_figheight(),
    )  # fmt: skip
    for number, clip in enumerate(clips):
        strip, sound = (figure.add_subplot(grid[number, column]) for column in range(2))
        _draw_strip(strip, clip, geometry, shown, times=False)
        _draw_spectrum(sound, clip, geometry)
        sound.set_axis_off()
        text = f"{_title(clip.row, 110)}   {_subtitle(clip.row, geometry)}"
        strip.set_title(text, loc="left", fontsize=9, color=_TEXT, pad=3, parse_math=False)
    _save(figure, out)


def _figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Any, out: Path) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # boxes stand for them
        figure.savefig(out)


def _strip_length(geometry: Geometry, wide: int) -> int:
    """Frames of a strip: `wide` for pictures of 16:9, more when they are narrower."""
    return max(1, min(geometry.frames, round(wide * 16 / 9 * geometry.height / geometry.width), 3 * wide))


def _draw_strip(axes: Any, clip: Clip, geometry: Geometry, shown: int, *, times: bool) -> None:
    seconds = geometry.segment_s
    for place in range(shown):
        left, right = place * seconds / shown, (place + 1) * seconds / shown
        frame = min(round(left * geometry.fps), geometry.frames - 1)
        real = frame < clip.row.frames
        pad = 0.01 * (right - left)
        axes.imshow(
            clip.video[frame], extent=(left + pad, right - pad, 0, 1), aspect="auto", interpolation="antialiased",
            alpha=1.0 if real else 0.25,
        )  # fmt: skip
        if times:
            label = f"{frame / geometry.fps:.4g} s" if real else "after the end"
            axes.text(left + pad, 1.02, label, fontsize=9, color="#666666", va="bottom")
    axes.set_xlim(0, seconds)
    axes.set_ylim(0, 1)
    axes.set_axis_off()


def _draw_wave(axes: Any, clip: Clip, geometry: Geometry) -> None:
    samples = clip.audio.astype(np.float32) / 32768
    columns = min(1400, len(samples))
    edges = np.linspace(0, len(samples), columns + 1).astype(int)[:-1]
    low, high = np.minimum.reduceat(samples, edges), np.maximum.reduceat(samples, edges)
    axes.fill_between(edges / geometry.sample_rate, low, high, color=_WAVE, linewidth=0.4, edgecolor=_WAVE)
    reach = max(0.05, 1.1 * float(np.abs(samples).max(initial=0)))
    axes.set_ylim(-reach, reach)
    axes.set_xlim(0, geometry.segment_s)
    _mark_end(axes, clip, geometry)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _draw_spectrum(axes: Any, clip: Clip, geometry: Geometry) -> None:
    levels = spectrogram_db(clip.audio)
    axes.imshow(
        levels, origin="lower", aspect="auto", cmap="magma", vmin=_FLOOR_DB, vmax=0, interpolation="nearest",
        extent=(0, geometry.segment_s, 0, geometry.sample_rate / 2000),
    )  # fmt: skip
    axes.set_xlim(0, geometry.segment_s)
    _mark_end(axes, clip, geometry)
    if not clip.row.has_audio:
        axes.text(0.5, 0.5, "no sound", transform=axes.transAxes, ha="center", va="center", color="#bbbbbb")


def _mark_end(axes: Any, clip: Clip, geometry: Geometry) -> None:
    if clip.row.frames < geometry.frames:
        axes.axvline(clip.row.frames / geometry.fps, color="#38d9c4", linestyle="--", linewidth=1)


def spectrogram_db(audio: npt.NDArray[np.int16], window: int = 512) -> npt.NDArray[np.float32]:
    """Power in dB of a full-scale sine, `[window / 2 + 1, frames]`: Hann windows that overlap by half, or fewer in long clips."""
    samples = audio.astype(np.float32) / 32768
    samples = np.pad(samples, (window // 2, window))
    hop = max(window // 2, len(audio) // 1500)
    starts = np.arange(0, len(samples) - window + 1, hop)
    hann = np.hanning(window).astype(np.float32)
    pieces = samples[starts[:, None] + np.arange(window)] * hann
    power = np.abs(np.fft.rfft(pieces)).astype(np.float32) / (hann.sum() / 2)
    levels: npt.NDArray[np.float32] = np.maximum(20 * np.log10(power.T + 1e-9), _FLOOR_DB).astype(np.float32)
    return levels


def _title(row: ClipRow, longest: int = 130) -> str:
    name = printable(row.source)
    return name if len(name) <= longest else "…" + name[-longest + 1 :]


def _subtitle(row: ClipRow, geometry: Geometry) -> str:
    parts = [f"from {row.start_s:.4g} s, {row.frames / geometry.fps:.4g} s long"]
    parts += [f"label {printable(row.label)}"] if row.label else []
    parts.append(f"sound {row.level_db:.1f} dB" if row.has_audio else "no sound")
    return ",  ".join([*parts, f"motion {row.motion:.1f}"])
