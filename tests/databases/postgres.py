"""A PostgreSQL server of Debian's, in a folder of its own, that can be stopped and started."""

from __future__ import annotations

import glob
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PASSWORD = "it's; a $ecret"
_USER = "sweeper"


def binaries() -> Path | None:
    """Where the newest version's programs are; None when there are none."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"), key=lambda path: int(path.split("/")[4]))
    return Path(found[-1]).parent if found else None


def serving() -> Iterator[Postgres]:
    """A server while it is needed, for a fixture; without one the test is skipped, and says so."""
    if binaries() is None:
        pytest.skip("there is no PostgreSQL server: apt-get install postgresql")
    found = Postgres()
    found.start()
    yield found
    found.remove()


class Postgres:
    """A server; it refuses root, and so runs as nobody then."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        found = binaries()
        assert found is not None
        self._bin = found
        self.address, self.port = address, _free_port(address)
        self.folder = Path(tempfile.mkdtemp(prefix="v2apg", dir="/var/tmp"))
        self._as = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
        self._process: subprocess.Popen[bytes] | None = None
        if self._as:
            shutil.chown(self.folder, "nobody", "nogroup")
        self._init()

    def _init(self) -> None:
        secret = self.folder / "password"
        secret.write_text(PASSWORD + "\n")
        secret.chmod(0o644)
        self._run(
            "initdb",
            "--no-sync",
            "--locale=C",
            "-E",
            "UTF8",
            "-D",
            f"{self.folder}/data",
            "-U",
            _USER,
            "-A",
            "scram-sha-256",
            f"--pwfile={secret}",
        )
        with (self.folder / "data" / "pg_hba.conf").open("a") as rules:
            rules.write("host all all samenet scram-sha-256\n")
        secret.unlink()

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._bin / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", **self._as)  # type: ignore[call-overload]
        assert done.returncode == 0, done.stdout + done.stderr

    @property
    def url(self) -> str:
        """Without the password."""
        return f"postgresql://{_USER}@{self.address}:{self.port}/postgres"

    def passfile(self, folder: Path) -> Path:
        """A file for PGPASSFILE."""
        path = folder / "pgpass"
        escaped = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
        path.write_text(f"{self.address}:{self.port}:*:{_USER}:{escaped}\n")
        path.chmod(0o600)
        return path

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [
            str(self._bin / "postgres"), "-D", f"{self.folder}/data", "-p", str(self.port), "-h", self.address, "-k",
            str(self.folder), "-c", "fsync=off", "-c", "max_connections=60",
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd="/", start_new_session=True, **self._as
            )  # type: ignore[call-overload]
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "log").read_text(errors="replace")
            assert time.monotonic() < deadline, "PostgreSQL did not start within 60 s"
            time.sleep(0.1)

    def _answers(self) -> bool:
        command = [str(self._bin / "pg_isready"), "-q", "-h", self.address, "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0

    def stop(self) -> None:
        """End it at once: its connections break."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(timeout=60)
            self._process = None

    def hang(self) -> None:
        """Stop all its processes where they are: connections stay, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let them go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        me = self._process.pid
        children = Path(f"/proc/{me}/task/{me}/children").read_text().split()
        for process in (me, *map(int, children)):
            os.kill(process, number)

    def remove(self) -> None:
        """End it, and its folder."""
        self.stop()
        shutil.rmtree(self.folder)


def _free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port
