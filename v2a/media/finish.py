"""The end of a reading, the same for every reader: facts, notes, and whether it counts as a video at all."""

from __future__ import annotations

from dataclasses import dataclass

from v2a.media import reasons
from v2a.media.assemble import Assembler
from v2a.media.damage import Damage
from v2a.media.reading import Facts
from v2a.media.timeline import PictureClock


@dataclass
class Outcome:
    """What a reading came to.

    Attributes:
        assembler: holds the count of slots.
        clock: holds the count of frames.
        picture, sound: what could not be decoded; `sound` is None without a sound stream.
        cut: a sentence when the file ended early; "" otherwise.
    """

    assembler: Assembler
    clock: PictureClock
    picture: Damage
    sound: Damage | None
    cut: str


def finish(facts: Facts, came: Outcome) -> None:
    """Complete the facts after the last segment.

    Raises:
        MediaError: there was no picture, most of it is damaged, or the request starts after its end.
    """
    picture, sound, clock, assembler = came.picture, came.sound, came.clock, came.assembler
    facts.source_frames = clock.frames + clock.unseen
    facts.seconds = assembler.slots / assembler.geometry.fps
    facts.ended_by_gap = clock.ended_by_gap
    facts.has_audio = assembler.sound.decoded > 0
    if picture.errors:
        facts.notes.append(reasons.damage_note(picture.errors, picture.first_s, "picture"))
    if sound is not None and sound.errors:
        facts.notes.append(reasons.damage_note(sound.errors, sound.first_s, "sound"))
    facts.notes += [note for note in (clock.gap_note, came.cut) if note]
    if clock.frames == 0:
        raise reasons.no_frame(picture.errors, picture.said or came.cut, facts.video_codec)
    if picture.errors > clock.frames:
        raise reasons.mostly_damaged(picture.errors, clock.frames)
    if assembler.slots == 0:
        raise reasons.starts_too_late(assembler.start_s, assembler.start_s + clock.last_s)
