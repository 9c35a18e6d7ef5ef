"""Decoding with PyAV: packets of one stream to slots of a clip, or to samples on the sound's line."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import av.error
import av.filter
import numpy as np
import numpy.typing as npt
from av.video.reformatter import Interpolation, VideoReformatter

from v2a.media.assemble import Assembler
from v2a.media.damage import Damage
from v2a.media.fit import Placement
from v2a.media.sound import SoundLine
from v2a.media.timeline import BestStamp, PictureClock


def decode(stream: Any, packet: Any, damage: Damage, at_s: float) -> list[Any]:
    """Frames of a packet (None: what the decoder still holds); none when it is damaged, which is counted."""
    try:
        frames: list[Any] = stream.codec_context.decode(packet)
    except av.error.EOFError:  # the decoder has been drained already
        return []
    except av.error.FFmpegError as error:
        damage.note(at_s, error.strerror or str(error))
        return []
    return frames


class PictureDecoder:
    """Frames of the picture stream into the slots that show them; only those are converted."""

    def __init__(self, stream: Any, clock: PictureClock, assembler: Assembler, usual_s: Fraction, threads: int) -> None:
        self.damage = Damage()
        self.clock = clock
        self._stream = stream
        self._assembler = assembler
        self._usual_s = usual_s
        self._threads = threads
        self._reformatter = VideoReformatter()
        self._guess = BestStamp()
        self._skipping = False
        self._hidden: set[int] = set()  # time stamps of pictures that are never seen and did not come out so far
        self._held: Any = None
        self._placement: Placement | None = None
        self._unmarking: tuple[tuple[int, int, str], av.filter.Graph] | None = None

    def place(self, placement: Placement) -> None:
        """How pictures are scaled, known once the first one was decoded."""
        self._placement = placement

    def decode(self, packet: Any, hidden: bool = False) -> list[Any]:
        """Frames of a packet, or what is left for None; a hidden one is decoded only if other pictures need it."""
        if hidden != self._skipping:
            self._stream.codec_context.skip_frame = "NONREF" if hidden else "DEFAULT"
            self._skipping = hidden
        if hidden:
            self._hidden.add(packet.pts)
            self.clock.unseen += 1
        return decode(self._stream, packet, self.damage, self.clock.last_s)

    def use(self, stream: Any) -> None:
        """Go on with the same stream of another demuxer."""
        self._stream = stream

    def show(self, frame: Any) -> None:
        """The next frame: it settles in how many slots the frame before it is shown."""
        if frame.pts in self._hidden:
            self._hidden.remove(frame.pts)
            self.clock.unseen -= 1
        count = self.clock.frame(self._stamp(frame))
        if self.clock.ended_by_gap:
            return
        self._fill(count)
        self._held = frame

    def end(self) -> None:
        """The last frame is shown for its own time."""
        self._fill(self.clock.end(self._held.duration if self._held is not None else None, self._usual_s))
        self._held = None

    def _stamp(self, frame: Any) -> int:
        stamp = self._guess.best(frame.pts, frame.dts)
        return self.clock.follows(frame.duration, self._usual_s) if stamp is None else stamp

    def _fill(self, count: int) -> None:
        if count == 0 or self._held is None or not self._assembler.wants_picture:
            return
        assert self._placement is not None
        scaled = self._scaled(self._held, self._placement)
        slot = self._assembler.slot()
        if self._placement.plain:
            slot[:] = scaled
        else:
            self._placement.put(scaled, slot)
        self._assembler.filled()
        self._assembler.hold(count - 1)

    def _scaled(self, frame: Any, placement: Placement) -> npt.NDArray[np.uint8]:
        """uint8 `[scaled_height, scaled_width, 3]`, a view into PyAV's own memory."""
        width, height = placement.scaled_width, placement.scaled_height
        if frame.interlaced_frame:
            frame = self._whole(frame)
        made = self._reformatter.reformat(
            frame,
            width,
            height,
            "rgb24",
            interpolation=Interpolation[placement.filter_name.upper()],
            threads=self._threads,
        )
        plane = made.planes[0]
        rows: npt.NDArray[np.uint8] = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        picture: npt.NDArray[np.uint8] = rows[:height, : width * 3].reshape(height, width, 3)
        return picture

    def _whole(self, frame: Any) -> Any:
        """The same picture without its mark as interlaced: FFmpeg 8's scaler keeps fields apart, which shows as a comb."""
        shape = (frame.width, frame.height, frame.format.name)
        if self._unmarking is None or self._unmarking[0] != shape:
            graph = av.filter.Graph()
            source = graph.add_buffer(width=shape[0], height=shape[1], format=frame.format, time_base=frame.time_base)
            graph.link_nodes(source, graph.add("setfield", "mode=prog"), graph.add("buffersink")).configure()
            self._unmarking = (shape, graph)
        self._unmarking[1].push(frame)
        return self._unmarking[1].pull()


class SoundDecoder:
    """Frames of the sound stream onto the sound's line: mono, 16 bit, at the clip's rate."""

    def __init__(self, stream: Any, line: SoundLine, rate: int) -> None:
        self.damage = Damage()
        self._stream = stream
        self._line = line
        self._rate = rate
        self._resampler: Any = None
        self._tick: Fraction | None = None  # of the resampled frames; _up / _down samples are one tick
        self._up = self._down = 1

    def packet(self, packet: Any, at_s: float) -> None:
        """Decode a packet, or what is left for None."""
        for frame in decode(self._stream, packet, self.damage, at_s):
            self._resample(frame, at_s)

    def end(self, at_s: float) -> None:
        """Drain the decoder and the resampler."""
        self.packet(None, at_s)
        self._flush(at_s)
        self._line.end()

    def _resample(self, frame: Any, at_s: float) -> None:
        try:
            self._put(self._made_resampler().resample(frame))
        except (
            ValueError
        ):  # av's errors are ValueErrors, too: another rate or layout in mid-stream, or one that is unknown
            self._flush(at_s)
            try:
                self._put(self._made_resampler().resample(frame))
            except ValueError as error:
                self.damage.note(at_s, str(error))
                self._resampler = None

    def _made_resampler(self) -> Any:
        if self._resampler is None:
            self._resampler = av.AudioResampler("s16", "mono", self._rate)
        return self._resampler

    def _flush(self, at_s: float) -> None:
        resampler, self._resampler = self._resampler, None
        if resampler is None:
            return
        try:
            self._put(
                [frame for frame in resampler.resample(None) if frame is not None]
            )  # [None] when it passes frames on
        except ValueError as error:
            self.damage.note(at_s, str(error))

    def _put(self, frames: list[Any]) -> None:
        if frames and frames[0].time_base != self._tick:
            self._tick = frames[0].time_base
            self._up, self._down = (self._tick * self._rate).as_integer_ratio()
        for frame in frames:
            start = None if frame.pts is None else (2 * frame.pts * self._up + self._down) // (2 * self._down)
            samples = np.frombuffer(frame.planes[0], np.int16, frame.samples)
            self._line.put(start, samples.copy())
