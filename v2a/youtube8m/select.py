"""`select`: the ids of all videos with one of some labels, from the dataset's records."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from v2a.youtube8m.records import Fault, Record, need_library, read_records, record_files, split_of
from v2a.youtube8m.tables import InputError, Row, write_table
from v2a.youtube8m.vocabulary import Vocabulary, find_all, read_vocabulary

COLUMNS = ("id", "labels", "split", "start_s", "end_s")
_SHOWN = 20  # damaged records that are named one by one


@dataclass(frozen=True)
class Rule:
    """What is selected.

    Attributes:
        wanted: indices of labels; one is enough.
        excluded: indices of labels; one is too many.
        min_score: of a rated segment, 0 to 1.
        whole: give whole videos even where segments were rated.
    """

    wanted: dict[int, None]
    excluded: dict[int, None]
    min_score: float = 0.5
    whole: bool = False

    def spans(self, record: Record) -> list[tuple[str, str]]:
        """Start and end in seconds of what is selected of a video, "" and "" for all of it; empty when nothing is."""
        if self.excluded.keys() & set(record.labels):
            return []
        if record.segments and not self.whole:
            rated = [part for part in record.segments if part.score >= self.min_score]
            bad = {(part.start_s, part.end_s) for part in rated if part.label in self.excluded}
            good = {(part.start_s, part.end_s) for part in rated if part.label in self.wanted}
            return [(f"{start:g}", f"{end:g}") for start, end in sorted(good - bad)]
        return [("", "")] if self.wanted.keys() & set(record.labels) else []


@dataclass
class Result:
    """What was found, by id and span, and what was met on the way."""

    rows: dict[str, dict[tuple[str, str], Row]] = field(default_factory=dict)
    records: int = 0
    repeated: int = 0
    faults: list[str] = field(default_factory=list)
    unlabelled: Counter[str] = field(default_factory=Counter)  # by split: the dataset's test records have no labels

    def add(self, record: Record, rule: Rule, vocabulary: Vocabulary, split: str) -> None:
        """Count a record, and keep it if the rule selects it. Rated segments of a video stand before all of it."""
        self.records += 1
        self.unlabelled[split] += not record.labels
        spans = rule.spans(record)
        if not spans:
            return
        seen = self.rows.setdefault(record.id, {})
        self.repeated += bool(seen)
        if seen and spans == [("", "")]:
            return
        if spans != [("", "")]:
            seen.pop(("", ""), None)
        for start, end in spans:
            seen.setdefault((start, end), {
                "id": record.id, "labels": _names(record, rule, vocabulary), "split": split, "start_s": start, "end_s": end,
            })  # fmt: skip

    def sorted_rows(self) -> list[Row]:
        """All rows by id and start: the same whatever the order of the files."""
        return [
            row
            for _, spans in sorted(self.rows.items())
            for row in sorted(spans.values(), key=lambda row: float(row["start_s"] or 0))
        ]


def _names(record: Record, rule: Rule, vocabulary: Vocabulary) -> str:
    labels = dict.fromkeys([*record.labels, *(part.label for part in record.segments if part.score >= rule.min_score)])
    first = [label for label in rule.wanted if label in labels]
    return ";".join(vocabulary.name(label) for label in [*first, *(label for label in labels if label not in first)])


def select(files: Iterable[Path], rule: Rule, vocabulary: Vocabulary) -> Result:
    """Read the files and collect what the rule selects; damage is noted and passed over."""
    result = Result()
    for path in files:
        split = split_of(path)
        for found in _no_file_is_fatal(path):
            if isinstance(found, Fault):
                result.faults.append(f"{path}: record {found.record}: {found.reason}")
            else:
                result.add(found, rule, vocabulary, split)
    return result


def _no_file_is_fatal(path: Path) -> Iterator[Record | Fault]:
    found = False
    for entry in read_records(path):
        found = True
        yield entry
    if not found:
        yield Fault(1, "the file is empty")


def add_parser(steps: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The options of this step."""
    made = steps.add_parser(
        "select",
        help="ids of all videos with a label, from the dataset's records",
        description="Read the dataset's TFRecord files and write the ids of all videos that have one of some labels.",
        epilog="""examples:
  python -m v2a.youtube8m select --records yt8m/video --vocabulary vocabulary.csv --label Airplane --out airplane.csv
  python -m v2a.youtube8m select --records yt8m/ --vocabulary vocabulary.csv --label Airplane --label 114 --label /m/0k5j \\
      --exclude "Radio-controlled aircraft" --exclude "Paper plane" --out aircraft.csv
  python -m v2a.youtube8m select --records yt8m/segments/validate*.tfrecord --vocabulary vocabulary.csv --label Airplane \\
      --min-score 1 --out rated.csv""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "--records", type=Path, nargs="+", required=True, metavar="PATH", help="record files, or folders of them"
    )
    made.add_argument("--vocabulary", type=Path, required=True, metavar="CSV", help="the dataset's vocabulary.csv")
    made.add_argument(
        "--label",
        action="append",
        required=True,
        metavar="LABEL",
        help="name, index or knowledge-graph id; may be repeated",
    )
    made.add_argument(
        "--exclude", action="append", default=[], metavar="LABEL", help="leave out videos with this label, too"
    )
    made.add_argument(
        "--min-score", type=_score, default=0.5, metavar="SCORE", help="of rated segments, 0 to 1 (default: 0.5)"
    )
    made.add_argument("--whole", action="store_true", help="whole videos also where 5 s segments were rated")
    made.add_argument(
        "--out", type=Path, required=True, metavar="CSV", help="file to write: id,labels,split,start_s,end_s"
    )
    made.add_argument("--dry-run", action="store_true", help="read and count, but write nothing")
    made.set_defaults(run=run)


def _score(text: str) -> float:
    try:
        score = float(text)
    except ValueError:
        score = -1.0
    if not 0 <= score <= 1:
        raise argparse.ArgumentTypeError(f"expected a score of 0 to 1, but got {text!r}")
    return score


def run(options: argparse.Namespace) -> int:
    """Select, write, and say what was found."""
    need_library()
    vocabulary = read_vocabulary(options.vocabulary)
    rule = Rule(
        find_all(vocabulary, options.label), find_all(vocabulary, options.exclude), options.min_score, options.whole
    )
    both = rule.wanted.keys() & rule.excluded.keys()
    if both:
        raise InputError(f"{vocabulary.name(min(both))!r} is both wanted (--label) and excluded (--exclude)")
    files = record_files(options.records)
    names = ", ".join(repr(vocabulary.name(label)) for label in rule.wanted)
    result = select(tqdm(files, unit="file", disable=None), rule, vocabulary)
    for fault in result.faults[:_SHOWN]:
        print(f"damaged: {fault}", file=sys.stderr)
    if len(result.faults) > _SHOWN:
        print(f"damaged: {len(result.faults) - _SHOWN} more records", file=sys.stderr)
    rows = result.sorted_rows()
    if not rows:
        raise InputError(f"no video has the label {names}: {_summary(result, len(files))}{_why(result)}")
    if not options.dry_run:
        write_table(options.out, COLUMNS, rows)
    print(
        f"{len(result.rows)} videos with {names} in {len(rows)} rows; {_summary(result, len(files))}\n"
        + (f"dry run: {options.out} is not written" if options.dry_run else f"wrote {options.out}")
    )
    return 0


def _summary(result: Result, files: int) -> str:
    repeated = f", {result.repeated} of them twice" if result.repeated else ""
    damaged = f", {len(result.faults)} damaged" if result.faults else ""
    return f"{result.records} records{repeated}{damaged} in {files} files"


def _why(result: Result) -> str:
    if result.unlabelled["test"] == result.records > 0:
        return "; the dataset's test records have no labels: give the train and validate files"
    return ""
