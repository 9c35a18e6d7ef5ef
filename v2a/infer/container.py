"""Which container takes a copied picture and its new sound, and the ffmpeg command that puts them together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ffmpeg

from v2a.media.allowed import input_options

_MOV = "mov,mp4,m4a,3gp,3g2,mj2"
_WEBM_CODECS = ("vp8", "vp9", "av1", "libdav1d", "libvpx-vp9", "libaom-av1")


@dataclass(frozen=True)
class Container:
    """A way to write a video.

    Attributes:
        suffix: of its name.
        muxer: ffmpeg's name.
        sound: ffmpeg's name of the encoder.
        bits: of sound a second for each sample a second; 0 for one that loses nothing.
    """

    suffix: str
    muxer: str
    sound: str
    bits: int = 0


# Matroska takes nearly every picture, and FLAC keeps the samples as they are.
MATROSKA = Container(".mkv", "matroska", "flac")


def containers_for(format_name: str, suffix: str, codec: str) -> list[Container]:
    """What to try, the best first: the input's own container where it can say exactly when its sound begins.

    AAC and Opus begin with samples that are only run-up. MP4, MOV and WebM say how many, and players leave them out; AVI, FLV and
    transport streams cannot, and sound would come up to a tenth of a second late: those become Matroska.

    Args:
        format_name: of the input's demuxer.
        suffix: of the input's name.
        codec: of its picture.
    """
    own: list[Container] = []
    if format_name == _MOV and suffix.lower() in (".mp4", ".m4v", ".mov"):
        own = [Container(suffix.lower(), "mov" if suffix.lower() == ".mov" else "mp4", "aac", 6)]
    elif suffix.lower() == ".webm" and codec in _WEBM_CODECS:
        own = [Container(".webm", "webm", "libopus", 4)]
    return [*own, MATROSKA]


@dataclass(frozen=True)
class Muxed:
    """One run of ffmpeg that copies a picture and encodes a sound.

    Attributes:
        source: the input, a name that ffmpeg cannot misread.
        video: number of its picture stream.
        pixels: its largest picture.
        container: what is written.
        sound: name of the WAV file.
        rate: of the sound, Hz.
        out: name of the output.
        shift_s: by how much the picture is moved so that it begins with the sound, at 0.
        end_s: where the picture is cut; None for its end.
    """

    source: str
    video: int
    pixels: int
    container: Container
    sound: str
    rate: int
    out: str
    shift_s: float
    end_s: float | None

    def command(self) -> list[str]:
        """Arguments, the program's name first."""
        options = {**input_options(self.pixels), "fflags": "+genpts", "itsoffset": f"{self.shift_s:.6f}"}
        picture = ffmpeg.input(self.source, **options)[str(self.video)]
        wave = ffmpeg.input(self.sound, protocol_whitelist="file", format="wav")["a:0"]
        settings: dict[str, Any] = {
            "format": self.container.muxer, "c:v": "copy", "c:a": self.container.sound, "map_metadata": 0, "map_chapters": -1,
            "max_interleave_delta": 0,
        }  # fmt: skip
        if self.container.bits:
            settings["b:a"] = self.container.bits * self.rate
        if self.container.sound == "libopus":
            settings["ar"] = (
                48000  # at another rate than Opus's own, ffmpeg 5.1 notes its run-up wrongly: sound came 4 ms late
            )
        if self.end_s is not None:
            settings["t"] = f"{self.end_s:.6f}"
        made = ffmpeg.output(picture, wave, self.out, **settings).global_args(
            "-nostdin", "-hide_banner", "-nostats", "-loglevel", "error"
        )
        command: list[str] = made.overwrite_output().compile()
        return command
