"""The stage: the same job in one process, in local processes, or over MPI, as the launcher has it."""

import sys

from v2a.prepare.config import Config
from v2a.prepare.job import PrepareJob
from v2a.prepare.progress import Progress
from v2a.stages import Context


def run(config: Config, context: Context) -> dict[str, float]:
    """Prepare; metrics on all ranks: clips, videos, seconds, failures, source_frames (of this run), wall_s, stopped."""
    return context.tasks.run(PrepareJob(config, Progress(sys.stdout)), context.should_stop)
