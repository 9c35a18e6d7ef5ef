"""ffmpeg processes, descriptors and memory: nothing stays behind, however a reading ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.unit.media.films import PLAIN, ffmpeg, make
from tests.unit.media.reads import SMALL, read
from v2a.media.readers import READERS, get_reader
from v2a.media.reading import Request

both = pytest.mark.parametrize("reader", READERS)
_CHECKOUT = Path(__file__).resolve().parents[3]


def _ffmpegs() -> list[psutil.Process]:
    """Children of this process, but for helpers of Python's own that tests of other modules may have started."""
    return [child for child in psutil.Process().children() if not child.name().startswith("python")]


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture(name="long", scope="module")
def long_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four minutes of picture without sound."""
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=320x180:r=10:d=240", "-c:v", "mpeg4", "-q:v", "2", path)
    return path


@both
def test_nothing_stays_behind_when_a_reading_is_left_early(reader: str, long: Path):
    read(reader, make(PLAIN))
    before = _descriptors()
    for _ in range(3):
        with get_reader(reader).open(Request(str(long), SMALL)) as reading:
            for _segment in reading:
                break
    for broken in ("/dev/null", "/nowhere", __file__):
        assert read(reader, broken).error is not None
    assert _descriptors() == before
    assert _ffmpegs() == []


@both
def test_a_killed_reader_leaves_no_ffmpeg(reader: str, long: Path):
    script = (
        "import sys, time\n"
        "from v2a.geometry import Geometry\nfrom v2a.media.reading import Request\nfrom v2a.media.readers import get_reader\n"
        "with get_reader(sys.argv[1]).open(Request(sys.argv[2], Geometry(64, 36, 10, 2.0, 16000))) as reading:\n"
        "    for segment in reading:\n        print('first', flush=True)\n        time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, reader, str(long)], stdout=subprocess.PIPE, cwd=_CHECKOUT, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "first\n"
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) == (reader == "ffmpeg")
    process.send_signal(signal.SIGKILL)
    process.wait()
    _gone, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []


def test_ffmpeg_has_a_session_of_its_own(long: Path):
    """Ctrl-C in a terminal goes to every process of its session's foreground group: ffmpeg must not be among them."""
    with get_reader("ffmpeg").open(Request(str(long), SMALL)) as reading:
        for _segment in reading:
            (child,) = _ffmpegs()
            assert os.getsid(child.pid) == child.pid
            assert child.num_fds() <= 16
            break


def test_no_ffmpeg_is_said_plainly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    error = read("ffmpeg", make(PLAIN)).error if make(PLAIN) else None
    assert error is not None
    assert error.kind == "no-ffmpeg"
    assert "reader=pyav" in str(error)


def _stand_in(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ffmpeg that does something else first."""
    real = subprocess.run(["which", "ffmpeg"], capture_output=True, text=True, check=True).stdout.strip()
    program = folder / "ffmpeg"
    program.write_text("#!/bin/sh\n" + script.replace("REAL", real))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_an_ffmpeg_without_the_decoder_of_the_sound(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    path = make(PLAIN)
    refuse = 'case "$*" in *ashowinfo*) echo "[error] Decoder (codec x) not found for input stream #0:1" >&2; exit 1;; esac\n'
    _stand_in(tmp_path, refuse + 'exec REAL "$@"\n', monkeypatch)
    found = read("ffmpeg", path)
    assert found.error is None
    assert len(found.segments) == 5
    assert found.facts is not None
    assert found.facts.notes == ["its sound could not be decoded at all"]


def test_an_ffmpeg_that_crashes_is_an_error_after_what_is_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    path = make(PLAIN)
    _stand_in(tmp_path, 'REAL "$@" &\nsleep 0.01\nkill -9 $!\nkill -11 $$\n', monkeypatch)
    found = read("ffmpeg", path)
    assert found.error is not None
    assert (found.error.kind, "signal 11" in str(found.error)) == ("crashed", True)


def test_an_ffmpeg_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    from v2a.media.reading import Limits

    path = make(PLAIN)
    _stand_in(tmp_path, "sleep 60 &\nwait\n", monkeypatch)
    began = time.monotonic()
    found = read("ffmpeg", path, limits=Limits(stall_s=1.0))
    assert time.monotonic() - began < 5
    assert found.error is not None
    assert found.error.kind == "too-slow"
    assert _ffmpegs() == []


@both
def test_memory_does_not_grow_with_length(reader: str, long: Path):
    """A minute at 7 MB a second of clip would be 400 MB."""
    script = (
        "import sys\n"
        "from v2a.geometry import Geometry\nfrom v2a.media.reading import Request\nfrom v2a.media.readers import get_reader\n"
        "with get_reader(sys.argv[1]).open(Request(sys.argv[2], Geometry(640, 360, 10, 1.0, 16000), end_s=60.0)) as reading:\n"
        "    count = sum(1 for _ in reading)\n"
        # Not ru_maxrss: it keeps what the process that started this one had.
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "print(count, int(peak.split()[1]) // 1024)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, reader, str(long)], capture_output=True, text=True, cwd=_CHECKOUT, check=True
    )
    count, megabytes = map(int, done.stdout.split())
    assert count == 60
    assert megabytes < 250
    assert done.stderr == ""
