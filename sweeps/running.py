"""A trial of a study that has begun and is not finished."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeps.ownership import Owner
from sweeps.space import setting
from sweeps.trial_folder import Handle, Outcome


@dataclass(frozen=True)
class Running:
    """A trial that has begun and is not finished.

    Attributes:
        number: in the study.
        params: what was chosen, by name of the setting.
        folder: of its run.
        owner: that the folder has when it is this trial's, and not one's of another study.
    """

    number: int
    params: dict[str, Any]
    folder: Path
    owner: Owner

    @property
    def handle(self) -> Handle | None:
        """Who runs it; None when nobody has said so."""
        return self.owner.handle(self.folder)

    @property
    def outcome(self) -> Outcome | None:
        """How its run ended; None when that is not known."""
        return self.owner.outcome(self.folder)


def running_trial(mark: str, number: int, params: Mapping[str, Any], folder: Path) -> Running:
    """A running trial of the study that has this mark."""
    settings = tuple(setting(name, value) for name, value in params.items())
    return Running(number, dict(params), folder, Owner(mark, number, dict(params), settings))
