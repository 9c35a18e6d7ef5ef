"""The stage: one page, made by whichever worker asks first."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from v2a.evaluate.progress import Progress
from v2a.report.command import no_option
from v2a.report.config import Config
from v2a.report.make import make_page
from v2a.report.read import read_section
from v2a.stages import Context
from v2a.tasks import Counts, Link, Task


class _Stopped(Exception):  # noqa: N818 - no error
    """Asked to stop in the middle of a video; nothing was written."""


@dataclass
class ReportJob:
    """The page as the one task of a job.

    Args:
        config: the stage's.
    """

    config: Config
    _lost: str = ""

    def plan(self) -> Sequence[Task]:
        """The page."""
        return [self.config.page]

    def work(self, link: Link) -> None:
        """Make it."""
        config = self.config
        for page in link.tasks():
            progress = Progress(sys.stdout)

            def tick(what: str, done: int, total: int, progress: Progress = progress) -> None:
                if link.should_stop():
                    raise _Stopped
                progress.show(what, done, total)

            try:
                sections = [read_section(Path(run)) for run in config.folders()]
                size, notes = make_page(sections, config, command_of(config), tick)
            except _Stopped:
                return
            finally:
                progress.close()
            print("\n".join([f"{page}: {size:.1f} MB", *notes]), flush=True)
            link.count({"pages": 1.0, "megabytes": size})

    def show(self, done: int, total: int, counts: Counts) -> None:
        """Its own videos are what is counted."""

    def again(self, task: Task) -> Task:
        """As it was."""
        return task

    def lost(self, task: Task, reason: str) -> None:
        """Said at the end."""
        self._lost = f"{task} was not made: {reason}; the same command tries again"

    def finish(self, counts: Counts, stopped: bool) -> Counts:
        """Pages, megabytes, and whether it was stopped before it was done.

        Raises:
            RuntimeError: the process that made it ended twice.
        """
        if self._lost:
            raise RuntimeError(self._lost)
        return {"pages": 0.0, "megabytes": 0.0, **counts, "stopped": float(stopped and not counts.get("pages"))}

    def close(self) -> None:
        """Nothing is held."""


def command_of(config: Config) -> str:
    """That makes the page again."""
    size = [f"--clips={config.clips}", f"--max-mb={config.max_mb:g}"]
    return shlex.join(
        ["python", "-m", "v2a.report", *map(no_option, config.folders()), *size, "--out", no_option(config.page)]
    )


def run(config: Config, context: Context) -> dict[str, float]:
    """Make it; on all ranks: pages (1 when it is there), megabytes, stopped."""
    return context.tasks.run(ReportJob(config), context.should_stop)
