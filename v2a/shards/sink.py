"""The file below an unfinished shard. HDF5 writes through it and never sees a full disk."""

from __future__ import annotations

import os
from pathlib import Path


class Sink:
    """A new file, for h5py's driver of Python file objects.

    HDF5 cannot close a file whose writes fail: it keeps it open, and with it the space on the full disk, or crashes (measured:
    a segmentation fault on a full tmpfs). So the first failure is kept in `error`, what HDF5 writes after it is thrown away,
    and whoever writes looks at `error`.

    Raises (constructor):
        FileExistsError: the path exists.
    """

    def __init__(self, path: Path) -> None:
        self.error: OSError | None = None
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        self._position = 0
        self._end = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to an offset; the new position."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._end}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """The position."""
        return self._position

    def readinto(self, buffer: memoryview) -> int:
        """Fill the buffer; with zeros where nothing was written."""
        view = memoryview(buffer).cast("B")
        done = 0
        while done < len(view) and (count := os.preadv(self._file, [view[done:]], self._position + done)):
            done += count
        view[done:] = bytes(len(view) - done)
        self._position += len(view)
        return len(view)

    def read(self, size: int) -> bytes:
        """So many bytes from the position."""
        data = bytearray(size)
        self.readinto(memoryview(data))
        return bytes(data)

    def write(self, data: memoryview) -> int:
        """Write all of it, or keep the error."""
        view = memoryview(data).cast("B")
        done = 0
        try:
            while done < len(view) and self.error is None:
                done += os.pwrite(self._file, view[done:], self._position + done)
        except OSError as error:
            self.error = error
        self._position += len(view)
        self._end = max(self._end, self._position)
        return len(view)

    def truncate(self, size: int) -> int:
        """Make the file so long."""
        try:
            if self.error is None:
                os.ftruncate(self._file, size)
        except OSError as error:
            self.error = error
        self._end = size
        return size

    def flush(self) -> None:
        """Nothing is held back."""

    def sync(self) -> None:
        """Wait until the disk has it.

        Raises:
            OSError: now, or in a write before.
        """
        if self.error is not None:
            raise self.error
        os.fsync(self._file)

    def close(self, discard: bool = False) -> None:
        """Close the file; `discard` gives its space back first."""
        if self._file < 0:
            return
        file, self._file = self._file, -1
        try:
            if discard:
                os.ftruncate(file, 0)
        finally:
            os.close(file)
