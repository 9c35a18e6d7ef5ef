"""Clips as what the page plays: for each sound a small video and a spectrogram, as data: addresses."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from v2a.report.encode import EncodeError, Quality, add_sound, encode_picture
from v2a.report.section import Clip
from v2a.report.spectrogram import Axis, axis_of, draw, hear, loudest_db, silent


@dataclass(frozen=True)
class Track:
    """A sound to choose.

    Attributes:
        name, text: see `v2a.report.section.Sound`.
        video: its MP4 as a data: address; "" for silence.
        scope: its spectrogram, the same way.
        truth: it is the true sound.
    """

    name: str
    text: str
    video: str
    scope: str
    truth: bool


@dataclass(frozen=True)
class Film:
    """A clip to play.

    Attributes:
        title, seconds: see `Clip`.
        tracks: the first is heard at first.
        truth: spectrogram of the true sound; "" where nobody knows it.
        axis: of the spectrograms.
    """

    title: str
    seconds: float
    tracks: tuple[Track, ...]
    truth: str
    axis: Axis

    @property
    def bytes(self) -> int:
        """On the page."""
        return len(self.truth) + sum(
            len(track.video) + len(track.scope) + len(track.text) + 600 for track in self.tracks
        )


def choose(clips: Sequence[Clip], most: int) -> tuple[list[Clip], list[str]]:
    """At most so many clips, evenly through those whose video is still there; and a sentence for each that is gone."""
    there = [clip for clip in clips if clip.source.is_file()]
    gone = [
        f"{clip.title}: left out, its video is not at {clip.source} any more; put it back and make the page again"
        for clip in clips if not clip.source.is_file()
    ]  # fmt: skip
    count = min(most, len(there))
    return [there[place * len(there) // count] for place in range(count)], gone


def make_films(clips: Sequence[Clip], quality: Quality, tick: Callable[[], None]) -> tuple[list[Film], list[str]]:
    """Encode them; and a sentence for each that cannot be.

    Args:
        clips: in their order.
        quality: of the pictures.
        tick: called after each.

    Raises:
        ReportError: there is no ffmpeg.
    """
    films, notes = [], []
    with tempfile.TemporaryDirectory(prefix="v2a-report-") as folder:
        for clip in clips:
            try:
                films.append(make_film(clip, quality, Path(folder)))
            except EncodeError as error:
                notes.append(f"{clip.title}: left out, {error}")
            tick()
    return films, notes


def make_film(clip: Clip, quality: Quality, folder: Path) -> Film:
    """A clip with all its sounds.

    Args:
        clip: its first sound has a file.
        quality: of the picture.
        folder: for files on the way.

    Raises:
        EncodeError: its video or a sound cannot be read.
        ReportError: there is no ffmpeg.
    """
    picture, muxed = folder / "picture.mp4", folder / "film.mp4"
    encode_picture(clip.source, clip.start_s, clip.seconds, quality, picture)
    first = clip.sounds[0].path
    assert first is not None, "a film has sound"
    reference = hear(clip.truth or first, clip.seconds)
    top = loudest_db(reference)
    tracks = []
    for sound in clip.sounds:
        video, heard = "", silent(reference)
        if sound.path is not None:
            heard = hear(sound.path, clip.seconds)
            add_sound(picture, sound.path, clip.seconds, muxed)
            video = address("video/mp4", muxed.read_bytes())
        scope = address("image/png", draw(heard, top))
        tracks.append(
            Track(sound.name, sound.text, video, scope, truth=sound.path is not None and sound.path == clip.truth)
        )
    truth = address("image/png", draw(reference, top)) if clip.truth else ""
    return Film(clip.title, clip.seconds, tuple(tracks), truth, axis_of(reference, clip.seconds))


def address(kind: str, content: bytes) -> str:
    """A data: address that holds the content."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
