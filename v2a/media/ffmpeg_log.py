"""What ffmpeg says on its standard error: time stamps of frames and of pieces of sound, and errors."""

from __future__ import annotations

import re
from collections import deque
from fractions import Fraction

# Lines begin with the filter's own name, so text out of a file's metadata (which ffmpeg prints indented) is never taken for them.
_FRAME = re.compile(rb"\[Parsed_showinfo_\d+ @ \w+\] \[info\] n: *\d+ pts: *(-?\d+) ")
_PIECE = re.compile(rb"\[Parsed_ashowinfo_\d+ @ \w+\] \[info\] n:\d+ pts:(-?\d+|NOPTS) .*?\bnb_samples:(\d+) ")
_TICK = re.compile(rb"\[Parsed_showinfo_\d+ @ \w+\] \[info\] config in time_base: (\d+)/(\d+)")
# "Error while decoding stream #0:1: …" up to ffmpeg 6; "[vist#0:1/h264 @ …] … Error submitting packet to decoder: …" since.
_LOST = re.compile(rb"Error while decoding stream #0:(\d+)|ist#0:(\d+)/\S+ @ .*Error submitting packet to decoder")
_BAD = re.compile(rb"\[(?:error|fatal|panic)\] ")
_LONGEST_LINE = 1 << 16
_WORDS_KEPT = 8


class Log:
    """Reads the text as it comes, in parts of any size.

    Attributes:
        frames: time stamps of frames that were not taken note of yet, ticks.
        pieces: of sound: time stamp of the first sample (None: unknown) and count of samples.
        tick: seconds per unit of the frames' time stamps; None until ffmpeg says it.
        lost: packets of each stream that could not be decoded, not taken note of yet.
        words: the latest errors, for people.
    """

    def __init__(self) -> None:
        self.frames: deque[int] = deque()
        self.pieces: deque[tuple[int | None, int]] = deque()
        self.tick: Fraction | None = None
        self.lost: list[tuple[int, str]] = []
        self.words: deque[str] = deque(maxlen=_WORDS_KEPT)
        self._rest = b""

    def feed(self, text: bytes) -> None:
        """The next bytes."""
        lines = (self._rest + text).split(b"\n")
        self._rest = lines.pop()[-_LONGEST_LINE:]
        for line in lines:
            self._line(line)

    def _line(self, line: bytes) -> None:
        if line.startswith(b"[Parsed_showinfo"):
            if found := _FRAME.match(line):
                self.frames.append(int(found[1]))
            elif found := _TICK.match(line):
                self.tick = Fraction(int(found[1]), int(found[2]) or 1)
        elif line.startswith(b"[Parsed_ashowinfo"):
            if found := _PIECE.match(line):
                self.pieces.append((None if found[1] == b"NOPTS" else int(found[1]), int(found[2])))
        elif _BAD.search(line):
            words = line.partition(b"] ")[2] if line.startswith(b"[error] ") else line.rpartition(b"[error] ")[2]
            self.words.append(words.decode(errors="replace").strip())
            if found := _LOST.search(line):
                self.lost.append((int(found[1] or found[2]), self.words[-1].rpartition(": ")[2]))
