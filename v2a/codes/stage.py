"""The stage: the same job in one process, in local processes, or over MPI, as the launcher has it."""

from __future__ import annotations

import sys

from v2a.codes.config import Config
from v2a.codes.job import CodesJob
from v2a.codes.progress import Progress
from v2a.stages import Context


def run(config: Config, context: Context) -> dict[str, float]:
    """Encode; metrics on all ranks: clips, shards, used, perplexity, bits_per_pixel, encoded (of this run), wall_s, stopped."""
    return context.tasks.run(CodesJob(config, Progress(sys.stdout)), context.should_stop)
