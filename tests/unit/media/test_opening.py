"""Why a file cannot be opened: one table, whoever asks."""

import os
from pathlib import Path

import pytest

from v2a.media.opening import OpenFile
from v2a.media.reading import Limits, MediaError
from v2a.prepare.config import Config
from v2a.prepare.content import content_hash
from v2a.prepare.done import Done
from v2a.prepare.inputs import Input
from v2a.prepare.plan import make_plan


def _folder(path: Path) -> str:
    path.mkdir()
    return str(path)


def _circle(path: Path) -> str:
    path.symlink_to(path)
    return str(path)


def _pipe(path: Path) -> str:
    os.mkfifo(path)
    return str(path)


def _empty(path: Path) -> str:
    path.touch()
    return str(path)


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (str, "missing", "there is no such file, or it is a link that leads nowhere"),
        (lambda path: f"{path}\0", "missing", "its name holds a null byte"),
        (lambda path: f"{_empty(path)}/below", "missing", "a part of its path is not a folder"),
        (lambda path: f"{path}/{'x' * 300}", "missing", "no such file"),
        (lambda path: str(path.parent / ("x" * 300)), "missing", "longer than the file system allows"),
        (_circle, "missing", "a link that leads in a circle"),
        (_folder, "not-a-file", "is a folder"),
        (_pipe, "not-a-file", "is a pipe"),
        (_empty, "empty", "is empty"),
    ],
)
def test_the_reader_the_hash_and_the_plan_say_the_same(make, kind: str, words: str, tmp_path: Path):
    path = make(tmp_path / "it")
    said = []
    for ask in (lambda: OpenFile(path, Limits()), lambda: content_hash(path, Limits())):
        with pytest.raises(MediaError) as caught:
            ask()
        said.append((caught.value.kind, str(caught.value)))
    [failure] = make_plan([Input(path)], Done(), (), Config()).failures
    assert {*said, (failure.kind, failure.reason)} == {said[0]}
    assert said[0][0] == kind
    assert words in said[0][1]
