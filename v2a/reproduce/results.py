"""The page of results: what the paper claims and what was measured, side by side, with pictures."""

from __future__ import annotations

import csv
import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from v2a.reproduce.run import is_done, seconds_of
from v2a.reproduce.steps import DECODERS, DOMAINS, INPUTS, PAPER, Step
from v2a.whole import write_whole

_BASELINES = ("redrawn", "retrieval", "shuffled", "noise", "silence")
_COLUMNS = (
    ("log-mel L1, dB", "log_mel_db", 2), ("envelope r", "envelope_r", 2), ("abs. level, dB", "level_abs_db", 1),
    ("centroid r", "centroid_r", 2), ("onset F1", "onset_f1", 2), ("STFT", "stft", 2),
)  # fmt: skip
_RULE = "|---" * (len(_COLUMNS) + 1) + "|"
_PREFIX = "results-"


@dataclass(frozen=True)
class Made:
    """What has been run.

    Attributes:
        out: its folder.
        steps: all of them.
        size: its name.
        command: that repeats it.
    """

    out: Path
    steps: Sequence[Step]
    size: str
    command: str

    def has(self, name: str) -> bool:
        """Whether this step was asked for and is done."""
        return any(step.name == name and is_done(step, self.out) for step in self.steps)

    def read(self, name: str) -> Any:
        """A JSON file below the folder."""
        return json.loads((self.out / name).read_text())


def write_results(made: Made, page: Path) -> None:
    """Write the page and its pictures, `pictures/results-*.png` beside it.

    Raises:
        OSError: cannot be written.
    """
    sections = [_head(made)]
    sections += [section(made, page) for section in (_decoders, _inputs, _domains) if section is not None]
    write_whole(page, ("\n\n".join(part for part in sections if part) + "\n").encode())


def _head(made: Made) -> str:
    minutes = round(sum(seconds_of(step, made.out) for step in made.steps if is_done(step, made.out)) / 60)
    return "\n".join([
        "# The paper's comparisons, run",
        "",
        f'Written by `{made.command}`, size "{made.size}": its commands took {minutes} minutes together, one thread each.',
        "All clips are of synthetic videos that no training saw; in brackets 95 % intervals over videos.",
        "docs/evaluation.md says what the columns mean, and their traps. A small training is not what a decoder",
        "can reach: compare rows with each other, not with longer trainings.",
    ])  # fmt: skip


def _decoders(made: Made, page: Path) -> str:
    if not made.has("evaluate-decoders") or not made.has(f"evaluate-{PAPER}"):
        return ""
    metrics, papers = (made.read(f"evaluate-{name}/metrics.json") for name in ("decoders", PAPER))
    of = {name: papers if name == "fc" else metrics for name in DECODERS}
    rows = [_row(of[name], run, name) for name, run in DECODERS.items()]
    speed = made.read("speed.json") if made.has("speed") else {}
    steps = {step.name: step for step in made.steps}
    costs = []
    for name, run in DECODERS.items():
        training = seconds_of(steps[run], made.out) / 60
        costs.append(f"| {name} | {training:.1f} | {speed.get(run, math.nan):.4f} | {_ratio(of[name], run)} |")
    lines = [
        "## Decoders of sound",
        "The paper sets its fully connected decoder (`fc`, MSE) against the earlier work's WaveNets, which it calls slow and "
        f"narrow. Fly-bys; `fc` has the codes of the paper's own stage 1, the others those of ours; test clips: {metrics['clips']}",
        _table([*rows, *_nulls(metrics)]),
        "\n".join(
            [
                "| | training, min | s of processor time for a second of sound | MSE ÷ silence's |",
                "|---|---|---|---|",
                *costs,
            ]
        ),
        _picture(made, page, "decoders", "framewise-flyby", "Truth above framewise's output"),
        _picture(made, page, PAPER, "fc-paper", "Truth above fc's output"),
        _picture(made, page, "decoders", "wavenet-flyby", "Truth above wavenet's output"),
    ]
    return "\n\n".join(line for line in lines if line)


def _inputs(made: Made, page: Path) -> str:
    del page
    if not made.has("evaluate-inputs") or not all(made.has(f"{name}-flyby") for name in INPUTS):
        return ""
    metrics = made.read("evaluate-inputs/metrics.json")
    rows = [_row(metrics, "framewise-flyby", "codes"), *(_row(metrics, f"{name}-flyby", name) for name in INPUTS)]
    lines = [
        "## The effect of the codebook",
        "The paper decodes sound from a VQ-VAE's codes. The same decoder, trained alike, from stage 1's codes, from its encoder's "
        f"latents before they are quantised, and from frames scaled down. Fly-bys, test clips: {metrics['clips']}",
        _table([*rows, *_nulls(metrics)]),
    ]
    return "\n\n".join(lines)


def _domains(made: Made, page: Path) -> str:
    if not all(made.has(f"evaluate-{domain}") for domain in DOMAINS):
        return ""
    lines = [
        "## One domain against two",
        "The paper trains on one class, and names wider domains as what is missing. Stage 1 and decoder trained on one corpus, and "
        "on both together with as many steps.",
    ]
    for domain in DOMAINS:
        metrics = made.read(f"evaluate-{domain}/metrics.json")
        lines.append(f"{_title(domain)}, test clips: {metrics['clips']}")
        lines.append(_table([_row(metrics, f"framewise-{domain}", f"trained on {domain}"), *_nulls(metrics)]))
    apart = _by_corpus(made)
    lines.append(
        "\n".join(
            [
                "The decoder trained on both, by corpus (means):",
                "",
                "| test clips of | log-mel L1, dB | envelope r | onset F1 | n |",
                "|---|---|---|---|---|",
                *apart,
            ]
        )
    )
    lines.append(_picture(made, page, "impacts", "framewise-impacts", "Truth above output, impacts"))
    return "\n\n".join(line for line in lines if line)


def _by_corpus(made: Made) -> list[str]:
    with (made.out / "evaluate-both" / "clips.csv").open(newline="") as file:
        clips = [row for row in csv.DictReader(file) if row["candidate"] == "framewise-both"]
    rows = []
    for corpus in DOMAINS[:2]:
        mine = [row for row in clips if Path(row["source"]).parent.name == corpus]
        cells = []
        for measure in ("log_mel_db", "envelope_r", "onset_f1"):
            known = [value for row in mine if row[measure] and not math.isnan(value := float(row[measure]))]
            cells.append(f"{sum(known) / len(known):.2f}" if known else "-")
        rows.append(f"| {corpus} | {' | '.join(cells)} | {len(mine)} |")
    return rows


def _title(domain: str) -> str:
    return {"flyby": "Fly-bys", "impacts": "Impacts", "both": "Both"}[domain]


def _nulls(metrics: Any) -> list[str]:
    return [_row(metrics, name, name) for name in _BASELINES if name in metrics["candidates"]]


def _table(rows: list[str]) -> str:
    return "\n".join(["| | " + " | ".join(title for title, _, _ in _COLUMNS) + " |", _RULE, *rows])


def _row(metrics: Any, candidate: str, title: str) -> str:
    scores = metrics["candidates"][candidate]["scores"]
    return f"| {title} | " + " | ".join(_cell(scores.get(name), digits) for _, name, digits in _COLUMNS) + " |"


def _cell(score: Any, digits: int) -> str:
    if not score or score.get("value") is None:
        return "-"
    ends = [score.get("low"), score.get("high")]
    interval = "" if None in ends else f" [{ends[0]:.{digits}f}, {ends[1]:.{digits}f}]"
    return f"{score['value']:.{digits}f}{interval}"


def _ratio(metrics: Any, candidate: str) -> str:
    ratio = metrics["candidates"][candidate].get("mse_ratio")
    return "-" if ratio is None else f"{ratio:.2f}"


def _picture(made: Made, page: Path, evaluation: str, model: str, title: str) -> str:
    sheet = made.out / f"evaluate-{evaluation}" / f"sheet-{model}.png"
    if not sheet.is_file():
        return ""
    into = page.parent / "pictures" / f"{_PREFIX}{evaluation}-{model}.png"
    into.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(sheet, into)
    return f"![{title}](pictures/{into.name})"
