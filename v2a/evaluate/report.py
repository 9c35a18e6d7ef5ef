"""Tables of an evaluation: metrics.json for programs, clips.csv of every clip, table.md for people."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

from v2a.evaluate.parts import Part, finite
from v2a.evaluate.plan import Plan
from v2a.evaluate.totals import Total, Totals, mean_distance
from v2a.metrics.bootstrap import Estimate
from v2a.metrics.distribution import Discrepancy
from v2a.whole import write_whole

_MAIN = (
    ("stft", "STFT", 1, "{:.2f}"), ("log_mel_db", "log-mel dB", 1, "{:.2f}"), ("envelope_r", "envelope r", 1, "{:.2f}"),
    ("envelope_db", "envelope dB", 1, "{:.1f}"), ("centroid_r", "centroid r", 1, "{:.2f}"), ("onset_f1", "onset F1", 1, "{:.2f}"),
    ("level_abs_db", "abs. level dB", 1, "{:.1f}"), ("level_db", "level dB", 1, "{:+.1f}"),
)  # fmt: skip
_TIME = (
    ("sync_onset_abs_s", "onsets to truth, ms", 1000, "{:.0f}"), ("sync_energy_abs_s", "energy to truth, ms", 1000, "{:.0f}"),
    ("sync_motion_abs_s", "energy to motion, ms", 1000, "{:.0f}"), ("sync_onset_fit", "fit of onsets", 1, "{:.2f}"),
    ("sync_energy_fit", "fit of energy", 1, "{:.2f}"), ("onsets", "onsets", 1, "{:.1f}"),
)  # fmt: skip
_SYNTHETIC = (
    ("impact_f1", "impact F1", 1, "{:.2f}"), ("curve_r", "level curve r", 1, "{:.2f}"), ("curve_db", "level curve dB", 1, "{:.1f}"),
    ("distance_slope", "distance slope", 1, "{:.2f}"), ("doppler_r", "Doppler r", 1, "{:.2f}"),
    ("doppler_missed", "pitch missed", 1, "{:.2f}"),
)  # fmt: skip


_CLIP = ("clip", "source", "start_s", "seconds", "video")


def write_reports(out: Path, plan: Plan, parts: list[Part], totals: Totals) -> None:
    """All three, each whole or not at all."""
    write_whole(out / "clips.csv", _clips(parts).encode("utf-8", "backslashreplace"))
    write_whole(out / "table.md", _table(plan, parts, totals).encode("utf-8", "backslashreplace"))
    content = _content(plan, parts, totals)
    write_whole(out / "metrics.json", (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())


def _content(plan: Plan, parts: list[Part], totals: Totals) -> dict[str, Any]:
    return {
        "format": "v2a-evaluation", "version": 1, "identity": plan.identity, "settings": plan.settings,
        "clips": len(parts), "videos": len({part.group for part in parts}), "left_out_without_sound": plan.left_out,
        "interval": "95 %, percentile bootstrap over videos, 2000 draws",
        "synthetic_truth": {"clips": sum(not part.truth_missing for part in parts), "missing": totals.truth_missing},
        "retrieval_distance": finite(mean_distance(parts)), "mmd_training": _discrepancy(totals.floor),
        "candidates": {total.name: _total(total) for total in totals.candidates},
    }  # fmt: skip


def _total(total: Total) -> dict[str, Any]:
    scores = {name: {key: _plain(value) for key, value in one._asdict().items()} for name, one in total.scores.items()}
    single = ("diversity", "nearest_ratio", "mse_ratio", "onset_f1", "of_noise", "of_retrieval")
    return {
        "scores": scores, "mmd": _discrepancy(total.mmd), **{name: finite(getattr(total, name)) for name in single},
    }  # fmt: skip


def _plain(value: float) -> float | None:
    return value if isinstance(value, int) else finite(value)


def _discrepancy(found: Discrepancy) -> dict[str, Any]:
    return {"squared": finite(found.value), "standard_error": finite(found.error), "n": found.clips}


def _clips(parts: list[Part]) -> str:
    """One line for each clip and candidate; what says nothing of a clip stays empty."""
    measures = list(dict.fromkeys(name for part in parts for scores in part.scores.values() for name in scores))
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(
        [
            "clip",
            "source",
            "start_s",
            "seconds",
            "video",
            "candidate",
            *measures,
            "sound_of",
            "code_distance",
            "no_truth",
        ]
    )
    for part in parts:
        for name, scores in part.scores.items():
            numbers = [scores.get(measure, math.nan) for measure in measures]
            table.writerow([
                part.key, part.source, part.start_s, part.seconds, part.group, name,
                *(f"{number:.6g}" if math.isfinite(number) else "" for number in numbers), part.notes.get(name, ""),
                part.notes.get("retrieval_distance", "") if name == "retrieval" else "", part.truth_missing,
            ])  # fmt: skip
    return file.getvalue()


def _table(plan: Plan, parts: list[Part], totals: Totals) -> str:
    videos = len({part.group for part in parts})
    models = ", ".join(f"{name} ({identity})" for name, identity in plan.settings["models"].items()) or "none"
    lines = [
        f"# Evaluation: {len(parts)} clips of {videos} videos, split {plan.settings['split']}", "",
        f"Models: {models}. Clips of {_geometry(plan)}. In brackets 95 % intervals over videos. docs/evaluation.md says what the "
        "columns mean, and their traps.", "",
        *_rows(totals.candidates, _MAIN), "", "Time: medians of the offset, means of the rest. Chance is 1,000 to 1,200 ms.", "",
        *_rows(totals.candidates, _TIME), "", *_sets(totals), "", *_truths(parts, totals),
        f"Mean distance of the retrieved codes: {mean_distance(parts):.3f} (0 to 1).",
    ]  # fmt: skip
    if plan.left_out:
        lines.append(f"{plan.left_out} clips of videos without sound were left out.")
    if videos < 10:
        lines.append(f"With {videos} videos the intervals are too narrow, and differences may be chance.")
    return "\n".join(lines) + "\n"


def _geometry(plan: Plan) -> str:
    return "{width}x{height}, {fps} frames/s, {segment_s:g} s, {sample_rate} Hz".format(**plan.settings["geometry"])


def _rows(candidates: list[Total], columns: tuple[tuple[str, str, float, str], ...]) -> list[str]:
    rows = ["| |" + "".join(f" {title} |" for _, title, _, _ in columns), "|---|" + "---|" * len(columns)]
    for total in candidates:
        cells = [_cell(total.scores.get(name), scale, form, total.mmd.clips) for name, _, scale, form in columns]
        rows.append(f"| {total.name} |" + "".join(f" {cell} |" for cell in cells))
    return rows


def _cell(found: Estimate | None, scale: float, form: str, clips: int) -> str:
    """Value and interval, and of how many clips when it is not all."""
    if found is None or not found.clips:
        return "-"
    value, low, high = (form.format(number * scale) for number in found[:3])
    cell = f"{value} [{low}, {high}]" if math.isfinite(found.low) else value
    return cell if found.clips == clips else f"{cell} n={found.clips}"


def _sets(totals: Totals) -> list[str]:
    rows = [
        "| | squared MMD | standard error | n | diversity | nearest training | MSE ÷ silence's | pooled onset F1 "
        "| log-mel ÷ noise's | ÷ retrieval's |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for total in totals.candidates:
        numbers = (
            total.diversity,
            total.nearest_ratio,
            total.mse_ratio,
            total.onset_f1,
            total.of_noise,
            total.of_retrieval,
        )
        cells = "".join(f" {number:.2f} |" if math.isfinite(number) else " - |" for number in numbers)
        mmd = f"{total.mmd.value:.4f} | {total.mmd.error:.4f} | {total.mmd.clips}"
        rows.append(f"| {total.name} | {mmd} |{cells}")
    floor = totals.floor
    rows.append(f"| training clips | {floor.value:.4f} | {floor.error:.4f} | {floor.clips} | | | | | | |")
    return rows


def _truths(parts: list[Part], totals: Totals) -> list[str]:
    known = sum(not part.truth_missing for part in parts)
    lines = [f"Synthetic truth was found for {known} of {len(parts)} clips."]
    lines += [f"{count} without: {reason}." for reason, count in sorted(totals.truth_missing.items())]
    if known:
        lines += ["", *_rows(totals.candidates, _SYNTHETIC)]
    return [*lines, ""]
