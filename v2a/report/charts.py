"""Which curves of a run go together in which chart."""

from __future__ import annotations

from collections.abc import Mapping

from v2a.report.records import Series
from v2a.report.svg import draw_chart

# name in metrics.jsonl: (title, name of its axis). What comes first is shown first.
_KNOWN = {
    "loss": ("Loss", "loss"),
    "psnr": ("Reconstruction: PSNR", "dB"),
    "psnr_moving": ("Reconstruction of what moves: PSNR", "dB"),
    "ssim": ("Reconstruction: SSIM", "0 to 1"),
    "usage": ("Codebook: codes in use", "share, 0 to 1"),
    "perplexity": ("Codebook: perplexity", "codes"),
    "log_mel": ("Sound: error of the log-mel spectrogram", "dB"),
    "envelope": ("Sound: correlation of the envelope", "r, −1 to 1"),  # noqa: RUF001 - a minus sign
    "level_db": ("Sound: error of the level", "dB"),
    "mse": ("Mean squared error", "MSE"),
}
_PARTS = {
    "power": ("Part of the loss: power in mel bands", "L1"), "centroid": ("Part of the loss: spectral centroid", "octaves"),
    "pitch": ("Part of the loss: pitch", "cross-entropy"), "tonal": ("Part of the loss: share of harmonics", "loss"),
    "convergence": ("Spectral convergence", "share"), "quantization": ("Quantization", "squared error"),
    "lr": ("Learning rate", "rate"), "grad_norm": ("Size of the gradient", "norm"), "clips_per_s": ("Speed", "clips/s"),
    "step_ms": ("Time of a step", "ms"), "data_wait": ("Share of time that waits for data", "0 to 1"),
    "gpu_share": ("Share of time that the GPUs work", "0 to 1"),
}  # fmt: skip
_LEFT_OUT = ("epoch", "skipped", "clips", "mse_silence", "seconds")
_KINDS = {"": "training", "epoch/": "epoch", "validation/": "validation"}


def make_charts(curves: Mapping[str, Series]) -> list[tuple[str, str]]:
    """(title, SVG) of each chart: training and validation of one measure together; those that matter most first.

    Args:
        curves: of `metrics.jsonl`, by name; "validation/…" and "epoch/…" beside the plain names of training.
    """
    known = {**_KNOWN, **_PARTS}
    bases = {name.rpartition("/")[2] for name in curves if name.rpartition("/")[0] in ("", "epoch", "validation")}
    order = [base for base in known if base in bases] + sorted(bases - set(known) - set(_LEFT_OUT))
    last = max((points[-1][0] for points in curves.values() if points), default=1.0)
    charts = []
    for base in order:
        title, axis = known.get(base, (base, base))
        lines = {kind: curves[prefix + base] for prefix, kind in _KINDS.items() if curves.get(prefix + base)}
        if base == "mse" and curves.get("validation/mse_silence"):
            lines["silence's"] = curves["validation/mse_silence"]
            lines.pop("epoch", None)
        charts.append((title, draw_chart(title, axis, lines, last)))
    return charts


def important(curves: Mapping[str, Series]) -> int:
    """How many of `make_charts` are shown at once; the others wait behind a button."""
    return sum(any(prefix + base in curves for prefix in _KINDS) for base in _KNOWN)
