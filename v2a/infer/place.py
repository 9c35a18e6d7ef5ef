"""Which process on which machine: enough to know later whether it still runs, asked from the same machine."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Place:
    """A process.

    Attributes:
        host: name of its machine.
        machine: of this start of the machine's system, and of the set of process numbers that it counts in.
        pid: its number.
        begun: when it began, in the kernel's ticks: numbers are given again.
    """

    host: str
    machine: str
    pid: int
    begun: str

    @classmethod
    def here(cls) -> Place:
        """This process."""
        machine = ""
        with suppress(OSError):
            machine = Path("/proc/sys/kernel/random/boot_id").read_text().strip() + os.readlink("/proc/self/ns/pid")
        return cls(socket.gethostname(), machine, os.getpid(), _begun(os.getpid()))

    def is_dead(self) -> bool:
        """Whether it certainly runs no more; False when that cannot be known from here."""
        here = Place.here()
        if not self.machine or (here.host, here.machine) != (self.host, self.machine):
            return False
        return _begun(self.pid) != self.begun

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.host}, process {self.pid}"


def _begun(pid: int) -> str:
    """When a process began; "" when there is none, or only its remains."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in (b"Z", b"X") else fields[19].decode()
