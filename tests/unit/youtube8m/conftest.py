"""Servers, videos and the command line for these tests."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.pages import command_line
from tests.unit.youtube8m.media import make_video
from tests.unit.youtube8m.servers import Reply, Server
from v2a.youtube8m.cli import main

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[str], Reply]], Server]]:
    """Start a server that answers by a function of the path."""
    servers: list[Server] = []

    def start(default: Callable[[str], Reply]) -> Server:
        servers.append(Server(default))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Three small videos, as bytes."""
    folder = tmp_path_factory.mktemp("clips")
    return [make_video(folder / f"{seed}.mp4", seed=seed).read_bytes() for seed in range(3)]


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line here: exit status, what it printed, what it complained about."""
    return command_line(main, capfd)


@pytest.fixture
def start_cli(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the command line as a process of its own, to be killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object) -> subprocess.Popen[str]:
        # What a shell starts in the background ignores Ctrl-C, and so do its children.
        command = ["env", "--default-signal=INT", sys.executable, "-m", "v2a.youtube8m", *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "no_proxy": "127.0.0.1"}
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def rows_of(path: Path) -> list[dict[str, str]]:
    """A CSV file's rows, read by the standard library alone."""
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))
