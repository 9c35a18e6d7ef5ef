"""Lists with spans: which clips they give, whose each is, and that their history makes no difference."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest

from tests.media.datasets import records_of, rows_of
from tests.unit.prepare.conftest import Render
from tests.unit.prepare.running import failures_of, kill_when, labels_of, run, stored
from v2a.shards.folder import shard_paths
from v2a.shards.manifest import read_manifest
from v2a.shards.splits import Splits, split_of


def _list(folder: Path, *rows: str) -> Path:
    path = folder / "list.csv"
    path.write_text("path,start_s,end_s,label\n" + "".join(f"{row}\n" for row in rows))
    return path


@pytest.fixture
def film(tmp_path: Path, render: Render) -> Path:
    """Six seconds: three tiny clips."""
    return render(tmp_path / "g.mp4", 6.0, seed=1)


def test_spans_that_begin_together_are_clips_of_their_own(film: Path, tmp_path: Path):
    out = tmp_path / "out"
    assert run(_list(tmp_path, "g.mp4,0,1,a"), out) == 0
    assert labels_of(out) == [(0.0, 10, "a")]
    assert run(_list(tmp_path, "g.mp4,0,1,a", "g.mp4,0,2,b", "g.mp4,,,whole"), out) == 0
    assert labels_of(out) == [(0.0, 10, "a"), (0.0, 20, "b"), (2.0, 20, "whole"), (4.0, 20, "whole")]
    records = {record.span: record for record in records_of(out)}
    assert {span: (record.clips, len(record.moments)) for span, record in records.items()} == {
        "0-1": (1, 1), "0-2": (1, 1), "": (2, 2),
    }  # fmt: skip
    assert records[""].notes == [f"1 more of its clips are those of {film}, 0-2 s; the label 'b' is kept"]
    assert failures_of(out) == {}
    assert read_manifest(out).total.clips == 4


def test_the_clips_are_the_same_whatever_the_history(film: Path, tmp_path: Path):
    rows = ["g.mp4,0,1,a", "g.mp4,0,2,b", "g.mp4,,,whole"]
    fresh = tmp_path / "fresh"
    run(_list(tmp_path, *rows), fresh)
    for number, order in enumerate(permutations(rows)):
        out = tmp_path / str(number)
        for count in (1, 2, 3):
            assert run(_list(tmp_path, *order[:count]), out) == 0
        assert stored(out) == stored(fresh)
        assert len(set(stored(out))) == 4
        assert read_manifest(out).total.clips == 4


def test_an_input_whose_clips_all_are_anothers_says_whose(film: Path, tmp_path: Path):
    out = tmp_path / "out"
    run(_list(tmp_path, "g.mp4,,,whole"), out)
    for _ in range(2):
        assert run(_list(tmp_path, "g.mp4,,,whole", "g.mp4,2,4,b"), out) == 0
        [failure] = failures_of(out).values()
        assert (failure.span, failure.kind) == ("2-4", "duplicate")
        assert failure.reason == f"its clips are those of {film}; the label 'whole' is kept"
    assert len(shard_paths(out)) == 1
    (shard_paths(out)[0]).unlink()
    assert run(_list(tmp_path, "g.mp4,2,4,b"), out) == 0
    assert (labels_of(out), failures_of(out)) == ([(2.0, 20, "b")], {})


def test_times_are_exact(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Close together, tiny, huge, three times the same command: each line once, known again each time."""
    spans = ["1.234561,3.240561", "1.234564,3.236564", "1.23456,3.2405601", "0.00001,4", "1000000,1000004"]
    listed = _list(tmp_path, *(f"g.mp4,{span},a" for span in spans))
    out = tmp_path / "out"
    for expected in ("5 to read", "4 done before, 1 failed before, 0 to read", "4 done before, 1 failed before, 0 to"):
        assert run(listed, out) == 0
        assert expected in capsys.readouterr().err
    assert {record.span for record in records_of(out)} == {
        "1.234561-3.240561", "1.234564-3.236564", "1.23456-3.24056", "0.00001-4",
    }  # fmt: skip
    assert {key: failure.kind for key, failure in failures_of(out).items()} == {
        ("g.mp4", "1000000-1000004"): "past-the-end"
    }


def test_a_lost_shard_of_one_span_is_made_again_beside_the_others(film: Path, tmp_path: Path):
    out, rows = tmp_path / "out", ["g.mp4,1,3,a", "g.mp4,3,5,b", "g.mp4,0,1,c"]
    for count in (1, 2, 3):
        run(_list(tmp_path, *rows[:count]), out)
    whole = stored(out)
    for shard in shard_paths(out):
        content = shard.read_bytes()
        shard.unlink()
        assert len(stored(out)) == 2
        assert run(_list(tmp_path, *rows), out) == 0
        assert (stored(out), len(records_of(out))) == (whole, 3)
        assert shard.name not in {path.name for path in shard_paths(out)} or shard.read_bytes() != content


def test_one_content_is_in_one_split(film: Path, tmp_path: Path):
    """Copies under other names and spans, and one that comes later."""
    for number in range(2, 7):
        (tmp_path / f"g{number}.mp4").write_bytes(film.read_bytes())
    out, groups = tmp_path / "out", [r"split.group=^(g\d)", "split.validation=0.3", "split.test=0.3"]
    rows = [f"g{number}.mp4,{number - 2},{number},x" for number in range(2, 6)]
    assert run(_list(tmp_path, *rows[1:]), out, *groups) == 0
    assert run(_list(tmp_path, *rows, "g6.mp4,4,6,x"), out, *groups) == 0
    assert {row.group for row in rows_of(out)} == {"g3"}
    assert len(rows_of(out)) == 5
    splits = {name: counts.clips for name, counts in read_manifest(out).by_split.items() if counts.clips}
    assert splits == {split_of("g3", Splits(0.3, 0.3)): 5}


def test_a_null_byte_is_a_fault_of_its_line(film: Path, tmp_path: Path):
    for name, text, line in (
        ("list.txt", b"g.mp4\nno\0pe.mp4\n", "list.txt, line 2"),
        ("list.csv", b"path,label\nno\0pe.mp4,x\ng.mp4,y\n", "list.csv, line 2"),
    ):
        (tmp_path / name).write_bytes(text)
        out = tmp_path / f"out-{name}"
        assert run(tmp_path / name, out) == 0
        assert len(rows_of(out)) == 3
        assert "null byte" in failures_of(out)[line, ""].reason


def test_failures_of_lines_that_were_corrected_are_gone(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    run(_list(tmp_path, "g.mp4,2,1,x", "gone.mp4,,,x", "g.mp4,70,72,x", "g.mp4,0,2,x"), out)
    assert set(failures_of(out)) == {("list.csv, line 2", ""), ("gone.mp4", ""), ("g.mp4", "70-72")}
    assert "3 inputs gave no clip" in capsys.readouterr().err
    run(_list(tmp_path, "g.mp4,1,2,x", "g.mp4,0,2,x"), out)
    assert failures_of(out) == {}
    assert "gave no clip" not in capsys.readouterr().err


def test_failures_of_another_list_are_not_counted(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "bad.mp4").write_text("no video" * 99)
    out = tmp_path / "out"
    run(tmp_path / "bad", out)
    capsys.readouterr()
    run(_list(tmp_path, "g.mp4,,,x"), out)
    assert set(failures_of(out)) == {("bad.mp4", "")}
    assert "gave no clip" not in capsys.readouterr().err
    run(tmp_path / "bad", out)
    assert "1 failed before, 0 to read" in capsys.readouterr().err


def test_killed_between_rows_that_share_clips_it_goes_on(tmp_path: Path, render: Render):
    render(tmp_path / "g.mp4", 60.0, seed=1)
    listed = _list(tmp_path, "g.mp4,0,30,a", "g.mp4,2,3,b", "g.mp4,,,whole", "g.mp4,4,10,d")
    whole, out = tmp_path / "whole", tmp_path / "out"
    run(listed, whole)
    for shards in (2, 7):
        kill_when(lambda count=shards: out.exists() and len(shard_paths(out)) >= count, listed, out)
    assert run(listed, out) == 0
    assert stored(out) == stored(whole)
    assert labels_of(out) == labels_of(whole)
    assert set(failures_of(out)) == {("g.mp4", "4-10")}
    assert failures_of(out) == failures_of(whole)
