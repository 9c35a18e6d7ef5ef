"""What `videos=` names: folders, lists and CSVs as people have them."""

import os
from pathlib import Path

import pytest

from v2a.config import ConfigError
from v2a.prepare.inputs import Input, find_inputs


def _touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_a_folder_gives_all_that_is_named_like_a_video(tmp_path: Path):
    _touch(tmp_path / "b.mp4", tmp_path / "a" / "deep" / "A.MKV", tmp_path / "notes.txt", tmp_path / "README")
    _touch(tmp_path / "a" / "._b.mp4", tmp_path / ".cache" / "c.mp4")
    found = find_inputs(str(tmp_path))
    assert found.videos == [Input(str(tmp_path / "b.mp4")), Input(str(tmp_path / "a" / "deep" / "A.MKV"))]
    assert dict(found.ignored) == {".txt": 1, "without a suffix": 1, "hidden": 1}


def test_names_of_any_bytes_are_found(tmp_path: Path):
    names = [b"-i.mp4", b"quote'\".mp4", b"new\nline.mp4", b"latin-\xe9.mp4", b"%03d.mp4", b"http:--x.mp4"]
    for name in names:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"x")
    found = {os.path.basename(os.fsencode(video.path)) for video in find_inputs(str(tmp_path)).videos}
    assert found == set(names)


def test_a_link_that_leads_back_up_ends_the_walk(tmp_path: Path):
    _touch(tmp_path / "a" / "x.mp4")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "linked.mp4").symlink_to(tmp_path / "a" / "x.mp4")
    assert [Path(video.path).name for video in find_inputs(str(tmp_path)).videos] == ["linked.mp4", "x.mp4"]


def test_a_list_is_relative_to_its_own_folder(tmp_path: Path):
    (tmp_path / "list.txt").write_bytes(b"a.mp4\r\n\n sub/b c.mp4\n/abs/d.mp4\na.mp4\ncaf\xe9.mp4\n")
    paths = [video.path for video in find_inputs(str(tmp_path / "list.txt")).videos]
    assert paths == [
        str(tmp_path / "a.mp4"),
        str(tmp_path / " sub" / "b c.mp4"),
        "/abs/d.mp4",
        str(tmp_path / os.fsdecode(b"caf\xe9.mp4")),
    ]


def test_a_csv_gives_spans_and_labels(tmp_path: Path):
    text = 'path,start_s,end_s,label\na.mp4,30,40,"jet, taking off"\na.mp4,,,\nb.mp4,1.5,,x\na.mp4,30,40,again\n'
    (tmp_path / "list.csv").write_text(text)
    found = find_inputs(str(tmp_path / "list.csv")).videos
    assert [(Path(v.path).name, v.start_s, v.end_s, v.label, v.span) for v in found] == [
        ("a.mp4", 30.0, 40.0, "jet, taking off", "30-40"),
        ("a.mp4", 0.0, None, "", ""),
        ("b.mp4", 1.5, None, "x", "1.5-"),
    ]


def test_what_a_review_dropped_is_left_out_and_counted(tmp_path: Path):
    (tmp_path / "list.csv").write_text("path,label,keep\na.mp4,x,no\nb.mp4,x,yes\nc.mp4,x,\n")
    found = find_inputs(str(tmp_path / "list.csv"))
    assert [Path(video.path).name for video in found.videos] == ["b.mp4", "c.mp4"]
    assert found.ignored == {"dropped in review (keep=no)": 1}


def test_columns_may_be_fewer_and_in_another_order(tmp_path: Path):
    (tmp_path / "list.csv").write_text("label, path,more\ndog,a.mp4,1\n", encoding="utf-8-sig")
    assert find_inputs(str(tmp_path / "list.csv")).videos == [Input(str(tmp_path / "a.mp4"), label="dog")]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",1,2,x", "there is no path"),
        ("a.mp4,one,2,x", "expected start_s in seconds, from 0 to 1000000000, but got 'one'"),
        ("a.mp4,-1,2,x", "expected start_s in seconds, from 0 to 1000000000, but got '-1'"),
        ("a.mp4,nan,2,x", "expected start_s in seconds"),
        ("a.mp4,1_0,20,x", "expected start_s in seconds"),
        ("a.mp4,\u0661,2,x", "expected start_s in seconds"),
        ("a.mp4,5,5,x", "expected end_s after start_s (in whole microseconds), but got start_s=5 and end_s=5"),
        ("a.mp4,0,inf,x", "expected end_s in seconds"),
    ],
)
def test_a_bad_line_is_refused_with_its_number_and_the_others_stay(tmp_path: Path, row: str, reason: str):
    (tmp_path / "list.csv").write_text(f"path,start_s,end_s,label\ngood.mp4,,,\n{row}\n")
    found = find_inputs(str(tmp_path / "list.csv"))
    assert [Path(video.path).name for video in found.videos] == ["good.mp4"]
    [(where, why)] = found.refused
    assert where.endswith("list.csv, line 3")
    assert reason in why


def test_a_single_video_is_an_input(tmp_path: Path):
    _touch(tmp_path / "one.webm")
    (tmp_path / "noname").write_bytes(b"\0\0\0\x18ftypmp42")
    assert find_inputs(str(tmp_path / "one.webm")).videos == [Input(str(tmp_path / "one.webm"))]
    assert find_inputs(str(tmp_path / "noname")).videos == [Input(str(tmp_path / "noname"))]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("", None, "say videos=PATH"),
        ("nowhere", None, "there is no folder or file"),
        ("empty/x.txt", b"", "there is no video in"),
        ("list.txt", b"\n\n", "lists no video"),
        ("list.csv", b"", "to begin with a line of column names, path,start_s,end_s,label, but got nothing"),
        ("list.csv", b"ytid,start\nx,1\n", "but got ytid,start"),
    ],
)
def test_nothing_to_prepare_is_a_sentence(tmp_path: Path, name: str, content: bytes | None, message: str):
    if content is not None:
        _touch(tmp_path / name)
        (tmp_path / name).write_bytes(content)
    target = str(tmp_path / name.split("/", maxsplit=1)[0]) if name else ""
    with pytest.raises(ConfigError, match=message):
        find_inputs(target)


@pytest.mark.parametrize("name", ["list.txt", "list.csv", "noname", "video.mp4"])
@pytest.mark.timeout(10)
def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path, name: str):
    os.mkfifo(tmp_path / name)
    with pytest.raises(ConfigError, match=r"expected videos= to name a folder or a regular file, but .* is a pipe"):
        find_inputs(str(tmp_path / name))


def test_what_leads_nowhere_is_a_sentence(tmp_path: Path):
    (tmp_path / "link.txt").symlink_to(tmp_path / "gone")
    with pytest.raises(ConfigError, match=r"link\.txt cannot be opened: No such file"):
        find_inputs(str(tmp_path / "link.txt"))
    with pytest.raises(ConfigError, match="holds a null byte"):
        find_inputs("a\0b")


def test_the_same_part_twice_is_one_input_and_another_label_is_said(tmp_path: Path):
    """However its times are written."""
    (tmp_path / "list.csv").write_text("path,start_s,end_s,label\na.mp4,1,2,x\na.mp4,1.0,2.000,x\n./a.mp4,1e0,2,y\n")
    found = find_inputs(str(tmp_path / "list.csv"))
    assert [video.span for video in found.videos] == ["1-2"]
    assert found.ignored == {"repeated lines": 1}
    [(where, why)] = found.refused
    assert where.endswith("list.csv, line 4")
    assert why == "it names the same part of the same file as line 2, whose label 'x' is kept"


@pytest.mark.parametrize(
    ("start", "end", "span"),
    [
        ("1234.561", "1240.561", "1234.561-1240.561"),
        ("0.00001", "4", "0.00001-4"),
        ("1e6", "1000004", "1000000-1000004"),
        ("0", "", ""),
        ("0.0000001", "", ""),
        ("0.1", "", "0.1-"),
        ("999999999.999999", "1e9", "999999999.999999-1000000000"),
        ("0", "100", "0-100"),
    ],
)
def test_spans_are_exact_to_the_microsecond(tmp_path: Path, start: str, end: str, span: str):
    (tmp_path / "list.csv").write_text(f"path,start_s,end_s\na.mp4,{start},{end}\n")
    [video] = find_inputs(str(tmp_path / "list.csv")).videos
    assert video.span == span
    assert video.start_s == pytest.approx(float(start), abs=1e-6)


@pytest.mark.parametrize("text", ["1e10", "1e999999999", "0x10", "--1", "1,5"])
def test_other_numbers_are_refused(tmp_path: Path, text: str):
    (tmp_path / "list.csv").write_text(f'path,start_s\na.mp4,"{text}"\n')
    [(_, why)] = find_inputs(str(tmp_path / "list.csv")).refused
    assert "expected start_s in seconds, from 0 to 1000000000" in why
