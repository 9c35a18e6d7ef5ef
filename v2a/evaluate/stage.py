"""The stage: the same job in one process, in local processes, or over MPI, as the launcher has it."""

from __future__ import annotations

import sys

from v2a.evaluate.config import Config
from v2a.evaluate.job import EvaluateJob
from v2a.evaluate.progress import Progress
from v2a.stages import Context


def run(config: Config, context: Context) -> dict[str, float]:
    """Measure; on all ranks: clips, measured (of this run), wall_s, stopped, and when all is measured "CANDIDATE/MEASURE"."""
    return context.tasks.run(EvaluateJob(config, Progress(sys.stdout)), context.should_stop)
