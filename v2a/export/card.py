"""The card of an exported model: what it is, how good, what it was trained on, how it is used."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from v2a.export.parts import Parts
from v2a.export.run import Run
from v2a.shards.errors import ShardError
from v2a.shards.info import printable
from v2a.shards.manifest import read_manifest

_GROUPS = {
    "test": "test split, videos never seen", "validation": "validation split", "epoch": "training, over the last epoch",
}  # fmt: skip
_LICENCE = (
    "The program is under the MIT licence. These weights carry no licence of their own: they were learned from videos, so mind the "
    "terms of those videos before passing them on."
)


def write_card(run: Run, parts: Parts, name: str) -> str:
    """Markdown.

    Args:
        run: where the model is from.
        parts: of the model.
        name: of the model's folder.
    """
    which = "the best of those that were kept" if run.best else "not the best by validation"
    facts = {
        **parts.facts,
        "identity": f"`{parts.config['identity']}`",
        "checkpoint": f"step {run.step}, {which}",
        "trained on": data_facts(run.stamp["config"].get("data", "")),
    }
    return (
        "\n\n".join(
            [
                f"# {printable(name)}",
                f"A model of stage `{run.stamp['stage']}` of v2a-hpc: silent video to video with sound.",
                _table(("", ""), facts),
                "## How good it is",
                _metrics(run.metrics, parts.units) or "Nothing was measured at this step.",
                "## How it is used",
                parts.use.replace("{shell}", shlex.quote(name)).replace("{python}", repr(name)).strip(),
                "## What is here",
                "`model.safetensors`: the weights, without the optimizer's state; nothing in it can run. `config.json`: what makes "
                "a network of them again, and their checksum.",
                "## Licence",
                _LICENCE,
            ]
        )
        + "\n"
    )


def data_facts(data: str) -> str:
    """A sentence on the data set; its place on this machine is nobody's business."""
    name = f"`{printable(Path(data).name)}`"
    try:
        manifest = read_manifest(Path(data))
    except (ShardError, OSError, ValueError):
        return f"{name} (not at hand when this was exported)"
    total, parts = manifest.total, manifest.by_split
    clips = ", ".join(f"{counts.clips} {split}" for split, counts in parts.items())
    return (
        f"{name}: {total.clips} clips of {total.videos} videos, {total.seconds / 3600:.2f} h; clips by split: {clips}"
    )


def _metrics(metrics: Mapping[str, float], units: str) -> str:
    rows: dict[str, str] = {}
    for group, where in _GROUPS.items():
        mine = {name.split("/", 1)[1]: value for name, value in metrics.items() if name.startswith(f"{group}/")}
        if mine:
            rows[where] = ", ".join(f"{name} {value:.5g}" for name, value in mine.items())
    return _table(("measured on", units), rows) if rows else ""


def _table(head: tuple[str, str], rows: Mapping[str, Any]) -> str:
    return "\n".join(
        [f"| {head[0]} | {head[1]} |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
    )
