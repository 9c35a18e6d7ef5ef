"""What is left to do: nothing twice, nothing forgotten."""

import dataclasses
import os
import time
from pathlib import Path

import pytest

from v2a.geometry import Geometry
from v2a.media.reading import Limits
from v2a.prepare.config import Config, Limit, Split
from v2a.prepare.content import content_hash
from v2a.prepare.done import Content, Done, read_held, write_held
from v2a.prepare.failures import INPUT, Failure, append_failure, of_other_commands, read_failures, write_failures
from v2a.prepare.inputs import Input
from v2a.prepare.plan import Plan, make_plan
from v2a.shards.records import VideoRecord


def _record(path: Path, span: str = "", **changes: object) -> VideoRecord:
    status = path.stat()
    values: dict[str, object] = {
        "source": str(path), "span": span, "bytes": status.st_size, "mtime_ns": status.st_mtime_ns,
        "content": content_hash(str(path), Limits()),
        "seconds": 10.0, "clips": 1, "dropped": {}, "remainder_s": 0.0, "facts": {}, "notes": [],
        "moments": [(0, 100)],
    }  # fmt: skip
    return VideoRecord(**{**values, **changes})  # type: ignore[arg-type]


def _done(*records: VideoRecord) -> Done:
    done = Done()
    for record in records:
        content = done.contents.setdefault(record.content, Content())
        content.labels.update(dict.fromkeys(record.moments, ""))
        done.take(record)
    return done


def _plan(*paths: Path, done: Done | None = None, failures: tuple[Failure, ...] = (), retry: bool = False) -> Plan:
    return make_plan([Input(str(path)) for path in paths], done or Done(), failures, Config(retry_failures=retry))


def _names(plan: Plan) -> list[str]:
    return [Path(task.video.path).name for bundle in plan.tasks for task in bundle.tasks]


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_largest_comes_first(tmp_path: Path):
    paths = [_write(tmp_path / name, "x" * size) for name, size in (("a", 5), ("b", 50), ("c", 20))]
    assert _names(_plan(*paths)) == ["b", "c", "a"]


def test_what_is_done_is_not_read_again_and_what_changed_is(tmp_path: Path):
    same, changed = _write(tmp_path / "same", "12345"), _write(tmp_path / "changed", "123")
    done = _done(_record(same), _record(changed))
    changed.write_text("another")
    plan = _plan(same, changed, done=done)
    assert (_names(plan), plan.done) == (["changed"], {(str(same), "")})


def test_a_touched_or_moved_file_is_known_by_its_content(tmp_path: Path):
    touched, moved = _write(tmp_path / "touched", "12345"), _write(tmp_path / "old", "123")
    done = _done(_record(touched), _record(moved))
    os.utime(touched, ns=(1, 1))
    moved = moved.rename(tmp_path / "new")
    plan = _plan(touched, moved, done=done)
    assert (_names(plan), len(plan.done), plan.failures) == ([], 2, [])


def test_copies_are_one_workers_and_the_first_of_them_is_read_first(tmp_path: Path):
    paths = [_write(tmp_path / name, text) for name, text in (("a", "same"), ("b", "same"), ("c", "diff"))]
    plan = _plan(*paths)
    assert [[Path(task.video.path).name for task in bundle.tasks] for bundle in plan.tasks] == [["a", "b"], ["c"]]
    assert [bundle.copies for bundle in plan.tasks] == [1, 0]
    assert plan.tasks[0].content == content_hash(str(paths[0]), Limits())


def test_a_copy_of_what_was_done_earlier_is_listed(tmp_path: Path):
    first, copy = _write(tmp_path / "a", "same"), _write(tmp_path / "b", "same")
    plan = _plan(copy, done=_done(_record(first)))
    assert _names(plan) == []
    assert [failure.kind for failure in plan.failures] == ["duplicate"]


def test_a_duplicate_is_one_only_as_long_as_the_other_has_clips(tmp_path: Path):
    first, copy = _write(tmp_path / "a", "same"), _write(tmp_path / "b", "same")
    done = _done(_record(first))
    failures = tuple(_plan(copy, done=done).failures)
    assert (failures[0].owners, failures[0].kind) == (((str(first), ""),), "duplicate")
    assert (_names(_plan(copy, done=done, failures=failures)), _plan(copy, done=done, failures=failures).failures) == (
        [],
        [],
    )
    first.unlink()
    assert _names(_plan(copy, failures=failures)) == ["b"]
    assert _names(_plan(copy, failures=(dataclasses.replace(failures[0], content="", owners=()),))) == ["b"]


@pytest.mark.parametrize("way", ["gone", "replaced"])
def test_of_two_copies_of_a_moved_file_one_takes_its_place(way: str, tmp_path: Path):
    old, one, two = (_write(tmp_path / name, "same") for name in ("old", "one", "two"))
    done = _done(_record(old))
    if way == "gone":
        old.unlink()
    else:
        old.write_text("something else")
    plan = _plan(one, two, done=done)
    assert (_names(plan), plan.done) == ([], {(str(one), "")})
    assert [(failure.source, failure.kind) for failure in plan.failures] == [(str(two), "duplicate")]


def test_a_file_that_is_still_there_is_not_moved(tmp_path: Path):
    old, new = _write(tmp_path / "old", "same"), _write(tmp_path / "new", "same")
    os.utime(old, ns=(1, 1))
    plan = _plan(new, done=_done(_record(old)))
    assert (plan.done, [failure.kind for failure in plan.failures]) == (set(), ["duplicate"])


def test_a_record_some_of_whose_clips_were_lost_does_not_count(tmp_path: Path):
    """However many clips of the same content lie elsewhere: before its span, after it, or in it with another length."""
    path = _write(tmp_path / "a", "x")
    record = _record(path, span="10-20", moments=[(10_000_000, 100), (15_000_000, 50)])
    for others in ([(0, 100), (30_000_000, 100)], [(10_000_000, 99), (15_000_000, 49)], [(10_000_000, 100)]):
        done = Done(contents={record.content: Content(labels=dict.fromkeys(others, ""))})
        done.take(record)
        assert (done.records, done.contents[record.content].has_orphans) == ({}, True)
    done.contents[record.content].labels.update(dict.fromkeys(record.moments, ""))
    done.take(record)
    assert list(done.records) == [(str(path), "10-20")]
    done.take(_record(path, span="20-30", moments=[]))
    assert list(done.records) == [(str(path), "10-20")], "of an earlier version, which did not say which clips"


def test_only_the_state_that_gave_clips_is_done(tmp_path: Path):
    """Whatever the order in which the shards are read."""
    path = _write(tmp_path / "a", "old")
    old = _record(path)
    path.write_text("newer")
    for records in ([old, _record(path)], [_record(path), old]):
        assert _plan(path, done=_done(*records)).done == {(str(path), "")}
    path.write_text("broken!")
    status = path.stat()
    failure = Failure(str(path), "", "damaged", "why", status.st_size, status.st_mtime_ns)
    assert _plan(path, done=_done(old), failures=(failure,)).failed == [failure]


def test_inputs_that_may_share_clips_are_one_workers(tmp_path: Path):
    path = _write(tmp_path / "a", "x")
    s = 1_000_000
    spans = [(0, 1), (4, 6), (0, 2), (1, 3), (3, 5), (6, 8), (20, None), (24, 26), (25, 26), (2, 4)]
    spans += [(8, 18), (10, 12), (16, 18)]
    videos = [Input(str(path), start * s, None if end is None else end * s) for start, end in spans]
    tiny = Config(geometry=Geometry(segment_s=2))
    plan = make_plan(videos, Done(), (), tiny)
    bundles = {tuple(task.video.span for task in bundle.tasks) for bundle in plan.tasks}
    assert bundles == {("0-1", "0-2"), ("4-6",), ("1-3",), ("3-5",), ("6-8",), ("20-", "24-26"), ("25-26",), ("2-4",),
        ("8-18", "10-12", "16-18"),
    }  # fmt: skip


def test_one_content_is_one_group_under_all_names_and_spans(tmp_path: Path):
    one, two = _write(tmp_path / "g1.mp4", "same"), _write(tmp_path / "g2.mp4", "same")
    other = _write(tmp_path / "g3.mp4", "another")
    videos = [Input(str(two), 5, 6), Input(str(one)), Input(str(other))]
    groups = Config(split=Split(group=r"g\d"))
    plan = make_plan(videos, Done(), (), groups)
    assert {task.video.path: bundle.group for bundle in plan.tasks for task in bundle.tasks} == {
        str(one): "g2",
        str(two): "g2",
        str(other): "g3",
    }


def test_what_is_too_large_is_refused_before_it_is_read(tmp_path: Path):
    for name in ("a", "b"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(300 << 30)
    begun = time.monotonic()
    small = Config(limit=Limit(gigabytes=1))
    plan = make_plan([Input(str(tmp_path / name)) for name in ("a", "b")], Done(), (), small)
    assert [failure.kind for failure in plan.failures] == ["too-large"] * 2
    slow = Config(limit=Limit(gigabytes=1000, minutes=0.001))
    plan = make_plan([Input(str(tmp_path / name)) for name in ("a", "b")], Done(), (), slow)
    assert [failure.kind for failure in plan.failures] == ["too-slow"] * 2
    assert "limit.minutes" in plan.failures[0].reason
    assert time.monotonic() - begun < 5


def test_comparing_says_how_far_it_is(tmp_path: Path):
    paths = [tmp_path / name for name in "abc"]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]) * (3 << 20))
    said: list[tuple[int, int]] = []
    make_plan([Input(str(path)) for path in paths], Done(), (), Config(), lambda *far: said.append(far))
    assert said == [(number << 20, 9 << 20) for number in range(1, 10)]


def test_failures_of_other_commands_stay_while_their_files_do(tmp_path: Path):
    same, changed = _write(tmp_path / "same", "x"), _write(tmp_path / "changed", "x")
    lines = [
        Failure(str(path), "", "damaged", "why", path.stat().st_size, path.stat().st_mtime_ns)
        for path in (same, changed)
    ]
    gone = Failure(str(tmp_path / "gone"), "", "damaged", "why", 1, 1)
    refused = Failure("list.csv, line 3", "", INPUT, "why")
    changed.write_text("mended")
    assert of_other_commands([*lines, gone, refused], set()) == [lines[0]]
    assert of_other_commands([*lines, gone, refused], {str(same)}) == []


def test_what_the_workers_are_told_is_what_is_held(tmp_path: Path):
    path = _write(tmp_path / "a\udcff", "x")
    record = _record(path, moments=[(0, 100), (1, 50)])
    done = _done(record)
    unfinished = Content("g", {(5, 5): "l\udcfe"})
    done.contents["unfinished"] = unfinished
    for wanted in ([], [record.content, "unknown"]):
        write_held(tmp_path / "held.json", done, wanted)
        names = {"unfinished", *([record.content] if wanted else [])}
        assert read_held(tmp_path / "held.json") == {name: done.contents[name] for name in names}


def test_failures_are_remembered_until_the_file_changes_or_one_asks(tmp_path: Path):
    bad = _write(tmp_path / "bad", "x")
    status = bad.stat()
    failure = Failure(str(bad), "", "damaged", "why", status.st_size, status.st_mtime_ns)
    assert (_names(_plan(bad, failures=(failure,))), _plan(bad, failures=(failure,)).failed) == ([], [failure])
    assert _names(_plan(bad, failures=(failure,), retry=True)) == ["bad"]
    bad.write_text("mended")
    assert _names(_plan(bad, failures=(failure,))) == ["bad"]


def test_what_is_not_there_is_a_failure_and_is_tried_when_it_comes(tmp_path: Path):
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "gone")
    plan = _plan(tmp_path / "none.mp4", tmp_path / "dangling.mp4")
    assert [(failure.kind, failure.bytes) for failure in plan.failures] == [("missing", 0)] * 2
    came = _write(tmp_path / "none.mp4", "x")
    assert _names(_plan(came, failures=tuple(plan.failures))) == ["none.mp4"]


def test_two_spans_of_one_file_are_two_inputs(tmp_path: Path):
    path = _write(tmp_path / "a", "x")
    spans = [Input(str(path), 0, 10_000_000), Input(str(path), 10_000_000, 20_000_000)]
    plan = make_plan(spans, _done(_record(path, span="0-10")), (), Config())
    assert [task.video.span for bundle in plan.tasks for task in bundle.tasks] == ["10-20"]
    assert (plan.done, plan.failures) == ({(str(path), "0-10")}, [])


def test_a_torn_last_line_of_failures_is_no_line(tmp_path: Path):
    file = tmp_path / "failures.jsonl"
    first, second = Failure("a\n'\udce9", "", "k", "r", 1, 2), Failure("b", "1-2", "k", "r")
    append_failure(file, first)
    append_failure(file, second)
    whole = file.read_bytes()
    for cut in range(len(whole)):
        file.write_bytes(whole[:cut])
        found = read_failures(file)
        assert found == [first, second][: len(found)]
    file.write_bytes(whole)
    assert read_failures(file) == [first, second]


def test_failures_are_written_once_each(tmp_path: Path):
    file = tmp_path / "failures.jsonl"
    write_failures(file, [Failure("b", "", "old", "r"), Failure("a", "", "k", "r"), Failure("b", "", "new", "r")])
    assert [(failure.source, failure.kind) for failure in read_failures(file)] == [("a", "k"), ("b", "new")]
