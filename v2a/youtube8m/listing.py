"""videos.csv: the list of videos that `fetch` writes, `review` decides on, and `prepare` reads."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from v2a.youtube8m.tables import Row, changing, read_table, write_table

LIST_COLUMNS = ("path", "start_s", "end_s", "label")  # what `prepare` reads; it passes over others
KEEP = "keep"  # "yes", "no", or "" for undecided
ORIGIN = "`python -m v2a.youtube8m fetch` writes such a file"


def key(row: Row) -> tuple[str, str, str]:
    """What tells rows of a list apart: path and span."""
    return row["path"], row.get("start_s", ""), row.get("end_s", "")


def read_list(path: Path) -> tuple[list[str], list[Row]]:
    """Columns and rows of a list; rows have all of `LIST_COLUMNS` and `KEEP`, the columns are as they are.

    Raises:
        InputError: no such file, or no column path.
    """
    table = read_table(path, ("path",), ORIGIN)
    defaults = dict.fromkeys((*LIST_COLUMNS, KEEP), "")
    return table.columns, [defaults | row for row in table.rows]


def write_list(path: Path, columns: Iterable[str], rows: Iterable[Row]) -> None:
    """Write a list whole; columns that it should have and lacks come last, `KEEP` only when something is decided."""
    rows = list(rows)
    decided = [KEEP] if any(row[KEEP] for row in rows) else []
    write_table(path, list(dict.fromkeys([*columns, *LIST_COLUMNS, *decided])), rows)


def update_list(path: Path, rows: Iterable[Row]) -> None:
    """Make a list begin with these rows. What `review` decided stays, and so do rows of other lists in the same folder."""
    with changing(path):
        columns, old = read_list(path) if path.exists() else (list(LIST_COLUMNS), [])
        before = {key(row): row for row in old}
        after = {key(row): before.get(key(row), {KEEP: ""}) | row for row in rows}
        extra = dict.fromkeys(columns, "")
        write_list(
            path,
            columns,
            [extra | row for row in (after | {k: r for k, r in before.items() if k not in after}).values()],
        )
