"""What a run leaves for people: metrics.jsonl, TensorBoard's curves and pictures, a line of progress. Rank 0 only."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from v2a.training.board import Board, encode_gif, encode_png
from v2a.training.task import Pictures, Sounds
from v2a.whole import remove_unfinished, write_whole

_LINE_S = 10.0  # between two lines of progress where there is no terminal


class Recorder:
    """Appends to a run's records; what an earlier run wrote after `step` is taken back, so that curves go on without a fold.

    Args:
        folder: the run's.
        step: the step that this run begins after.
        last: the step it ends at, for the time that is left.
    """

    def __init__(self, folder: Path, step: int, last: int) -> None:
        self._last = last
        folder.mkdir(parents=True, exist_ok=True)
        remove_unfinished(folder)
        self._file = _keep_until(folder / "metrics.jsonl", step).open("a")
        self._events = folder / "tensorboard"
        self._board = _board(self._events, step)
        self._pictures, self._sounds = folder / "pictures", folder / "sounds"
        self._begun, self._first = time.monotonic(), step
        self._shown = 0.0

    def record(self, step: int, metrics: Mapping[str, float]) -> None:
        """One line of metrics, one point of every curve.

        Raises:
            OSError: it cannot be written; names the file, and what then.
        """
        with naming(Path(self._file.name)):
            self._file.write(json.dumps({"step": step, **metrics}) + "\n")
            self._file.flush()
        if self._board is not None:
            with naming(self._events):
                for name, value in metrics.items():
                    self._board.add_scalar(name, value, step)

    def progress(self, step: int, metrics: Mapping[str, float]) -> None:
        """A line on the terminal, again and again on the same one; a new one now and then elsewhere."""
        now = time.monotonic()
        live = sys.stdout.isatty()
        if not live and now - self._shown < _LINE_S and step < self._last:
            return
        self._shown = now
        values = "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        seconds = (now - self._begun) * (self._last - step) / max(1, step - self._first)
        text = f"step {step}/{self._last}  {values}  {_clock(seconds)} left"
        print(f"\r\x1b[2K{text}" if live else text, end="" if live and step < self._last else "\n", flush=True)

    def pictures(self, step: int, pictures: Pictures, fps: int) -> None:
        """The newest into the folder `pictures`, all into TensorBoard: uint8 `[H, W, 3]`, and `[T, H, W, 3]` as a moving GIF."""
        for name, encoded in write_pictures(self._pictures, pictures, fps).items():
            if self._board is not None:
                with naming(self._events):
                    self._board.add_encoded(name, encoded, pictures[name].shape[-3:-1], step)

    def sounds(self, step: int, sounds: Sounds, sample_rate: int) -> None:
        """The newest into the folder `sounds`, as WAV; all into TensorBoard."""
        write_sounds(self._sounds, sounds, sample_rate)
        for name, sound in sounds.items():
            if self._board is not None:
                with naming(self._events):
                    self._board.add_sound(name, sound, sample_rate, step)

    def close(self) -> None:
        """End the files."""
        with suppress(OSError):  # what a full disk did not take was said when it was written
            self._file.close()
        try:
            if self._board is not None:
                self._board.close()
        except OSError as error:  # nothing but points of curves, which metrics.jsonl has: no reason for a run to fail
            print(f"{self._events}: the last points of its curves could not be written: {error.strerror}", flush=True)


def write_pictures(folder: Path, pictures: Pictures, fps: int) -> dict[str, bytes]:
    """Each to a file, in place of an older one: uint8 `[H, W, 3]` as PNG, `[T, H, W, 3]` as a moving GIF; and the bytes of each."""
    written = {}
    for name, picture in pictures.items():
        kind, encoded = ("gif", encode_gif(picture, fps)) if picture.ndim == 4 else ("png", encode_png(picture))
        write_whole(folder / f"{name}.{kind}", encoded)
        written[name] = encoded
    return written


def write_sounds(folder: Path, sounds: Sounds, sample_rate: int) -> None:
    """Each as a WAV file, in place of an older one; samples of -1 to 1."""
    import scipy.io.wavfile  # takes a while, and most stages have no sound

    for name, sound in sounds.items():
        folder.mkdir(exist_ok=True)
        samples = (sound.clamp(-1, 1) * 32767).round().to(torch.int16).numpy()
        scipy.io.wavfile.write(folder / f"{name}.wav", sample_rate, samples)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """An error of the disk says which file it was, and that nothing but it is lost."""
    try:
        yield
    except OSError as error:
        why = f"{error.strerror}: {path} could not be written. Make room, and the same command goes on from the last checkpoint"
        raise OSError(error.errno, why) from error


def _keep_until(path: Path, step: int) -> Path:
    """Take back lines of later steps, and what is no record: a last one that was never finished, bytes of a broken disk."""
    kept = []
    for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, KeyError, TypeError):
            continue
    write_whole(path, "".join(line + "\n" for line in kept).encode())
    return path


def _board(folder: Path, step: int) -> Board | None:
    try:
        return Board(folder, step)
    except ImportError:  # curves are a comfort: metrics.jsonl has the numbers
        return None


def _clock(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}"
