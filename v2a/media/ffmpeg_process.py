"""One ffmpeg process and the pipes between it and us."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
from collections.abc import Callable

from v2a.media.ffmpeg_log import Log
from v2a.media.reading import MediaError

_PIPE_BYTES = (
    1 << 20
)  # the most that an unprivileged process may ask for; 9 frames, so that neither side waits for each single one
_LOG_BYTES = 1 << 16


class Pipe:
    """The reading end of a pipe; reading never blocks.

    Attributes:
        ended: the other end is closed and all is read.
        roomy: it holds some frames, so it need not be emptied at once.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.ended = False
        os.set_blocking(fd, False)
        self.roomy = False
        with contextlib.suppress(OSError):  # a user at their limit gets the usual size
            self.roomy = fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES) >= _PIPE_BYTES

    def read_into(self, target: memoryview) -> int:
        """Bytes read; 0 when there are none now, or when `ended`."""
        try:
            count = os.readv(self.fd, [target])
        except BlockingIOError:
            return 0
        self.ended = count == 0
        return count

    def read(self) -> bytes:
        """What is there; empty when there is nothing now, or when `ended`."""
        try:
            found = os.read(self.fd, _LOG_BYTES)
        except BlockingIOError:
            return b""
        self.ended = not found
        return found


class FfmpegProcess:
    """Runs ffmpeg in a session of its own, so that Ctrl-C in the terminal reaches only us, who end it.

    When this process is killed its pipes break, and ffmpeg ends at its next write.

    Attributes:
        picture, sound, errors: pipes; `picture` and `sound` are None when they were not asked for.
        log: what was read from `errors` so far.
    """

    def __init__(
        self, command: Callable[[str | None, str | None], list[str]], source_fd: int, picture: bool, sound: bool
    ) -> None:
        """Start it.

        Args:
            command: arguments from the names of the two outputs.
            source_fd: the open file that it inherits.
            picture: whether frames are wanted.
            sound: whether samples are wanted.

        Raises:
            MediaError: there is no ffmpeg.
        """
        self.log = Log()
        self._process: subprocess.Popen[bytes] | None = None
        with contextlib.ExitStack() as ends:  # the writing ends: ffmpeg alone keeps them
            self.picture, picture_end = _pipe(ends, picture)
            self.sound, sound_end = _pipe(ends, sound)
            errors, errors_end = _pipe(ends, True)
            assert errors is not None
            self.errors = errors
            arguments = command(
                None if picture_end is None else f"pipe:{picture_end}",
                None if sound_end is None else f"pipe:{sound_end}",
            )
            inherited = [source_fd, *(end for end in (picture_end, sound_end) if end is not None)]
            environment = {name: value for name, value in os.environ.items() if name != "FFREPORT"}
            environment["AV_LOG_FORCE_NOCOLOR"] = "1"
            try:
                self._process = subprocess.Popen(
                    arguments,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors_end,
                    pass_fds=inherited,
                    start_new_session=True,
                    env=environment,
                )
            except OSError as error:
                self.close()
                if isinstance(error, FileNotFoundError):
                    raise MediaError(
                        "no-ffmpeg", "there is no program ffmpeg; install it, or read with reader=pyav"
                    ) from None
                raise

    def hear(self) -> None:
        """Take in what ffmpeg said."""
        while text := self.errors.read():
            self.log.feed(text)

    def wait(self) -> int:
        """Its exit status once its pipes have ended; negative when a signal ended it."""
        assert self._process is not None
        return self._process.wait()

    def close(self) -> None:
        """End it at once and close the pipes; twice does no harm."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for pipe in (self.picture, self.sound, self.errors):
            if pipe is not None and pipe.fd >= 0:
                os.close(pipe.fd)
                pipe.fd = -1


def _pipe(ends: contextlib.ExitStack, wanted: bool) -> tuple[Pipe | None, int | None]:
    if not wanted:
        return None, None
    reading, writing = os.pipe2(os.O_CLOEXEC)
    ends.callback(os.close, writing)
    return Pipe(reading), writing
