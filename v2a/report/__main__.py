"""Make one page of what runs came to: videos with generated sound beside the truth, measures, curves, settings.

python -m v2a.report runs/evaluate --out report.html
python -m v2a.report runs/evaluate runs/audio runs/vqvae --out report.html
python -m v2a.report sounds --clips 12 --max-mb 100 --out sounds.html
python -m v2a.report runs/evaluate --dry-run
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from v2a.report.errors import ReportError

_INTERRUPTED = 130


def parser() -> argparse.ArgumentParser:
    """The command line."""
    summary, examples = (__doc__ or "").split("\n\n")
    top = argparse.ArgumentParser(
        prog="python -m v2a.report",
        description=f"{summary} The page needs no server and no network; the runs are only read.",
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    runs = "a folder of v2a.evaluate, v2a.audio, v2a.vqvae or v2a.infer"
    top.add_argument("runs", nargs="+", type=Path, metavar="RUN", help=runs)
    top.add_argument(
        "--out", type=Path, default=Path("report.html"), metavar="FILE", help="the page (default: report.html)"
    )
    top.add_argument("--clips", type=_count, default=6, metavar="N", help="videos of each run at most (default: 6)")
    limit = "of the page at most: videos are made smaller, then fewer (default: 60)"
    top.add_argument("--max-mb", type=_size, default=60.0, metavar="MB", help=limit)
    top.add_argument("--dry-run", action="store_true", help="say what would be on the page, write nothing")
    return top


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) > 1000:
        raise argparse.ArgumentTypeError(f"expected a number of 0 to 1000, but got {text!r}")
    return int(text)


def _size(text: str) -> float:
    try:
        size = float(text)
    except ValueError:
        size = 0.0
    if not 0 < size <= 2000:
        raise argparse.ArgumentTypeError(f"expected megabytes above 0 and at most 2000, but got {text!r}")
    return size


def main(arguments: Sequence[str] | None = None) -> int:
    """Make it; 0 when the page is there, 1 with a sentence when it could not be made, 130 when it was stopped."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parser().parse_args(given)
    try:
        return _report(options, shlex.join(["python", "-m", "v2a.report", *given]))
    except (ReportError, OSError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("report: stopped; nothing was written", file=sys.stderr)
        return _INTERRUPTED


def _report(options: argparse.Namespace, command: str) -> int:
    from v2a.report.read import describe, read_section

    sections = [read_section(run) for run in options.runs]
    if options.dry_run:
        print("\n".join(describe(sections, options.clips)))
        print(f"{options.out}, {options.max_mb:g} MB at most; dry run: nothing is written")
        return 0
    from v2a.evaluate.progress import Progress  # torch takes a second: not for --help
    from v2a.report.config import Config
    from v2a.report.make import make_page

    progress = Progress()
    try:
        config = Config(page=str(options.out), clips=options.clips, max_mb=options.max_mb)
        size, notes = make_page(sections, config, command, progress.show)
    finally:
        progress.close()
    print(f"{options.out}: {size:.1f} MB")
    for note in notes:
        print(f"report: {note}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
