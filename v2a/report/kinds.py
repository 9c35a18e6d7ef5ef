"""What a folder is, by what is in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from v2a.report.errors import ReportError

EVALUATION, AUDIO, VQVAE, INFERENCE = "evaluation", "audio", "vqvae", "inference"
_RULE = (
    "expected the folder of `python -m v2a.evaluate` (metrics.json), `python -m v2a.audio` or `python -m v2a.vqvae` (stage.json), "
    "or `python -m v2a.infer` (report.jsonl)"
)


def find_kind(folder: Path) -> str:
    """EVALUATION, AUDIO, VQVAE or INFERENCE.

    Raises:
        ReportError: it is none of them, not there, not finished, or damaged.
    """
    if not folder.is_dir():
        raise ReportError(f"{folder} is {'a file' if folder.exists() else 'not there'}; {_RULE}; check the path")
    if (folder / "metrics.json").exists():
        found = read_json(folder / "metrics.json")
        if found.get("format") != "v2a-evaluation" or not isinstance(found.get("candidates"), dict):
            raise ReportError(f"{folder / 'metrics.json'} is not of an evaluation; {_RULE}; name another folder")
        return EVALUATION
    if (folder / "evaluation.json").exists():
        raise ReportError(
            f"{folder} is an evaluation without metrics.json: not all clips are measured; the command that made it goes on"
        )
    if (folder / "stage.json").exists():
        stage = read_json(folder / "stage.json").get("stage")
        if stage in (AUDIO, VQVAE):
            return str(stage)
        raise ReportError(
            f"{folder} is a run of stage {stage!r}, and there is nothing to show of it; {_RULE}; name another"
        )
    if (folder / "report.jsonl").exists():
        return INFERENCE
    raise ReportError(f"{folder} holds no run; {_RULE}; name such a folder, not the one above or below it")


def read_json(path: Path) -> dict[str, Any]:
    """A file that holds an object.

    Raises:
        ReportError: it is not there or damaged.
    """
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ReportError(
            f"{path} cannot be read ({error}); the command that made the folder writes it again"
        ) from None
    if not isinstance(found, dict):
        raise ReportError(f"{path} is damaged: it holds no object; the command that made the folder writes it again")
    return found
