"""Whatever ends a rank, a person reads a sentence, and never a traceback."""

from pathlib import Path

import pytest

from hpc import worker
from hpc.outcome import Stopped
from hpc.record import described, read_json
from v2a.training.loop import RanksDiffer

COMMAND = ["--run-dir", "runs/try", "stage=selftest"]


class HorovodInternalError(RuntimeError):
    """Its name is what tells it."""


def _raises(error: BaseException):
    def run(*_: object) -> None:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (ValueError("expected 2"), 1, "worker: expected 2\n"),
        (OSError(28, "No space left on device"), 1, "worker: [Errno 28] No space left on device\n"),
        (RanksDiffer("at step 3"), 1, "worker: at step 3\n"),
        (ImportError("Horovod is not built"), 1, "worker: Horovod is not built\n"),
        (FloatingPointError("not finite"), 1, "worker: not finite\n"),
        (Stopped("asked to stop"), 75, "worker: asked to stop\n"),
        (KeyboardInterrupt(), 130, "worker: interrupted; the same command goes on from the last checkpoint\n"),
    ],
)
def test_it_ends_in_a_sentence(
    error: BaseException,
    status: int,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr(worker, "run", _raises(error))
    assert worker.main(COMMAND) == status
    assert capsys.readouterr().err == sentence


def test_a_rank_that_falls_with_another_points_to_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(worker, "run", _raises(HorovodInternalError("Connection closed\nby peer")))
    assert worker.main(COMMAND) == 1
    said = capsys.readouterr().err
    assert said.startswith("worker: another rank ended, and this one with it; the other's words say why (Connection")
    assert said.count("\n") == 1


def test_an_error_of_nobodys_says_where_it_is_from(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(worker, "run", _raises(RuntimeError("shape mismatch")))
    assert worker.main(COMMAND) == 1
    here = Path(__file__).relative_to(Path(worker.__file__).parents[1])
    assert f"worker: shape mismatch ({here}, line " in capsys.readouterr().err


@pytest.mark.parametrize("place", ["a file", "a file/run"])
def test_a_run_folder_that_is_a_file(place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "a file").write_text("mine")
    assert worker.main(["--run-dir", str(tmp_path / place), "stage=selftest"]) == 1
    said = capsys.readouterr().err
    assert "is a file; name another folder" in said
    assert (tmp_path / "a file").read_text() == "mine"


def test_a_run_that_is_refused_leaves_the_description_of_the_one_before(tmp_path: Path):
    with described(tmp_path, "vqvae", ["crop=20"], 2, rank=0):
        pass
    with pytest.raises(ValueError, match="another run's"), described(tmp_path, "audio", [], 1, rank=0):
        raise ValueError("another run's")
    assert read_json(tmp_path / "config.json") == {"stage": "vqvae", "overrides": ["crop=20"], "world_size": 2}
