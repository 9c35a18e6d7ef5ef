"""Whether a downloaded video is all there: its packets are read to the end, none is decoded."""

from __future__ import annotations

from pathlib import Path

_ENOUGH = 0.9  # of the announced length; containers round, and a last packet may have no duration


def check_whole(path: Path) -> str:
    """ "" when the file is a video that reaches the length that it announces, else what is wrong with it."""
    import av

    try:
        with av.open(str(path)) as container:
            pictures = [stream for stream in container.streams.video if stream.average_rate]
            if not pictures:
                return "there is no picture in it"
            stream, end, packets = pictures[0], 0.0, 0
            for packet in container.demux(stream):
                if packet.size and packet.pts is not None:
                    packets += 1
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            announced = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
    except (av.error.FFmpegError, OSError) as error:
        return f"it cannot be read as a video: {error.strerror or error}"
    if not packets:
        return "there is no picture in it"
    if end < _ENOUGH * announced - 1.0:
        return f"it ends after {end:.1f} s, and should last {announced:.1f} s"
    return ""
