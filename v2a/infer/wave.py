"""A WAV file that grows while a video is read: 16-bit mono, its header right once it is closed."""

from __future__ import annotations

import os
import wave
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from v2a.media.reading import MediaError

_MOST_BYTES = 2**32 - 4096  # what a WAV's header can say


class WaveFile:
    """Writes a WAV file, and waits for the disk when it is closed without an error.

    Attributes:
        samples: written so far.

    Args:
        path: a new file.
        sample_rate: Hz.
    """

    def __init__(self, path: Path, sample_rate: int) -> None:
        self.samples = 0
        self._file = path.open("xb")
        self._wave = wave.open(self._file, "wb")  # noqa: SIM115 - closed by __exit__
        self._wave.setparams((1, 2, sample_rate, 0, "NONE", "not compressed"))

    def add(self, samples: npt.NDArray[np.int16]) -> None:
        """Append int16 `[n]`.

        Raises:
            MediaError: it grows too long for a WAV.
            OSError: the disk is full.
        """
        self.samples += len(samples)
        if 2 * self.samples > _MOST_BYTES:
            raise MediaError(
                "too-long", "its sound would be longer than the 4 GB that a WAV file can hold; cut the video"
            )
        self._wave.writeframesraw(samples.astype("<i2").tobytes())

    def __enter__(self) -> WaveFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._wave.close()
                self._file.flush()
                os.fsync(self._file.fileno())
        finally:
            with suppress(OSError):  # no room for its header: there is an error already
                self._wave.close()
                self._file.close()
