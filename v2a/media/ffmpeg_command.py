"""The ffmpeg command of a video, built with ffmpeg-python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ffmpeg

from v2a.media.allowed import input_options
from v2a.media.fit import Placement
from v2a.media.look import Look
from v2a.media.reading import Request


@dataclass(frozen=True)
class Plan:
    """What one ffmpeg process is to do.

    Attributes:
        source: what to open, a name that ffmpeg cannot misread.
        request: rates and threads.
        look: the chosen streams.
        placement: what to scale to.
        begin: ticks of the picture's time stamps from the first frame to slot 0.
        seek_to: time stamp to jump to, ticks; None reads from the beginning.
        keep_times: time stamps stay the container's own, as they do after a jump.
    """

    source: str
    request: Request
    look: Look
    placement: Placement
    begin: int
    seek_to: int | None
    keep_times: bool = False

    def command(self, picture: str | None, sound: str | None) -> list[str]:
        """Arguments, the program's name first.

        Args:
            picture: where raw RGB frames go; None for none.
            sound: where 16-bit mono samples go; None for none.
        """
        source = ffmpeg.input(self.source, **self._input_options())
        outputs = []
        if picture is not None:
            stream = source[str(self.look.video)]
            outputs.append(
                ffmpeg.output(
                    stream, picture, format="rawvideo", pix_fmt="rgb24", avioflags="direct", vf=self._picture_filters()
                )
            )
        if sound is not None:
            stream = source[str(self.look.audio)]
            outputs.append(ffmpeg.output(stream, sound, format="s16le", af=self._sound_filters()))
        merged = ffmpeg.merge_outputs(*outputs).global_args(
            # "repeat": identical lines are not folded; "level": each line says how bad it is.
            "-nostdin", "-hide_banner", "-nostats", "-loglevel", "repeat+level+info",
            "-filter_threads", str(self.request.threads), "-max_error_rate", "1",
        )  # fmt: skip
        command: list[str] = merged.overwrite_output().compile()
        return command

    def _input_options(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            **input_options(self.request.limits.pixels),
            "threads": self.request.threads,
            "noautorotate": None,  # pictures are turned after they are scaled, when they are small
            "reinit_filter:v": 0,  # a change of picture size must not start the count of slots anew; `scale` follows it by itself
            "flags:v": "-output_corrupt",
        }
        if self.seek_to is not None:
            at = float(self.seek_to * self.look.tick)
            options |= {"seek_timestamp": 1, "ss": f"{at:.6f}", "noaccurate_seek": None}
        if self.seek_to is not None or self.keep_times:
            options["copyts"] = None  # slot 0 is counted from where the look found the first frame
        return options

    def _picture_filters(self) -> str:
        """showinfo reports every decoded frame; fps keeps those that are seen, and only they are scaled."""
        place, fps = self.placement, self.request.geometry.fps
        jumped = self.seek_to is not None and self.look.first is not None
        zero = str((self.look.first or 0) + self.begin) if jumped else f"STARTPTS-{self.begin}"
        # Where newer versions put the chroma samples of these codecs; ffmpeg 5's filter has them half a pixel to the right.
        chroma = ":in_h_chr_pos=0:in_v_chr_pos=128" if self.look.chroma_left else ""
        return (
            f"showinfo=checksum=0,setpts=PTS-{zero},fps=fps={fps}:round=up:start_time=0,"
            f"scale={place.scaled_width}:{place.scaled_height}:flags={place.filter_name}:interl=0{chroma},format=rgb24"
        )

    def _sound_filters(self) -> str:
        """ashowinfo reports the time stamp of every piece."""
        rate = self.request.geometry.sample_rate
        return f"aformat=sample_fmts=s16:channel_layouts=mono:sample_rates={rate},ashowinfo"
