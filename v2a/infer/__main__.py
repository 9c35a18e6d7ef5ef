"""Make sound for silent videos: for each a copy of the video with sound, and a WAV file beside it.

python -m v2a.infer silent.mp4
python -m v2a.infer videos/ --model models/audio --out sounds
python -m v2a.infer a.mkv more/ list.txt --model runs/audio --out sounds --seed 7 --workers 4
python -m v2a.infer videos/ --dry-run
python -m v2a.infer videos/ --set overlap_s=2 --set fit=crop --retry-failures
"""

from __future__ import annotations

import argparse
import dataclasses
import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from v2a.config import ConfigError, build_config, describe
from v2a.infer.config import Config
from v2a.interrupt import StopSignals
from v2a.prepare.inputs import LIST_SUFFIXES
from v2a.processes import WorkerDied
from v2a.tasks import Tasks, fitting_workers, local_tasks
from v2a.watched import WatchedTasks

_INTERRUPTED = 130
_FULL = "no room is left in {}. What is done there is whole; make room, and give the same command again"
_MOST_THREADS = 8  # each holds a segment, and a quarter of a gigabyte
_OPTIONS = ("model", "out", "seed", "device")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    summary, examples = (__doc__ or "").split("\n\n")
    default = Config()
    top = argparse.ArgumentParser(
        prog="python -m v2a.infer",
        description=f"{summary} The same command again goes on where it ended; done videos are not made twice.",
        epilog=f"examples:\n{examples}\nsettings for --set, with their defaults:\n{describe(Config)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="a video, a folder with all below it, a .txt or .csv list"
    )
    top.add_argument("--model", metavar="DIR", help=f"an exported model or an audio run (default: {default.model})")
    top.add_argument("--out", metavar="DIR", help=f"folder of what is made (default: {default.out})")
    top.add_argument("--seed", metavar="N", help=f"of the noise that is drawn (default: {default.seed})")
    top.add_argument("--device", metavar="NAME", help=f'"auto", "cpu", "cuda", "cuda:1", … (default: {default.device})')
    workers = "processes, each of one thread (default: one a core, or a GPU; 0: this process alone)"
    top.add_argument("--workers", type=int, metavar="N", help=workers)
    top.add_argument("--retry-failures", action="store_true", help="try again what failed before")
    top.add_argument("--dry-run", action="store_true", help="say what would be made, make nothing")
    setting = "a setting of those below; may be repeated"
    top.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=setting)
    return top


def settings_of(options: argparse.Namespace) -> list[str]:
    """The "key=value" settings of a command line."""
    given = [f"{name}={getattr(options, name)}" for name in _OPTIONS if getattr(options, name) is not None]
    return [*given, *(["retry_failures=true"] if options.retry_failures else []), *options.set]


def main(arguments: list[str] | None = None) -> int:
    """Make sound; 0 when it was made, 1 with a sentence when there is none of any input, 130 when it was stopped."""
    options = parser().parse_args(arguments)
    try:
        config = build_config(Config, settings_of(options))
        if options.dry_run:
            return _dry_run(config, options.inputs)
        from v2a.infer.job import InferJob

        with StopSignals() as stop:
            tasks, config = _tasks(config, options)
            result = tasks.run(InferJob(config, options.inputs), stop.requested)
    except (ConfigError, WorkerDied, OSError, ValueError) as error:
        print(f"infer: {_FULL.format(config.out) if _is_full(error) else error}", file=sys.stderr)
        return 1
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "memory" not in str(error):
            raise
        print(f"infer: out of memory; take less at once: --workers 1 --set threads=1 ({error})", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("infer: stopped at once; the same command goes on", file=sys.stderr)
        return _INTERRUPTED
    if result["stopped"]:
        return _INTERRUPTED
    return 1 if result["failures"] and not result["videos"] else 0


def _tasks(config: Config, options: argparse.Namespace) -> tuple[Tasks, Config]:
    """How the work is shared out, and the settings for that."""
    if options.workers is None and _is_one_video(options.inputs):
        # One other process does it all: a second one would load torch and the model once more, for nothing.
        threads = config.threads or min(_MOST_THREADS, len(os.sched_getaffinity(0)))
        return WatchedTasks(), dataclasses.replace(config, threads=threads)
    workers = fitting_workers(config.device) if options.workers is None else options.workers
    return local_tasks(workers), config


def _is_full(error: Exception) -> bool:
    """A disk that is full while records are written; where a video's maker found it, the error says it all."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _is_one_video(inputs: Sequence[str]) -> bool:
    return len(inputs) == 1 and Path(inputs[0]).is_file() and Path(inputs[0]).suffix.lower() not in LIST_SUFFIXES


def _dry_run(config: Config, inputs: Sequence[str]) -> int:
    from v2a.infer.dry import describe_plan
    from v2a.inputs import check_out

    check_out(config.out)
    for line in describe_plan(config, inputs):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
