"""Files that survive the end of the process; lists that several processes change; rates; threads."""

import argparse
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.conftest import HOSTILE_NAMES
from v2a.youtube8m.ledger import Failures, Ledger
from v2a.youtube8m.ratelimit import Limiter, rate
from v2a.youtube8m.tables import InputError, changing, read_table, write_table, write_whole
from v2a.youtube8m.workers import in_parallel

COLUMNS = ("id", "text")


def _rows(path: Path) -> list[str]:
    with Ledger(path, COLUMNS) as ledger:
        assert isinstance(ledger, Ledger)
        return [row["id"] for row in ledger.rows]


def test_a_last_line_that_was_cut_anywhere_is_taken_away(tmp_path: Path):
    path = tmp_path / "x.csv"
    with Ledger(path, COLUMNS) as ledger:
        assert isinstance(ledger, Ledger)
        ledger.add([{"id": "one", "text": 'with "quotes", and\nlines'}, {"id": "two", "text": ""}])
    content = path.read_bytes()
    ends = [number + 1 for number, byte in enumerate(content) if byte == 10]
    assert len(ends) == 3
    for length in range(len(content) + 1):
        path.write_bytes(content[:length])
        assert _rows(path) == ["one", "two"][: max(0, sum(end <= length for end in ends) - 1)], length
        assert path.read_bytes() == content[: max([end for end in ends if end <= length], default=ends[0])]


@pytest.mark.parametrize("content", ["hello", "a,b\n1,2\n", "id,text,more\n"])
def test_a_file_of_something_else_is_not_touched(content: str, tmp_path: Path):
    path = tmp_path / "x.csv"
    path.write_text(content)
    with pytest.raises(InputError, match="choose another file with --out"):
        Ledger(path, COLUMNS)
    assert path.read_text() == content


def test_a_spoilt_line_in_the_middle_is_named(tmp_path: Path):
    path = tmp_path / "x.csv"
    path.write_text("id,text\none,1\ntwo\nthree,3\n")
    with pytest.raises(InputError, match=r"x.csv:3 has 1 fields, but expected 2; remove that line"):
        Ledger(path, COLUMNS)


def test_a_full_disk_leaves_whole_lines_only(tmp_path: Path):
    """A limit on file sizes stands for the disk: the kernel then writes a part, and refuses the rest."""
    path = tmp_path / "x.csv"
    program = f"""
import resource, signal, sys
from pathlib import Path
from v2a.youtube8m.ledger import Ledger
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
with Ledger(Path({str(path)!r}), {COLUMNS!r}) as ledger:
    try:
        for number in range(100):
            ledger.add([{{"id": str(number), "text": "x" * 60}}])
    except OSError as error:
        print(number, error.filename)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    number, name = done.stdout.split()
    assert name == str(path)
    assert path.read_bytes().endswith(b"\n")
    assert _rows(path) == [str(n) for n in range(int(number))]


def test_two_at_once_are_refused(tmp_path: Path):
    with Ledger(tmp_path / "x.csv", COLUMNS), pytest.raises(InputError, match="another run is writing"):
        Ledger(tmp_path / "x.csv", COLUMNS)
    assert _rows(tmp_path / "x.csv") == []


def test_failures_remember_the_newest_word_and_pass_over_torn_lines(tmp_path: Path):
    path = tmp_path / "f.jsonl"
    failures = Failures(path)
    failures.add("a", "gone", "HTTP 404")
    failures.add("b", "failed", "x")
    failures.add("a", "failed", "HTTP 500")
    with open(path, "ab") as file:
        file.write(b'[]\nnot json\n{"id": "c", "kind": "go')
    again = Failures(path)
    assert {name: entry["kind"] for name, entry in again.entries.items()} == {"a": "failed", "b": "failed"}
    assert again.counts() == {"failed": 2}
    again.forget(["b"])
    again.add("d", "gone", "after the torn line")
    again.write()
    assert set(Failures(path).entries) == {"a", "d"}


def test_any_text_comes_back_from_a_list(tmp_path: Path, hostile_name: str):
    path = tmp_path / "x.csv"
    rows = [{"path": hostile_name, "label": hostile_name}, {"path": "b\udcff", "label": ""}]
    write_table(path, ("path", "label"), rows)
    found = read_table(path, ("path",), "").rows
    assert [row["path"] for row in found] == [hostile_name, "b\udcff"]
    assert found[0]["label"] == hostile_name.replace("\n", " ").replace("\t", " ")
    assert len(HOSTILE_NAMES) > 1


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch):
    path, link = tmp_path / "x", tmp_path / "link"
    write_whole(path, b"old")
    path.chmod(0o640)
    link.symlink_to(path)
    write_whole(link, b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777, link.is_symlink()) == (b"new", 0o640, True)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"newer")
    assert path.read_bytes() == b"new"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["link", "x"]


def test_a_disk_that_fills_while_a_list_is_written_leaves_the_old_one(tmp_path: Path):
    path = tmp_path / "x.csv"
    write_whole(path, b"old")
    program = f"""
import resource, signal
from pathlib import Path
from v2a.youtube8m.tables import write_whole
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_whole(Path({str(path)!r}), b"x" * 5000)
except OSError as error:
    print(error.strerror)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "File too large\n"
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.csv"]


def test_changes_of_one_list_take_turns(tmp_path: Path):
    path = tmp_path / "n"
    path.write_text("0")
    program = (
        "import sys; from pathlib import Path; from v2a.youtube8m.tables import changing, write_whole\n"
        "path = Path(sys.argv[1])\n"
        "for _ in range(50):\n"
        "    with changing(path): write_whole(path, str(int(path.read_text()) + 1).encode())\n"
    )
    others = [subprocess.Popen([sys.executable, "-c", program, str(path)]) for _ in range(3)]
    assert [other.wait(timeout=60) for other in others] == [0, 0, 0]
    with changing(path):
        assert path.read_text() == "150"


@pytest.mark.parametrize(("text", "per_second"), [("5/s", 5), ("30/min", 0.5), ("90/h", 0.025), ("0.5/s", 0.5)])
def test_rates(text: str, per_second: float):
    assert rate(text) == pytest.approx(per_second)


@pytest.mark.parametrize("text", ["", "5", "/s", "-1/s", "0/s", "nan/s", "inf/s", "5/day", "1e9/s", "99999999/s"])
def test_rates_that_are_none(text: str):
    with pytest.raises(argparse.ArgumentTypeError, match=r"expected a rate such as 5/s, 30/min or 100/h, but got"):
        rate(text)


def test_a_limiter_never_catches_up_and_can_be_held():
    now = [100.0]
    limiter = Limiter(10.0, clock=lambda: now[0])
    assert _passes(limiter)
    assert not _passes(limiter), "the second one at the same time must wait"
    now[0] += 5.0  # nobody came for a long time
    assert _passes(limiter)
    assert not _passes(limiter)
    now[0] += 0.2
    limiter.hold(30.0)
    assert not _passes(limiter)
    now[0] += 29.0
    assert not _passes(limiter)
    now[0] += 1.1
    assert _passes(limiter)


def _passes(limiter: Limiter) -> bool:
    """Whether it lets one through within 50 ms; being told to stop ends the waiting."""
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    return limiter.wait(stop)


@pytest.mark.parametrize("count", [1, 3, 50])
def test_every_item_is_worked_on_once(count: int):
    items = list(range(200))
    assert sorted(in_parallel(items, lambda item: item * 2, count, threading.Event())) == [(n, 2 * n) for n in items]


def test_an_error_in_a_thread_is_raised_and_stops_the_others():
    stop, seen = threading.Event(), []

    def work(item: int) -> int:
        seen.append(item)
        if item == 3:
            raise ValueError("three")
        stop.wait(0.01)
        return item

    with pytest.raises(ValueError, match="three"):
        list(in_parallel(range(10_000), work, 2, stop))
    assert stop.is_set()
    assert len(seen) < 100


def test_who_stops_asking_ends_the_work():
    stop = threading.Event()
    for _ in in_parallel(iter(int, 1), lambda item: item, 2, stop):
        break
    deadline = time.monotonic() + 5
    while not stop.is_set():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert stop.is_set()
