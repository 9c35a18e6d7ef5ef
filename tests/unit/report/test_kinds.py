"""What a folder is, and sentences where it is nothing."""

import json
from pathlib import Path

import pytest

from v2a.report.errors import ReportError
from v2a.report.kinds import find_kind


@pytest.mark.parametrize(
    ("name", "kind"), [("ev", "evaluation"), ("fw", "audio"), ("s1 <i>", "vqvae"), ("sounds", "inference")]
)
def test_the_kind_is_found_by_what_is_in_the_folder(world: Path, name: str, kind: str):
    assert find_kind(world / name) == kind


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        (None, "", "holds no run; expected the folder of `python -m v2a.evaluate`"),
        ("metrics.json", "{", "cannot be read"),
        ("metrics.json", "[]", "holds no object"),
        ("metrics.json", '{"format": "other"}', "is not of an evaluation"),
        ("evaluation.json", "{}", "not all clips are measured"),
        ("stage.json", '{"stage": "selftest"}', "run of stage 'selftest'"),
    ],
)
def test_another_folder_is_refused_with_what_is_wrong(tmp_path: Path, file: str | None, content: str, said: str):
    if file:
        (tmp_path / file).write_text(content)
    with pytest.raises(ReportError, match=r"\w") as error:
        find_kind(tmp_path)
    assert said in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_a_missing_folder_and_a_file_are_told_apart(tmp_path: Path):
    (tmp_path / "file").touch()
    for name, said in (("gone", "is not there"), ("file", "is a file")):
        with pytest.raises(ReportError, match=said):
            find_kind(tmp_path / name)


def test_the_command_line_says_it_and_writes_nothing(tmp_path: Path, report):
    (tmp_path / "stage.json").write_text(json.dumps({"stage": "prepare"}))
    status, _, error = report(tmp_path, "--out", tmp_path / "x.html")
    assert status == 1
    assert error.startswith("report: ")
    assert not (tmp_path / "x.html").exists()
