"""Which preflight checks there are, and how they are run: all at once, each within its time limit."""

import functools
import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from hpc.preflight import (
    disk,
    driver,
    ffmpeg,
    gpu,
    gpu_facts,
    host,
    shared,
)
from hpc.preflight.finding import Finding
from hpc.preflight.limits import Running
from hpc.world import World

_T = TypeVar("_T")


class _Once(Generic[_T]):
    """A fact that several checks, each in its own thread, need: gathered when first asked for."""

    def __init__(self, gather: Callable[[], _T]) -> None:
        self._gather, self._lock, self._future = gather, threading.Lock(), Future[_T]()

    def __call__(self) -> _T:
        with self._lock:
            if not self._future.done():
                try:
                    self._future.set_result(self._gather())
                except Exception as error:
                    self._future.set_exception(error)
        return self._future.result()


class _Context:
    """What the checks of one run share: the arguments, and facts that are gathered once."""

    def __init__(self, world: World, runs: Path, min_free_bytes: int, shared_timeout_s: float) -> None:
        self.world, self.runs, self.min_free_bytes, self.shared_timeout_s = (
            world,
            runs,
            min_free_bytes,
            shared_timeout_s,
        )
        self.grant = gpu_facts.read_grant()
        self.torch = _Once(gpu_facts.gather_torch)
        self.driver = _Once(gpu_facts.gather_driver)


def _gpu(context: _Context) -> list[Finding]:
    facts = context.torch()
    found = gpu.judge_gpu(facts, gpu_facts.device_nodes(), context.grant)
    # Said once for the node, not by each of its processes.
    sharing = gpu.judge_sharing(len(facts.devices), context.world.local_size, context.grant)
    return [found, sharing] if sharing and context.world.local_rank == 0 else [found]


def _runs(context: _Context) -> list[Finding]:
    several = context.world.size > context.world.local_size
    return [disk.judge_runs(disk.gather_runs(context.runs), context.min_free_bytes, several)]


@dataclass(frozen=True)
class _Check:
    """One check: what it does, how long it may take in seconds, and whether each process of a node has to do it."""

    act: Callable[[_Context], list[Finding]]
    limit_s: float
    each_process: bool = False


_ASKS_TORCH_S = gpu_facts.TORCH_LIMIT_S + 30

CHECKS: dict[str, _Check] = {
    "python": _Check(lambda _: [host.check_python()], 10),
    "torch": _Check(lambda context: [host.judge_torch(context.torch())], _ASKS_TORCH_S),
    "horovod": _Check(lambda context: [host.check_horovod(context.world.size)], _ASKS_TORCH_S),
    # Processes of one node may see different GPUs.
    "gpu": _Check(_gpu, _ASKS_TORCH_S, each_process=True),
    "driver": _Check(
        lambda context: [driver.judge_driver(context.driver(), context.torch(), context.grant)], _ASKS_TORCH_S
    ),
    "nccl": _Check(lambda context: [driver.judge_nccl(context.torch(), context.world.size)], _ASKS_TORCH_S),
    "runs": _Check(_runs, 30),
    "shm": _Check(lambda _: [host.check_shm()], 10),
    "ffmpeg": _Check(lambda _: [ffmpeg.judge_ffmpeg(ffmpeg.gather_ffmpeg())], 120),
    "shared": _Check(
        lambda context: shared.check_shared(context.world, context.runs, context.shared_timeout_s),
        15,  # and twice the waiting time: for the others' files, and for their having read this one's
        each_process=True,
    ),
}


def run_preflight(
    world: World, runs: Path, *, min_free_bytes: int, shared_timeout_s: float, only: Collection[str] | None = None
) -> list[Finding]:
    """Run the checks, all at once, each within a time limit; called by every process of a job before it starts Horovod.

    The first process of each node runs all of them, the others those that may differ between processes. A check never
    raises: one that breaks or hangs becomes a failure that says so.

    Args:
        world: this process's place in the job.
        runs: the folder that runs are written to; need not exist. On several nodes an exchange of small files makes it.
        min_free_bytes: to be free there.
        shared_timeout_s: how long to wait for the other processes' files.
        only: names out of `CHECKS`, or None for all. All processes of a job must give the same.

    Raises:
        ValueError: `only` names a check that does not exist.
    """
    unknown = sorted(set(only or ()) - set(CHECKS))
    if unknown:
        raise ValueError(f"no check is called {', '.join(unknown)}; the checks are: {', '.join(CHECKS)}")
    context = _Context(world, runs, min_free_bytes, shared_timeout_s)
    running: list[Running] = []
    for name, check in CHECKS.items():
        if (only is None or name in only) and (check.each_process or world.local_rank == 0):
            limit_s = check.limit_s + (2 * shared_timeout_s if name == "shared" else 0)
            running.append(Running(name, functools.partial(check.act, context), limit_s))
    return [finding for one in running for finding in one.findings()]
