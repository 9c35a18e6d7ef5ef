"""What is left to do: nothing twice, nothing forgotten."""

import os
from pathlib import Path

from v2a.prepare.content import content_hash
from v2a.prepare.failures import Failure, append_failure, read_failures, write_failures
from v2a.prepare.folder import Done
from v2a.prepare.inputs import Input
from v2a.prepare.plan import Plan, make_plan
from v2a.shards.records import VideoRecord


def _record(path: Path, span: str = "", **changes: object) -> VideoRecord:
    status = path.stat()
    values: dict[str, object] = {
        "source": str(path), "span": span, "bytes": status.st_size, "mtime_ns": status.st_mtime_ns,
        "content": content_hash(str(path)),
        "seconds": 10.0, "clips": 1, "dropped": {}, "remainder_s": 0.0, "facts": {}, "notes": [],
    }  # fmt: skip
    return VideoRecord(**{**values, **changes})  # type: ignore[arg-type]


def _done(*records: VideoRecord) -> Done:
    return Done(videos={(record.source, record.span): record for record in records})


def _plan(*paths: Path, done: Done | None = None, failures: tuple[Failure, ...] = (), retry: bool = False) -> Plan:
    return make_plan([Input(str(path)) for path in paths], done or Done(), failures, retry)


def _names(plan: Plan) -> list[str]:
    return [Path(task.video.path).name for task in plan.tasks]


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
    assert (_names(plan), plan.done) == (["changed"], 1)


def test_a_touched_or_moved_file_is_known_by_its_content(tmp_path: Path):
    touched, moved = _write(tmp_path / "touched", "12345"), _write(tmp_path / "old", "123")
    done = _done(_record(touched), _record(moved))
    os.utime(touched, ns=(1, 1))
    moved = moved.rename(tmp_path / "new")
    plan = _plan(touched, moved, done=done)
    assert (_names(plan), plan.done, plan.failures) == ([], 2, [])


def test_a_copy_is_taken_once_and_listed_once(tmp_path: Path):
    paths = [_write(tmp_path / name, text) for name, text in (("a", "same"), ("b", "same"), ("c", "diff"))]
    plan = _plan(*paths)
    assert _names(plan) == ["a", "c"]
    [failure] = plan.failures
    assert (failure.source, failure.kind) == (str(paths[1]), "duplicate")
    assert failure.reason == f"it has the same content as {paths[0]}, which is taken"


def test_a_copy_of_what_was_done_earlier_is_listed(tmp_path: Path):
    first, copy = _write(tmp_path / "a", "same"), _write(tmp_path / "b", "same")
    plan = _plan(copy, done=_done(_record(first)))
    assert _names(plan) == []
    assert [failure.kind for failure in plan.failures] == ["duplicate"]


def test_a_video_whose_first_half_is_done_is_read_on_even_beside_a_file_of_its_size(tmp_path: Path):
    half, other = _write(tmp_path / "half", "12345"), _write(tmp_path / "other", "54321")
    content = content_hash(str(half))
    done = Done(clips={str(half): {content: {0, 10000}}})
    plan = _plan(half, other, done=done)
    assert sorted(_names(plan)) == ["half", "other"]
    assert next(task for task in plan.tasks if task.video.path == str(half)).have == {content: {0, 10000}}


def test_failures_are_remembered_until_the_file_changes_or_one_asks(tmp_path: Path):
    bad = _write(tmp_path / "bad", "x")
    status = bad.stat()
    failure = Failure(str(bad), "", "damaged", "why", status.st_size, status.st_mtime_ns)
    assert (_names(_plan(bad, failures=(failure,))), _plan(bad, failures=(failure,)).failed) == ([], 1)
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
    spans = [Input(str(path), 0, 10), Input(str(path), 10, 20)]
    plan = make_plan(spans, _done(_record(path, span="0-10")), (), False)
    assert [task.video.span for task in plan.tasks] == ["10-20"]
    assert (plan.done, plan.failures) == (1, [])


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
