"""The command line: select, resolve, fetch, review."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from v2a.youtube8m import fetch, resolve, select
from v2a.youtube8m.review import command as review
from v2a.youtube8m.tables import InputError


def parser() -> argparse.ArgumentParser:
    """The command line of all four steps."""
    made = argparse.ArgumentParser(
        prog="python -m v2a.youtube8m",
        description="From the records of YouTube-8M to a reviewed list of videos for `prepare`, in four steps.",
        epilog="""examples:
  python -m v2a.youtube8m select --records yt8m/ --vocabulary vocabulary.csv --label Airplane --out airplane.csv
  python -m v2a.youtube8m resolve airplane.csv --out resolved.csv
  python -m v2a.youtube8m fetch resolved.csv --out videos --limit 500
  python -m v2a.youtube8m review videos/videos.csv --open
  python -m v2a.youtube8m review videos/videos.csv --apply videos/kept.csv

Every step goes on where it stopped when the same command is given again. Each has its own --help.
exit status: 0 done, 1 not done, 2 wrong command line, 130 stopped""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    steps = made.add_subparsers(dest="step", required=True, metavar="{select,resolve,fetch,review}")
    for module in (select, resolve, fetch, review):
        module.add_parser(steps)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one step; returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except InputError as error:
        _say(f"error: {error}")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `| head` closed it; not a word more
    except OSError as error:
        _say(f"error: {error.strerror or error}: {error.filename or 'a file'}; what is written so far is kept")
    except KeyboardInterrupt:
        _say("stopped; what is done is kept, and the same command goes on from there")
        return 130
    else:
        return status
    return 1


def _say(text: str) -> None:
    print(text.encode(errors="backslashreplace").decode(), file=sys.stderr, flush=True)
