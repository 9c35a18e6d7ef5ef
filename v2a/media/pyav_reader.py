"""Videos through PyAV: libav's own decoders in this process, no program to start."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from types import TracebackType
from typing import Any

import av.error

from v2a.media.assemble import Assembler
from v2a.media.budget import Budget
from v2a.media.continuity import Continuity
from v2a.media.damage import Damage
from v2a.media.finish import Outcome, finish
from v2a.media.fit import place
from v2a.media.foresight import Foresight
from v2a.media.look import choose_streams, describe, open_container, prepare_decoder, rotation_of, usual_duration
from v2a.media.opening import OpenFile
from v2a.media.pyav_decode import PictureDecoder, SoundDecoder, decode
from v2a.media.reading import MediaError, Request, Segment
from v2a.media.span import SOUND_LAG_S, Span
from v2a.media.timeline import PictureClock, begin_ticks


class PyavReader:
    """PyAV, one demuxer for picture and sound."""

    name = "pyav"

    def open(self, request: Request) -> PyavReading:
        """See `v2a.media.reading.Reader`."""
        return PyavReading(request)


class _Input:
    """One demuxer of the file: a container, its two streams, and its corrected packets."""

    def __init__(self, file: OpenFile, request: Request) -> None:
        self.container = open_container(file, request.limits)
        try:
            self.video, audio = choose_streams(self.container, request.limits)
            self.audio = audio if request.sound else None
            for stream in (self.video, self.audio):
                if stream is not None:
                    prepare_decoder(stream, request.threads, request.limits.pixels)
        except BaseException:
            self.container.close()
            raise

    def packets(self, *streams: Any) -> Iterator[Any]:
        """Packets of these streams in the file's order, without the empty ones at the end."""
        continuity = Continuity(self.container.format.flags)
        for packet in self.container.demux([stream for stream in streams if stream is not None]):
            if packet.size:
                continuity.correct(packet)
                yield packet


class PyavReading:
    """A video being read; see `v2a.media.reading.Reading`."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._span = Span.of(request)
        self._closing = contextlib.ExitStack()
        try:
            self._file = self._closing.enter_context(OpenFile(request.path, request.limits))
            self._input = self._new_input()
        except BaseException:
            self._closing.close()
            raise
        self.facts = describe(self._input.video, self._input.audio)
        self._budget = Budget(request.limits)
        self._assembler = Assembler(request.geometry, self._span.start_s, self._span.limit)
        self._separate: Iterator[None] | None = None  # steps of a demuxer for the sound alone
        self._jumped = False
        self._cut = ""  # why reading ended before the end of the file
        video = self._input.video
        tick = Fraction(video.time_base or 1)
        self._usual_s = usual_duration(video) or Fraction(1, request.geometry.fps)
        clock = PictureClock(request.geometry.fps, tick, request.limits.gap_s, begin_ticks(self._span.start_s, tick))
        self._picture = PictureDecoder(video, clock, self._assembler, self._usual_s, request.threads)
        self._sound = self._new_sound(self._input)
        self._foresight = Foresight(self.facts.video_codec, self._input.container.format.name, clock)

    def __enter__(self) -> PyavReading:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def __iter__(self) -> Iterator[Segment]:
        self._budget.resume()
        self._seek()
        for _ in self._steps():
            self._budget.check()
            yield from self._give(self._assembler.ready())
            if self._picture.clock.ended_by_gap or self._assembler.complete:
                break
        if not self._picture.clock.ended_by_gap and self._assembler.wants_picture:
            for packet, hidden in self._foresight.rest():
                self._show(self._picture.decode(packet, hidden))
            self._show(self._picture.decode(None))
        self._picture.end()
        if self._sound is not None and self._separate is None and not self._assembler.complete:
            self._sound.end(self._now())
            if self._jumped and self._assembler.sound.begins_late:
                self._separate = self._separate_sound()
        while self._separate is not None and self._assembler.lacks_sound and next(self._separate, self) is None:
            self._budget.check()
        yield from self._give(self._assembler.rest())
        self._measure()
        lost = self._sound.damage if self._sound is not None else None
        finish(self.facts, Outcome(self._assembler, self._picture.clock, self._picture.damage, lost, self._cut))

    def _measure(self) -> None:
        clock, frames = self._picture.clock, self._assembler.slots
        self.facts.first_s = float(clock.zero_s)
        self.facts.length_s = frames / self._request.geometry.fps
        if clock.ends_s is not None:
            self.facts.length_s = min(self.facts.length_s, max(0.0, float(clock.ends_s)))

    def _give(self, segments: Iterator[Segment]) -> Iterator[Segment]:
        for segment in segments:
            self._budget.pause()
            yield segment
            self._budget.resume()

    def _steps(self) -> Iterator[None]:
        """Work through the file; a step is a packet."""
        try:
            for packet in self._input.packets(self._input.video, self._input.audio):
                if packet.stream is self._input.video:
                    self._see(packet)
                elif self._separate is None and self._sound is not None:
                    self._sound.packet(packet, self._now())
                if self._separate is None and self._sound is not None and self._must_separate(packet):
                    self._separate = self._separate_sound()
                while self._separate is not None and self._assembler.skewed and next(self._separate, self) is None:
                    yield None
                yield None
        except av.error.ExitError:
            raise MediaError(
                "too-slow", f"the file could not be read within {self._request.limits.stall_s:g} s"
            ) from None
        except av.error.FFmpegError as error:
            self._cut = f"the file could not be read beyond {self._now():.1f} s: {error.strerror}"

    def _see(self, packet: Any) -> None:
        if not self._assembler.wants_picture:
            return
        for ready, hidden in self._foresight.give(packet):
            self._show(self._picture.decode(ready, hidden))
            self._foresight.active = self._foresight.active and self._picture.damage.errors == 0

    def _show(self, frames: list[Any]) -> None:
        for frame in frames:
            if self._picture.clock.frames == 0:
                self._start(frame)
            self._picture.show(frame)
            if not self._assembler.sound.begun:
                self._assembler.sound.begin(round(self._picture.clock.zero_s * self._request.geometry.sample_rate))
            self._budget.progress()
            if self._picture.clock.ended_by_gap:
                return

    def _start(self, frame: Any) -> None:
        facts, size = self.facts, self._request.geometry
        facts.width, facts.height, facts.rotation = frame.width, frame.height, rotation_of(frame)
        aspect = self._input.video.sample_aspect_ratio
        stored = (frame.width, frame.height)
        clip = (size.width, size.height)
        self._picture.place(place(self._request.fit, stored, aspect, facts.rotation, clip))

    def _seek(self) -> None:
        """Jump to a key frame before the request when the container has an index; else decode from the beginning."""
        clock, video = self._picture.clock, self._input.video
        if self._span.start_s == 0:
            return
        first = self._first_stamp(self._input)
        self._input = self._new_input()  # the look left this demuxer somewhere behind the beginning
        target = self._span.seek_to(self._input.container.format.name, first, clock.tick)
        if target is not None and first is not None:
            video = self._input.video
            try:
                self._input.container.seek(target, stream=video)
                landed = self._first_stamp(self._input)
                if landed is not None and landed <= first + clock.begin:
                    clock.known_first = first
                    self._input.container.seek(target, stream=video)
                else:
                    self._input = self._new_input()
            except av.error.FFmpegError:
                self._input = self._new_input()
        self._jumped = clock.known_first is not None
        self._picture.use(self._input.video)
        self._sound = self._new_sound(self._input)

    def _first_stamp(self, source: _Input) -> int | None:
        try:
            for packet in source.packets(source.video):
                self._budget.check()
                for frame in decode(source.video, packet, Damage(), 0.0):
                    return int(frame.pts) if frame.pts is not None else None
        except av.error.FFmpegError:
            return None
        return None

    def _separate_sound(self) -> Iterator[None]:
        """Read the sound with a demuxer of its own, from its beginning; a step is a packet."""
        source = self._new_input()
        self._assembler.sound.start_over()
        sound = self._new_sound(source)
        assert sound is not None
        self._sound = sound
        try:
            for packet in source.packets(source.audio):
                sound.packet(packet, self._now())
                yield None
        except av.error.FFmpegError as error:
            sound.damage.note(self._now(), error.strerror or str(error))
        sound.end(self._now())

    def _must_separate(self, packet: Any) -> bool:
        """Whether the sound must be read by a demuxer of its own: it lies far from its picture in the file."""
        missed = self._jumped and self._assembler.sound.begins_late  # perhaps before the place that the jump led to
        return missed or self._assembler.skewed or self._lags(packet)

    def _lags(self, packet: Any) -> bool:
        """Whether the picture is complete and the file goes on without the sound that belongs to it."""
        if self._assembler.wants_picture or packet.stream is not self._input.video or packet.dts is None:
            return False
        clock = self._picture.clock
        return float(packet.dts * clock.tick - clock.zero_s - clock.last_s) > SOUND_LAG_S

    def _now(self) -> float:
        return self._picture.clock.last_s

    def _new_input(self) -> _Input:
        source = _Input(self._file, self._request)
        self._closing.callback(source.container.close)
        return source

    def _new_sound(self, source: _Input) -> SoundDecoder | None:
        if source.audio is None:
            self._assembler.sound.end()
            return None
        return SoundDecoder(source.audio, self._assembler.sound, self._request.geometry.sample_rate)
