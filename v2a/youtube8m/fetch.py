"""`fetch`: the videos themselves, through yt-dlp, and their list for `prepare`."""

from __future__ import annotations

import argparse
import re
import threading
from pathlib import Path

from tqdm import tqdm

from v2a.youtube8m.download import TEMPORARY, Outcome, Wishes, download, need_library
from v2a.youtube8m.ledger import Failures, Ledger
from v2a.youtube8m.listing import update_list
from v2a.youtube8m.ratelimit import Limiter, rate
from v2a.youtube8m.resolve import whole_number
from v2a.youtube8m.tables import InputError, Row, read_table
from v2a.youtube8m.workers import in_parallel

FETCHED_COLUMNS = ("video_id", "file", "bytes", "title")
_ORIGIN = "`python -m v2a.youtube8m resolve` writes such a file"
_NOT_VIDEOS = (".csv", ".jsonl", ".html", ".part", ".tmp")
_IN_A_ROW = 10  # temporary failures one after another: the network is away, or we are not welcome
_LIST_EVERY = 25  # videos, between two writings of the list


def add_parser(steps: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The options of this step."""
    made = steps.add_parser(
        "fetch",
        help="download the videos, through yt-dlp",
        description="Download videos through yt-dlp and list them for `prepare`. Only whole videos get their final names.",
        epilog="""examples:
  python -m v2a.youtube8m fetch resolved.csv --out videos
  python -m v2a.youtube8m fetch resolved.csv --out videos --limit 500 --max-height 240 --rate 6/min
  python -m v2a.youtube8m fetch resolved.csv --out videos --cookies cookies.txt --retry-failed
  python -m v2a.youtube8m fetch resolved.csv --out videos --dry-run

The folder gets <video id>.<ext>, videos.csv for `prepare` and `review`, fetched.csv with titles, failures.jsonl with
reasons. What is there is skipped when the same command is given again, half a video is gone on with, and failures of the
network are tried again; videos that are private, removed or blocked are not, unless you add --retry-failed.
You are responsible for having the right to download: see YouTube's terms of service.""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "resolved", type=Path, metavar="RESOLVED.csv", help="what `resolve` wrote; video_id must be there"
    )
    made.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the videos")
    made.add_argument(
        "--rate", type=rate, default=10 / 60, metavar="N/min", help="begin at most so many (default: 10/min)"
    )
    made.add_argument("--parallel", type=whole_number, default=1, metavar="N", help="downloads at once (default: 1)")
    made.add_argument(
        "--limit", type=_count, metavar="N", help="stop when N videos of the list are there, earlier ones included"
    )
    made.add_argument("--max-height", type=_count, default=360, metavar="LINES", help="of the picture (default: 360)")
    made.add_argument(
        "--format", default="", metavar="EXPR", help="yt-dlp's format expression, in place of --max-height"
    )
    made.add_argument("--cookies", type=Path, metavar="FILE", help="cookies for yt-dlp, in Netscape's format")
    made.add_argument("--retry-failed", action="store_true", help="try again what was private, removed, blocked …")
    made.add_argument(
        "--url-template",
        type=_template,
        default="https://www.youtube.com/watch?v={id}",
        metavar="URL",
        help="where a video is; {id} becomes its video id (default: YouTube)",
    )
    made.add_argument("--dry-run", action="store_true", help="say what would be downloaded, and download nothing")
    made.set_defaults(run=run)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text) <= 10**9:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, but got {text!r}")
    return int(text)


def _template(text: str) -> str:
    if not re.match(r"https?://[^\s/]", text) or "{id}" not in text:
        raise argparse.ArgumentTypeError(f"expected an http address with {{id}} in it, but got {text!r}")
    return text


class _Fetch:
    """A run's state: what is wanted, what is there, what failed."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.folder: Path = options.out
        self.wanted: dict[str, list[Row]] = {}
        for row in read_table(options.resolved, ("video_id",), _ORIGIN).rows:
            if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", row["video_id"]):
                raise InputError(
                    f"{options.resolved}: expected video ids of letters and digits, but got {row['video_id']!r}"
                )
            self.wanted.setdefault(row["video_id"], []).append(row)
        if not self.wanted:
            raise InputError(f"{options.resolved} has no videos; {_ORIGIN}")
        self.failures = Failures(self.folder / "failures.jsonl")
        self.files = self._files()
        self.failures.forget(self.files)
        if options.retry_failed:
            self.failures.forget(self.wanted)
        self.failures.forget([name for name, entry in self.failures.entries.items() if entry["kind"] in TEMPORARY])
        self.todo = [name for name in self.wanted if name not in self.files and name not in self.failures.entries]
        self.new = self.in_a_row = 0

    def _files(self) -> dict[str, Path]:
        """Whole videos by id."""
        there = sorted(self.folder.iterdir()) if self.folder.is_dir() else []
        good = [path for path in there if path.suffix and path.suffix not in _NOT_VIDEOS and path.is_file()]
        return {path.stem: path for path in good if path.stem in self.wanted}

    def take(self, name: str, outcome: Outcome, ledger: Ledger) -> None:
        """Write an outcome down.

        Raises:
            InputError: nothing works any more.
        """
        if outcome.file is not None:
            self.files[name] = outcome.file
            self.new += 1
            size = str(outcome.file.stat().st_size)
            ledger.add([{"video_id": name, "file": outcome.file.name, "bytes": size, "title": outcome.title}])
            if self.new % _LIST_EVERY == 0:
                self.write_list()
        elif outcome.kind != "stopped":
            self.failures.add(name, outcome.kind, outcome.reason)
        self.in_a_row = self.in_a_row + 1 if outcome.kind in TEMPORARY else 0
        if self.in_a_row >= _IN_A_ROW:
            hint = (
                "; YouTube asks for an account: see --cookies, or wait some hours" if outcome.kind == "sign-in" else ""
            )
            raise InputError(
                f"{_IN_A_ROW} downloads in a row failed, the last: {outcome.reason}{hint}. The same command goes on from here"
            )

    def write_list(self) -> None:
        """Write videos.csv: all that is there, in the order of the list."""
        update_list(
            self.folder / "videos.csv",
            [
                {"path": self.files[name].name, "start_s": row.get("start_s", ""), "end_s": row.get("end_s", ""),
                 "label": row.get("labels", "").split(";")[0]}
                for name, rows in self.wanted.items() if name in self.files for row in rows
            ],
        )  # fmt: skip

    def summary(self) -> str:
        """What came of it, for people."""
        kinds = [entry["kind"] for name, entry in self.failures.entries.items() if name in self.wanted]
        counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds)))
        text = f"{len(self.wanted)} videos: {len(self.files)} are there ({self.new} new), {len(kinds)} failed"
        text += f" ({counts}; see {self.failures.path})" if kinds else ""
        return text + (f"\nwrote {self.folder / 'videos.csv'}" if self.files else "")


def run(options: argparse.Namespace) -> int:
    """Download what is not there yet, and say what came of it."""
    if not options.dry_run:
        need_library()
    if options.cookies and not options.cookies.is_file():
        raise InputError(
            f"there is no file {options.cookies}; --cookies takes a browser's cookies in Netscape's format"
        )
    fetch = _Fetch(options)
    wishes = Wishes(options.url_template, options.format, options.max_height, options.cookies)
    if options.dry_run:
        todo = fetch.todo[: max(0, options.limit - len(fetch.files))] if options.limit else fetch.todo
        print(
            f"{len(fetch.wanted)} videos: {len(fetch.files)} are there, {len(fetch.failures.entries)} cannot be had, {len(todo)} "
            f"would be downloaded as {wishes.expression()!r}, in at least {len(todo) / options.rate / 60:.0f} min, "
            f"the first from {wishes.template.replace('{id}', (todo or ['…'])[0])}; dry run: nothing is downloaded or written"
        )
        return 0
    with Ledger(options.out / "fetched.csv", FETCHED_COLUMNS) as ledger:
        assert isinstance(ledger, Ledger)
        try:
            _download_all(fetch, wishes, ledger, options)
        finally:
            fetch.failures.write()
            if fetch.files:
                fetch.write_list()
    print(fetch.summary())
    return 0 if fetch.files else 1


def _download_all(fetch: _Fetch, wishes: Wishes, ledger: Ledger, options: argparse.Namespace) -> None:
    limiter = Limiter(options.rate)
    todo, goal = fetch.todo, options.limit or len(fetch.wanted)
    with tqdm(total=min(goal - len(fetch.files), len(todo)), unit="video", disable=None) as bar:
        # In rounds: what failed leaves room for further ones, and never are more begun than are missing.
        while todo and len(fetch.files) < goal:
            stop = threading.Event()

            def work(name: str, stop: threading.Event = stop) -> Outcome:
                return download(name, fetch.folder, wishes, stop) if limiter.wait(stop) else Outcome(kind="stopped")

            missing = goal - len(fetch.files)
            round_, todo = todo[:missing], todo[missing:]
            for name, outcome in in_parallel(round_, work, options.parallel, stop):
                fetch.take(name, outcome, ledger)
                bar.update(outcome.file is not None)
