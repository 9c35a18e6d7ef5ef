"""Videos through the ffmpeg program: one process and one demuxer for picture and sound."""

from __future__ import annotations

import contextlib
import dataclasses
import select
import time
from collections.abc import Iterator
from fractions import Fraction
from types import TracebackType

from v2a.media.assemble import Assembler
from v2a.media.budget import Budget
from v2a.media.damage import Damage
from v2a.media.ffmpeg_command import Plan
from v2a.media.ffmpeg_process import FfmpegProcess, Pipe
from v2a.media.ffmpeg_streams import PictureFeed, SoundFeed
from v2a.media.finish import Outcome, finish
from v2a.media.fit import place
from v2a.media.look import Look, look
from v2a.media.opening import OpenFile
from v2a.media.reading import MediaError, Request, Segment
from v2a.media.span import SOUND_LAG_S, Span
from v2a.media.timeline import PictureClock, begin_ticks

_POLL_S = 1.0
_PAUSE_S = 0.004  # at most two or three frames of the nine that a pipe holds


class FfmpegReader:
    """The ffmpeg program, through ffmpeg-python."""

    name = "ffmpeg"

    def open(self, request: Request) -> FfmpegReading:
        """See `v2a.media.reading.Reader`."""
        return FfmpegReading(request)


class _Attempt:
    """All that one run of ffmpeg over the video has and that a second one starts anew."""

    def __init__(self, request: Request, span: Span, source: str, seen: Look) -> None:
        rates = request.geometry
        seek_to = span.seek_to(seen.format, seen.first, seen.tick)
        begin = begin_ticks(span.start_s, seen.tick)
        known_first = seen.first if seek_to is not None else None
        self.clock = PictureClock(rates.fps, seen.tick, request.limits.gap_s, begin, known_first)
        self.assembler = Assembler(rates, span.start_s, span.limit)
        placement = place(request.fit, seen.size, seen.pixel_aspect, seen.rotation, (rates.width, rates.height))
        self.plan = Plan(source, request, seen, placement, begin, seek_to)
        self.picture = PictureFeed(self.assembler, self.clock, placement)
        self.sound = SoundFeed(self.assembler.sound)
        self.picture_damage, self.sound_damage = Damage(), Damage()
        if seen.audio is None:
            self.assembler.sound.end()


class FfmpegReading:
    """A video being read; see `v2a.media.reading.Reading`."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._span = Span.of(request)
        self._closing = contextlib.ExitStack()
        try:
            self._file = self._closing.enter_context(OpenFile(request.path, request.limits))
            self._look, self.facts = look(self._file, request.limits)
            if not request.sound:
                self._look, self.facts.audio_codec = dataclasses.replace(self._look, audio=None), ""
        except BaseException:
            self._closing.close()
            raise
        self._budget = Budget(request.limits)
        self._processes: list[FfmpegProcess] = []
        self._quiet = True

    def __enter__(self) -> FfmpegReading:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        self._closing.close()

    def __iter__(self) -> Iterator[Segment]:
        self._budget.resume()
        try:
            self._begin()
            while not self._over():
                self._budget.check()
                self._pump()
                if not self._began_anew():
                    yield from self._give(self._now.assembler.ready())
            cut = self._end()
            yield from self._give(self._now.assembler.rest())
        finally:
            self._stop()
        now = self._now
        if self.facts.audio_codec and self._look.audio is None:
            self.facts.notes.append("its sound could not be decoded at all")
        finish(self.facts, Outcome(now.assembler, now.clock, now.picture_damage, now.sound_damage, cut))

    def _begin(self) -> None:
        """Start ffmpeg; nothing has been read."""
        self._now = _Attempt(self._request, self._span, self._file.path, self._look)
        self._separate: FfmpegProcess | None = None
        self._main = self._process(picture=True, sound=self._look.audio is not None)

    def _process(self, picture: bool, sound: bool, plan: Plan | None = None) -> FfmpegProcess:
        process = FfmpegProcess((plan or self._now.plan).command, self._file.fd, picture, sound)
        self._processes.append(process)
        return process

    def _stop(self) -> None:
        for process in self._processes:
            process.close()
        self._processes.clear()

    def _give(self, segments: Iterator[Segment]) -> Iterator[Segment]:
        for segment in segments:
            self._budget.pause()
            yield segment
            self._budget.resume()

    def _over(self) -> bool:
        """Whether nothing more is needed, or nothing more will come."""
        now = self._now
        if now.clock.ended_by_gap or now.picture.held_too_long:
            return now.picture.tail > 0 and not (self._separate and now.assembler.lacks_sound)
        if now.assembler.complete:
            return True
        sound_comes = self._separate is not None and now.assembler.lacks_sound
        return all(pipe.ended for pipe in self._pipes(self._main)) and not sound_comes

    def _pump(self) -> None:
        """Wait for a pipe and take in what came."""
        now, main, separate = self._now, self._main, self._separate
        waiting = [pipe for pipe in self._pipes(main) if not pipe.ended]
        if now.assembler.skewed and main.picture in waiting:
            waiting.remove(main.picture)
        if separate is not None:
            waiting += [pipe for pipe in self._pipes(separate) if not pipe.ended]
            if not now.assembler.lacks_sound and separate.sound in waiting:
                waiting.remove(separate.sound)
        if self._quiet:  # nothing came at the last look: wait for the first byte
            self._wait(waiting)
        else:  # ffmpeg writes in small parts; woken by each of them we would cost it a tenth of its time
            time.sleep(_PAUSE_S if main.picture is not None and main.picture.roomy else 0)
        assert main.picture is not None
        came = not main.picture.ended and now.picture.read(main, main.picture)
        if came:
            self._budget.progress()
        self._quiet = not came
        self._take_sound(separate or main)
        main.hear()
        now.clock.note(main.log.frames)
        if separate is not None and main.sound is not None:
            now.sound.drain(main.sound)
            main.log.pieces.clear()
        self._note_damage(main)
        if now.clock.frames and not now.assembler.sound.begun:
            now.assembler.sound.begin(round(now.clock.zero_s * self._request.geometry.sample_rate))
        if main.sound is not None and separate is None and self._must_separate():
            self._separate_sound()

    def _wait(self, pipes: list[Pipe]) -> None:
        poll = select.poll()
        for pipe in pipes:
            poll.register(pipe.fd, select.POLLIN)
        poll.poll(1000 * min(_POLL_S, self._budget.left()) + 1)

    def _take_sound(self, process: FfmpegProcess) -> None:
        now = self._now
        if process.sound is None:
            return
        if not process.sound.ended:
            now.sound.read(process.sound)
        process.hear()
        now.sound.sort(process.log.pieces)
        if process.sound.ended and process.errors.ended:
            now.assembler.sound.end()
        if process is not self._main:
            self._note_damage(process)

    def _separate_sound(self) -> None:
        """Read the sound with a process of its own, from its beginning; the main one's is thrown away from now on."""
        self._now.assembler.sound.start_over()
        self._now.sound = SoundFeed(self._now.assembler.sound)
        whole = dataclasses.replace(self._now.plan, seek_to=None, keep_times=self._now.plan.seek_to is not None)
        self._separate = self._process(picture=False, sound=True, plan=whole)

    def _must_separate(self) -> bool:
        """Whether the sound must be read by a process of its own: it lies far from its picture in the file."""
        now = self._now
        jumped = now.plan.seek_to is not None
        missed = jumped and now.assembler.sound.begins_late  # perhaps before the place that the jump led to
        return missed or now.assembler.skewed or self._lags()

    def _lags(self) -> bool:
        """Whether the picture is complete and the file goes on without the sound that belongs to it."""
        now = self._now
        return not now.assembler.wants_picture and (
            now.clock.last_s - now.assembler.slots / self._request.geometry.fps > SOUND_LAG_S
        )

    def _began_anew(self) -> bool:
        """Start again when the jump went too far, when ffmpeg counts time otherwise, or when it cannot decode the sound."""
        now, main = self._now, self._main
        if now.assembler.slots:
            return False
        missed = now.plan.seek_to is not None and now.clock.landed_late
        ended = all(pipe.ended for pipe in self._pipes(main))
        other_tick = main.log.tick is not None and main.log.tick != now.plan.look.tick
        deaf = ended and now.clock.frames == 0 and self._look.audio is not None and not now.picture_damage.errors
        if not (missed or other_tick or deaf):
            return False
        if deaf:
            self._look = dataclasses.replace(self._look, audio=None)
        else:  # without the first frame's time stamp there is no jump
            self._look = dataclasses.replace(self._look, tick=main.log.tick or now.plan.look.tick, first=None)
        self._stop()
        self._begin()
        return True

    def _end(self) -> str:
        """Fill the last picture's slots; why the file was not read to its end, "" when it was."""
        now = self._now
        if now.clock.ended_by_gap or now.picture.held_too_long:
            usual_s = self._look.usual_s or Fraction(1, self._request.geometry.fps)
            now.clock.end(None, usual_s)
            now.picture.hold_last(now.clock.slots)
            return ""
        if now.assembler.complete:
            return ""
        status = self._main.wait()
        if status < 0:
            raise MediaError("crashed", f"ffmpeg was ended by signal {-status} after {now.clock.last_s:.1f} s of it")
        now.picture.hold_last(now.assembler.slots + now.picture.tail)
        said = self._main.log.words[-1] if self._main.log.words else ""
        if now.clock.frames == 0 and now.picture_damage.errors == 0:
            return said
        return f"ffmpeg ended with status {status}: {said}" if status else ""

    def _note_damage(self, process: FfmpegProcess) -> None:
        for stream, said in process.log.lost:
            damage = self._now.picture_damage if stream == self._look.video else self._now.sound_damage
            damage.note(self._now.clock.last_s, said)
        process.log.lost.clear()

    @staticmethod
    def _pipes(process: FfmpegProcess) -> list[Pipe]:
        return [pipe for pipe in (process.picture, process.sound, process.errors) if pipe is not None]
