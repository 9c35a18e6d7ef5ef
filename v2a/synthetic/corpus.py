"""Render the clips of a corpus with several processes: resumes, shares nothing but the folder, leaves only whole files."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from v2a.interrupt import StopSignals
from v2a.synthetic import flyby, impacts
from v2a.synthetic.clip import Clip
from v2a.synthetic.config import Config
from v2a.synthetic.encode import write_video
from v2a.synthetic.store import clip_name, is_whole, place, scratch

# Measured for clips of 10 s, 640x360, 25 frames/s, crf 23 on one core of the development machine (docs/LOG.md); for --dry-run only.
_SECONDS_PER_MEGAPIXEL = {"flyby": 0.06, "impacts": 0.06}
_BYTES_PER_MEGAPIXEL = {"flyby": 1400, "impacts": 1200}
_BYTES_PER_SECOND = 23_500  # sound and truth
_LOOK_S = 0.2  # between two looks at whether to stop
_GRACE_S = 5.0  # for a worker to end its ffmpeg and remove its files


class Counts(NamedTuple):
    """What a run did: clips made, clips that were there before, bytes written."""

    made: int
    there: int
    bytes: int


class Estimate(NamedTuple):
    """What a run would do: clips to make, clips that seem to be there (by name), bytes and seconds it would take."""

    missing: int
    there: int
    bytes: int
    seconds: float


def render_clip(kind: str, config: Config, index: int) -> Clip:
    """Clip `index` of a corpus: nothing but the kind, the seed, the index and the sizes decides what it is."""
    render = {"flyby": flyby.render, "impacts": impacts.render}[kind]
    return render(config.geometry(), config.seed, index)


def estimate(kind: str, config: Config) -> Estimate:
    """What `run` would do; writes nothing, and looks at names only."""
    folder = Path(config.out)
    names = (clip_name(kind, config.seed, index) for index in range(config.n))
    there = sum((folder / f"{name}.json").is_file() for name in names) if folder.is_dir() else 0
    geometry = config.geometry()
    megapixels = (config.n - there) * geometry.frames * geometry.width * geometry.height / 1e6
    sound = (config.n - there) * geometry.segment_s * _BYTES_PER_SECOND
    return Estimate(
        config.n - there,
        there,
        round(megapixels * _BYTES_PER_MEGAPIXEL[kind] * 2 ** ((23 - config.crf) / 6) + sound),
        megapixels * _SECONDS_PER_MEGAPIXEL[kind] / config.processes(),
    )


def run(kind: str, config: Config) -> Counts:
    """Make what is missing of a corpus, with a progress bar on stderr.

    Raises:
        v2a.config.ConfigError: the folder holds clips of other settings.
        OSError: the folder cannot be written, or the disk is full; what is there is whole.
        v2a.synthetic.encode.EncodeError: ffmpeg is missing or failed.
        RuntimeError: a process was killed (out of memory?).
        KeyboardInterrupt: Ctrl-C or SIGTERM; what is there is whole.
    """
    folder = Path(config.out).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    made = there = size = 0
    # The signals only set a flag: an exception out of a handler may strike, and be swallowed, inside the pool's own machinery.
    with StopSignals() as stop, scratch(folder) as space, _pool(config.processes()) as pool:
        make = partial(ensure_clip, kind, config, folder=folder, space=space)
        bar = tqdm(total=config.n, unit="clip", desc=kind, smoothing=0.1, disable=None if sys.stderr else True)
        with bar:
            for written in _in_order_of_end(pool, config, make, stop):
                made, there, size = made + (written > 0), there + (written == 0), size + written
                bar.set_postfix_str(f"{size / 1e6:.0f} MB", refresh=False)
                bar.update()
    return Counts(made, there, size)


def _in_order_of_end(
    pool: ProcessPoolExecutor, config: Config, make: Callable[[int], int], stop: StopSignals
) -> Iterator[int]:
    """Bytes written for each clip, 0 for one that was there, as they end; only a few wait in the queue at any time."""
    todo = iter(range(config.n))
    running: set[Future[int]] = set()
    while True:
        for index in todo:
            running.add(pool.submit(make, index))
            if len(running) >= 4 * config.processes():
                break
        if not running:
            return
        done, running = wait(running, timeout=_LOOK_S, return_when=FIRST_COMPLETED)
        if stop.requested():
            raise KeyboardInterrupt
        for future in done:
            try:
                yield future.result()
            except BrokenProcessPool:
                raise RuntimeError(
                    "a rendering process was killed (out of memory?); try fewer with workers=N. Repeat the command to go on"
                ) from None


def ensure_clip(kind: str, config: Config, index: int, folder: Path, space: Path) -> int:
    """Make one clip unless it is there; bytes written. Runs in a worker process."""
    name, identity = clip_name(kind, config.seed, index), config.identity(kind)
    if is_whole(folder, name, identity):
        return 0
    own = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=space))
    try:
        clip = render_clip(kind, config, index)
        video = write_video(clip, config.geometry(), config.crf, own)
        return place(video, {**identity, "index": index, **clip.truth}, folder, name)
    finally:
        shutil.rmtree(own, ignore_errors=True)


@contextmanager
def _pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Fresh processes (spawned: nothing of the caller's threads or locks comes along); ended at once when the block fails."""
    # One thread each: there is a process for every core, and BLAS's own threads would wait for each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), initializer=_begin_worker)
    try:
        yield pool
    except BaseException:
        workers = list((getattr(pool, "_processes", None) or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join(_GRACE_S)
            worker.kill()
        raise
    pool.shutdown()


def _begin_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the leading process ends the others
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that a running ffmpeg is ended too
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that was killed with -9 tells nobody; without this its workers would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)


def disk_is_full(error: OSError) -> bool:
    """Whether an error says that no space, or none of the user's quota, is left."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)
