"""A folder of many runs."""

import json
from pathlib import Path

import pytest

from hpc.record import append
from tests.unit.fake_slurm import FakeSlurm
from tests.unit.runs.making import make_run, put_job
from v2a.whole import write_json


@pytest.fixture
def many(tmp_path: Path, fake_slurm: FakeSlurm) -> Path:
    """Two hundred runs: most have finished, some run, wait, or broke."""
    folder = tmp_path / "runs"
    for number in range(200):
        run_dir = make_run(folder, f"selftest-{number:03d}", str(5000 + number))
        lines = [
            json.dumps({"step": 10 * n, "loss": 1 / n, "clips_per_s": 12.5, "data_wait": 0.25, "step_ms": 500})
            for n in range(1, 9)
        ]
        (run_dir / "metrics.jsonl").write_text("\n".join(lines) + "\n")
        if number < 190:
            write_json(run_dir / "result.json", {"loss": 0.125})
            continue
        append(run_dir, "started")
        state = "RUNNING" if number < 195 else "PENDING" if number < 198 else "TIMEOUT"
        put_job(
            fake_slurm, run_dir, str(5000 + number), state, nodes="t4-[1-2]" if number < 195 else "", reason="Resources"
        )
    return folder
