"""Rows of `benchmarks/faults.py`, for real: runs without room, with a damaged checkpoint, and more, end as the undisturbed one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.testbed import CHECKOUT, clean_environment

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(3600)]
ROWS = ("full-disk", "corrupt", "preempt", "slurmdbd")  # tests/cluster/test_survive.py has others


def test_what_is_broken_goes_on_by_itself_to_the_same_end(short_folder: Path) -> None:
    command = [sys.executable, "benchmarks/faults.py", "--dir", str(short_folder / "bed"), "--only", *ROWS]
    done = subprocess.run(
        command, cwd=CHECKOUT, env=clean_environment(), capture_output=True, text=True, timeout=3500, check=False
    )
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert [row.endswith("| yes |") for row in rows] == [True] * len(ROWS)
    took = [row.split(" | ")[1] for row in rows]
    assert "it never stopped" not in took, "a run was quicker than its fault"
