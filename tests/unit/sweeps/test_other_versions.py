"""Storages that another version of Optuna made, or that are damaged: a sentence, from a dry run and from the report."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from sweeps import optuna_run, report
from sweeps.opening import open_sweep
from sweeps.place import find_place
from sweeps.storage import open_storage
from tests.contracts.studies import ME, PLAN


def asked(capsys: pytest.CaptureFixture[str], folder: Path, storage: str) -> tuple[str, str]:
    """What a dry run and the report say; neither may end with anything but 1."""
    search = ["--search", "lr=log(1e-3,1e-1)", "--search", "batch=choice(8,16)", "stage=selftest", "steps=5"]
    command = ["--dry-run", "--cluster", "local", "--study", "s", "--storage", storage, "--runs", str(folder), *search]
    capsys.readouterr()
    assert optuna_run.main(command) == 1
    dry = capsys.readouterr().err
    assert report.main(["s", "--storage", storage, "--runs", str(folder), "--table"]) == 1
    return dry, capsys.readouterr().err


def made(folder: Path, storage: str) -> str:
    sweep = open_sweep(open_storage(find_place(storage, folder, {})), "s", PLAN)
    assert sweep.claim(folder / "runs", ME, sampler="random", trials=1, seed=1) is not None
    return storage


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("v2.6.0.a", ("an older version of Optuna", "optuna storage upgrade")),
        ("v99", ("a newer version of Optuna", "pip install -U optuna")),
    ],
)
def test_tables_of_another_version_say_so_and_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], version: str, words: tuple[str, str]
):
    storage = made(tmp_path, f"sqlite:///{tmp_path}/studies.db")
    with sqlite3.connect(tmp_path / "studies.db") as tables:
        tables.execute("UPDATE alembic_version SET version_num = ?", (version,))
    for said in asked(capsys, tmp_path, storage):
        assert f"the tables in sqlite:///{tmp_path}/studies.db are of {words[0]}" in said
        assert words[1] in said


def test_a_missing_table_is_not_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    storage = made(tmp_path, f"sqlite:///{tmp_path}/studies.db")
    with sqlite3.connect(tmp_path / "studies.db") as tables:
        tables.execute("ALTER TABLE studies RENAME COLUMN study_name TO something")
    for said in asked(capsys, tmp_path, storage):
        assert f"sqlite:///{tmp_path}/studies.db does not work: no such column: studies.study_name" in said


def unknown(line: bytes) -> bytes:
    return json.dumps({**json.loads(line), "op_code": 77}).encode() + b"\n"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (unknown, r"line 2 of .*study\.log has an operation \(77\) that Optuna .* does not know: install the version"),
        (
            lambda line: line[5:],
            r"line 2 of .*study\.log is none of a journal of studies: bring it back from a copy",
        ),
        (lambda _line: b"[1]\n", r"line 2 of .*study\.log is none of a journal of studies"),
    ],
    ids=["another version", "cut", "a list"],
)
def test_a_journal_says_which_line_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Callable[[bytes], bytes], said: str
):
    storage = made(tmp_path, f"journal:{tmp_path}/study.log")
    lines = (tmp_path / "study.log").read_bytes().splitlines(keepends=True)
    lines[1] = change(lines[1])
    (tmp_path / "study.log").write_bytes(b"".join(lines))
    for words in asked(capsys, tmp_path, storage):
        assert re.search(said, words), words
