"""A wait that lasts too long ends the process; one that does not, and work between two, do not."""

import subprocess
import sys
import threading
import time

from hpc.stall import StallLimit

_WAITS = """
import time
from hpc.stall import StallLimit
with StallLimit(0.2, rank=3):
    time.sleep(60)
"""


def test_a_wait_beyond_the_limit_ends_the_process():
    ended = subprocess.run(
        [sys.executable, "-c", _WAITS],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert ended.returncode == 1
    assert "rank 3 has waited for the other ranks for more than 0.2 s" in ended.stderr


def test_work_between_short_waits_does_not_count():
    limit, waits = StallLimit(0.5, rank=0), 0
    for _ in range(4):
        with limit:
            waits += 1
        time.sleep(0.2)
    assert waits == 4, "or the process, and this test with it, would have ended"


def test_no_limit():
    before = threading.active_count()
    with StallLimit(0, rank=0):
        assert threading.active_count() == before
