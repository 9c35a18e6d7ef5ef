"""What a command would do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from v2a.infer.config import Config
from v2a.infer.job import survey

_SHOWN = 20


def describe_plan(config: Config, inputs: Sequence[str]) -> Iterator[str]:
    """Sentences; nothing is written, and no video is opened.

    Raises:
        ConfigError, ModelError, OSError: as `v2a.infer.job.survey`.
    """
    found, recipe, plan, claims = survey(config, inputs)
    yield f"{len(found.items)} videos: {plan.done} done before, {plan.failed} failed before, {len(plan.tasks)} to be made"
    for why, count in plan.why.items():
        yield f"{count} were made before and would be looked at again: {why}"
    for task in plan.tasks[:_SHOWN]:
        yield f"  {task.item.path!a} -> {config.out}/{task.item.stem!a}, a video and a .wav"
    if len(plan.tasks) > _SHOWN:
        yield f"  … and {len(plan.tasks) - _SHOWN} more"
    for entry, reason in found.refused[:_SHOWN]:
        yield f"  refused: {entry!a}: {reason}"
    if others := claims.others():
        yield f"another infer works in {config.out} with other settings ({', '.join(others)})"
    yield f"recipe {recipe}: model, seed and settings"
