"""`resolve`: video ids for the dataset's ids, by its lookup service."""

from __future__ import annotations

import argparse
import re
import threading
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from v2a.youtube8m.ledger import Failures, Ledger
from v2a.youtube8m.lookup import SERVICE, Answer, Service
from v2a.youtube8m.ratelimit import Limiter, rate
from v2a.youtube8m.tables import InputError, Row, read_table
from v2a.youtube8m.workers import in_parallel

COLUMNS = ("id", "video_id", "labels", "split", "start_s", "end_s")
_ORIGIN = "`python -m v2a.youtube8m select` writes such a file"
_IN_A_ROW = 20  # lookups that failed one after another: the service is away
_ALL_GONE = 50  # of the first answers: about half of the real ones are there, so somebody else answers


def whole_number(text: str) -> int:
    """A number from 1 to 64, of threads; a type for argparse."""
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"expected a whole number of 1 to 64, but got {text!r}")
    return int(text)


def add_parser(steps: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The options of this step."""
    made = steps.add_parser(
        "resolve",
        help="video ids for the dataset's ids, by its lookup service",
        description="Ask the dataset's lookup service for the video of each id; videos that are gone are listed as such.",
        epilog="""examples:
  python -m v2a.youtube8m resolve airplane.csv --out resolved.csv
  python -m v2a.youtube8m resolve airplane.csv --out resolved.csv --rate 10/s --parallel 8
  python -m v2a.youtube8m resolve airplane.csv --out resolved.csv --dry-run    how many ids, and how long it takes

What is done is skipped when the same command is given again; what failed is tried again. Videos that are gone are not,
unless you add --retry-gone. Failures are in <out>.failures.jsonl.""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("ids", type=Path, metavar="IDS.csv", help="what `select` wrote; only its column id must be there")
    made.add_argument("--out", type=Path, required=True, metavar="CSV", help=f"file to add to: {','.join(COLUMNS)}")
    made.add_argument(
        "--service", type=_address, default=SERVICE, metavar="URL", help=f"lookup service (default: {SERVICE})"
    )
    made.add_argument(
        "--rate", type=rate, default=5.0, metavar="N/s", help="at most so often, retries included (default: 5/s)"
    )
    made.add_argument(
        "--parallel", type=whole_number, default=4, metavar="N", help="lookups under way at once (default: 4)"
    )
    made.add_argument("--timeout", type=_seconds, default=20.0, metavar="S", help="seconds for one try (default: 20)")
    made.add_argument(
        "--retries",
        type=_retries,
        default=4,
        metavar="N",
        help="after a first try that failed, ever later (default: 4)",
    )
    made.add_argument("--retry-gone", action="store_true", help="ask again for videos that were gone")
    made.add_argument("--dry-run", action="store_true", help="say what would be asked, and ask nothing")
    made.set_defaults(run=run)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"\d{1,4}(\.\d{1,3})?", text) or not 0 < float(text) <= 3600:
        raise argparse.ArgumentTypeError(f"expected seconds of up to 3600, but got {text!r}")
    return float(text)


def _retries(text: str) -> int:
    if not re.fullmatch(r"\d\d?", text):
        raise argparse.ArgumentTypeError(f"expected a whole number of 0 to 99, but got {text!r}")
    return int(text)


def _address(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s/]+\S*", text):
        raise argparse.ArgumentTypeError(f"expected an address that begins with http:// or https://, but got {text!r}")
    return text


def failures_path(out: Path) -> Path:
    """Where the failures of a list are: beside it."""
    return out.with_name(f"{out.name}.failures.jsonl")


def _read_ids(path: Path) -> dict[str, list[Row]]:
    """The rows of each id, in the file's order."""
    found: dict[str, list[Row]] = {}
    for row in read_table(path, ("id",), _ORIGIN).rows:
        if not re.fullmatch(r"[A-Za-z0-9_-]{2,64}", row["id"]):
            raise InputError(
                f"{path}: expected ids of letters and digits, such as nXSc, but got {row['id']!r}; {_ORIGIN}"
            )
        found.setdefault(row["id"], []).append(dict.fromkeys(COLUMNS, "") | row)
    if not found:
        raise InputError(f"{path} has no ids; {_ORIGIN}")
    return found


def _key(row: Row) -> tuple[str, str, str]:
    return row["id"], row["start_s"], row["end_s"]


class _Run:
    """A run's state: the ledger, the failures, and the ids still to be asked for."""

    def __init__(self, wanted: dict[str, list[Row]], ledger: Ledger, failures: Failures, retry_gone: bool) -> None:
        self.wanted, self.ledger, self.failures = wanted, ledger, failures
        self.retry_gone = retry_gone
        known = {row["id"]: row["video_id"] for row in ledger.rows}
        for name in wanted.keys() & known.keys():
            self._store(name, known[name])  # further spans of a known video need no lookup
        self.failures.forget(known)
        gone = {name for name, entry in failures.entries.items() if entry["kind"] == "gone" and not retry_gone}
        self.todo = [name for name in wanted if name not in known and name not in gone]
        self.failures.forget(name for name in wanted if name not in gone)
        self.found = self.failed_in_a_row = 0
        self.gone_at_first: list[str] | None = [] if not (known or gone or retry_gone) else None

    def _store(self, name: str, video_id: str) -> None:
        done = {_key(row) for row in self.ledger.rows if row["id"] == name}
        new = [row | {"video_id": video_id} for row in self.wanted[name] if _key(row) not in done]
        if new:
            self.ledger.add({_key(row): row for row in new}.values())

    def take(self, name: str, answer: Answer) -> None:
        """Write an answer down.

        Raises:
            InputError: the service is away, or somebody else answers in its place.
        """
        if answer.kind == "ok":
            self.ledger.add({_key(row): row | {"video_id": answer.video_id} for row in self.wanted[name]}.values())
            self.found += 1
        elif answer.kind != "stopped":
            self.failures.add(name, answer.kind, answer.reason)
        self.failed_in_a_row = self.failed_in_a_row + 1 if answer.kind == "failed" else 0
        if self.failed_in_a_row >= _IN_A_ROW:
            raise InputError(
                f"{_IN_A_ROW} lookups in a row failed, the last: {answer.reason}. Is the network there, and the service? "
                "The same command goes on from here"
            )
        self._doubt(name, answer)

    def _doubt(self, name: str, answer: Answer) -> None:
        if self.gone_at_first is None or answer.kind != "gone":
            self.gone_at_first = None
            return
        self.gone_at_first.append(name)
        if len(self.gone_at_first) >= _ALL_GONE:
            self.failures.forget(self.gone_at_first)
            raise InputError(
                f"the first {_ALL_GONE} videos would all be gone ({answer.reason}), which looks like a proxy or a wrong "
                "--service; they are not listed. If it is right, add --retry-gone"
            )


def run(options: argparse.Namespace) -> int:
    """Look up what is not known yet, and say what came of it."""
    wanted = _read_ids(options.ids)
    if options.dry_run:
        return _dry_run(wanted, options)
    stop = threading.Event()
    service = Service(options.service, Limiter(options.rate), stop, options.timeout, options.retries)
    with Ledger(options.out, COLUMNS) as ledger:
        assert isinstance(ledger, Ledger)
        failures = Failures(failures_path(options.out))
        state = _Run(wanted, ledger, failures, options.retry_gone)
        try:
            answers = in_parallel(state.todo, service.look_up, options.parallel, stop)
            for name, answer in tqdm(answers, total=len(state.todo), unit="id", disable=None):
                state.take(name, answer)
        finally:
            failures.write()
    print(_summary(state, options.out))
    return 0


def _dry_run(wanted: dict[str, list[Row]], options: argparse.Namespace) -> int:
    done = {row["id"] for row in read_table(options.out, COLUMNS, _ORIGIN).rows} if options.out.exists() else set()
    entries = Failures(failures_path(options.out)).entries
    gone = {name for name, entry in entries.items() if entry["kind"] == "gone" and not options.retry_gone}
    todo: Sequence[str] = [name for name in wanted if name not in done | gone]
    print(
        f"{len(wanted)} ids: {len(wanted.keys() & done)} are known, {len(wanted.keys() & gone)} are gone, {len(todo)} would be "
        f"asked for at {options.service}, in at least {len(todo) / options.rate:.0f} s; dry run: nothing is asked or written"
    )
    return 0


def _summary(state: _Run, out: Path) -> str:
    known = {row["id"] for row in state.ledger.rows}
    others = len(known - state.wanted.keys())
    mine = {name: entry for name, entry in state.failures.entries.items() if name in state.wanted}
    gone = sum(entry["kind"] == "gone" for entry in mine.values())
    text = (
        f"{len(state.wanted)} ids: {len(known & state.wanted.keys())} resolved ({state.found} now), {gone} gone, "
        f"{len(mine) - gone} failed\nwrote {out}"
    )
    text += f" and {failures_path(out)}" if mine else ""
    text += f"; {others} ids in it are from another list" if others else ""
    return text
