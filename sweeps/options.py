"""How a study's trials are chosen and run; what drivers and workers share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """How.

    Attributes:
        storage: `sweeps.place.Place.spec` of the study.
        trials: how many the study shall have, over all drivers.
        parallel: at once, of this driver.
        sampler: name of the sampler.
        pruner: name of the pruner.
        seed: of the sampler's draws; None for other ones each time.
        retries: how often a trial whose process is gone goes on from its checkpoint, before it counts as failed.
        metric: that is reported for pruning; "" for none.
        steps: of a whole run.
        every: steps between two reports of it.
        nodes: of each run.
        ranks_per_node: likewise.
        controller: how a worker's ranks find each other, "mpi" or "gloo".
    """

    storage: str
    trials: int
    parallel: int
    sampler: str
    pruner: str
    seed: int | None
    retries: int
    metric: str
    steps: int
    every: int
    nodes: int = 1
    ranks_per_node: int = 1
    controller: str = "mpi"
