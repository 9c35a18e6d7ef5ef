"""The stage: the same job in one process, in local processes, or over MPI, as the launcher has it."""

from __future__ import annotations

import sys

from v2a.infer.config import Config
from v2a.infer.job import InferJob
from v2a.infer.progress import Progress
from v2a.stages import Context


def run(config: Config, context: Context) -> dict[str, float]:
    """Make sound; metrics on all ranks: videos and failures in the folder; made, seconds (of this run), wall_s, stopped."""
    return context.tasks.run(InferJob(config, progress=Progress(sys.stdout)), context.should_stop)
