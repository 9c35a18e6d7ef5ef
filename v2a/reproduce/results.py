"""The page of results: what the paper says and what was measured, side by side, with pictures."""

from __future__ import annotations

import io
import math
from pathlib import Path

from PIL import Image

from v2a.reproduce.claims import claims
from v2a.reproduce.domains import domain_lines
from v2a.reproduce.made import Made
from v2a.reproduce.paired import paired
from v2a.reproduce.run import is_done, seconds_of
from v2a.reproduce.steps import DECODERS, INPUTS, PAPER
from v2a.reproduce.tables import measures, number, table
from v2a.whole import write_whole

_PREFIX = "results-"


def write_results(made: Made, page: Path) -> None:
    """Write the page and its pictures, `pictures/results-*.jpg` beside it.

    Raises:
        OSError: cannot be written.
    """
    lines = [_head(made, page), claims(made), *_decoders(made, page), *_inputs(made)]
    if domains := domain_lines(made):
        lines += [*domains, _picture(made, page, "impacts", "framewise-impacts", "Truth above output, impacts")]
    write_whole(page, ("\n\n".join(line for line in lines if line) + "\n").encode())


def _head(made: Made, page: Path) -> str:
    minutes = round(sum(seconds_of(step, made.out) for step in made.steps if is_done(step, made.out)) / 60)
    beside = (page.parent / "evaluation.md").exists()
    manual = "[The manual](evaluation.md)" if beside else "docs/evaluation.md"
    return "\n".join([
        "# The paper's comparisons, run",
        "",
        f'Written by `{made.command}`, size "{made.size}": its commands took {minutes} minutes together, one thread each.',
        "All clips are of synthetic videos that no training saw; in brackets 95 % intervals over videos.",
        f"{manual} says what the columns mean, and their traps. A small training is not what a decoder",
        "can reach: compare rows with each other, not with longer trainings. Each was trained once, with one seed: intervals",
        "do not hold what another seed would change, so small differences between models may be chance. None was trained to its",
        "end.",
    ])  # fmt: skip


def _decoders(made: Made, page: Path) -> list[str]:
    if not made.has("evaluate-decoders", f"evaluate-{PAPER}"):
        return []
    ours, papers = made.metrics("decoders"), made.metrics(PAPER)
    # One table: they have the same test clips, and the baselines that hear no codes are the same in both evaluations.
    ours["candidates"][DECODERS["fc"]] = papers["candidates"][DECODERS["fc"]]
    return [
        "## Decoders of sound",
        "The paper sets its fully connected decoder (`fc`, MSE) against the earlier work's WaveNets, which it calls slow and "
        f"narrow. Fly-bys; `fc` has the codes of the paper's own stage 1, the others those of ours; test clips: {ours['clips']}",
        measures(ours, {run: name for name, run in DECODERS.items()}),
        _costs(made, ours),
        _picture(made, page, "decoders", "framewise-flyby", "Truth above framewise's output"),
        _picture(made, page, PAPER, "fc-paper", "Truth above fc's output"),
        _picture(made, page, "decoders", "wavenet-flyby", "Truth above wavenet's output"),
    ]


def _costs(made: Made, metrics: dict[str, dict[str, dict[str, float]]]) -> str:
    speed = made.read("speed.json") if made.has("speed") else {}
    steps = {step.name: step for step in made.steps}
    rows = [
        [
            name, number(seconds_of(steps[run], made.out) / 60, 1), number(speed.get(run, math.nan), 4),
            number(metrics["candidates"][run].get("mse_ratio"), 2),
        ]
        for name, run in DECODERS.items()
    ]  # fmt: skip
    return table(["", "training, min", "s of processor time for a second of sound", "MSE ÷ silence's"], rows)


def _inputs(made: Made) -> list[str]:
    if not made.has("evaluate-inputs", *(f"{name}-flyby" for name in INPUTS)):
        return []
    metrics = made.metrics("inputs")
    return [
        "## The effect of the codebook",
        "The paper decodes sound from a VQ-VAE's codes. The same decoder, trained alike, from stage 1's codes, from its encoder's "
        f"latents before they are quantised, and from frames scaled down. Fly-bys, test clips: {metrics['clips']}",
        measures(metrics, {"framewise-flyby": "codes", **{f"{name}-flyby": name for name in INPUTS}}),
        "Clip by clip, less what codes have:",
        table(["", "log-mel L1, dB", "envelope r"], [[name, *_less_than_codes(made, name)] for name in INPUTS]),
    ]


def _less_than_codes(made: Made, name: str) -> list[str]:
    codes, other = (made.clips("inputs", f"{one}-flyby") for one in ("framewise", name))
    return [paired(codes, other, measure).text() for measure in ("log_mel_db", "envelope_r")]


def _picture(made: Made, page: Path, evaluation: str, model: str, title: str) -> str:
    sheet = made.out / f"evaluate-{evaluation}" / f"sheet-{model}.png"
    if not sheet.is_file():
        return ""
    into = page.parent / "pictures" / f"{_PREFIX}{evaluation}-{model}.jpg"
    into.parent.mkdir(parents=True, exist_ok=True)
    small = io.BytesIO()  # a sixth of the sheet's size: pages like this one are kept with the code
    with Image.open(sheet) as picture:
        picture.convert("RGB").save(small, "JPEG", quality=80, optimize=True)
    write_whole(into, small.getvalue())
    return f"![{title}](pictures/{into.name})"
