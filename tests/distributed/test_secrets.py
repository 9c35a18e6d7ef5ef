"""What is in the environment of local ranks is in no command line, where everyone on the machine can read it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest

from hpc.team import team_command
from tests.databases.postgres import PASSWORD, Postgres, serving
from tests.distributed.launch import missing
from tests.house.source import CHECKOUT

pytestmark = pytest.mark.distributed
QUOTED = quote(PASSWORD, safe="")
SPELLED = (PASSWORD, QUOTED, "$ecret", "%24ecret")  # a shell's quotes may stand between its words


@pytest.fixture(autouse=True)
def _horovod() -> None:
    if reason := missing("horovodrun"):
        pytest.skip(reason)


@pytest.mark.parametrize("size", [10, 100_000], ids=["small", "larger than a command may be"])
def test_ranks_of_this_machine_are_handed_their_environment_and_nobody_sees_it(tmp_path: Path, size: int):
    secrets = {
        "OPTUNA_STORAGE": f"postgresql://me:{QUOTED}@db.example/sweeps", "PGPASSWORD": PASSWORD, "PGPASSFILE": f"{tmp_path}/$ecret",
        "MINE": "two\nlines of a $ecret", "LARGE": size * "x", "ALSO_LARGE": size * "y",
    }  # fmt: skip
    command = team_command(2, "tests.distributed.seen_by_others", str(tmp_path), *secrets)
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), **secrets}
    done = subprocess.run(
        command, cwd=CHECKOUT, env=environment, timeout=240, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for rank in ("0", "1"):
        found = json.loads((tmp_path / rank).read_text())
        assert found["handed"] == secrets
        assert sum("tests.distributed.seen_by_others" in line for line in found["seen"]) >= 3, "it looked elsewhere"
        assert [line for line in found["seen"] if any(secret in line for secret in SPELLED)] == []


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    yield from serving()


def seen_while(program: Sequence[str], environment: dict[str, str], log: Path) -> tuple[int, set[str]]:
    """Run it to its end.

    Returns:
        Its exit status, and the command lines of all processes meanwhile that name the folder of its log.
    """
    seen: set[str] = set()
    with log.open("w") as out:
        process = subprocess.Popen(program, cwd=CHECKOUT, env=environment, stdout=out, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 300
    try:
        while process.poll() is None:
            assert time.monotonic() < deadline, log.read_text()
            for one in psutil.process_iter(["cmdline"]):
                seen.add(" ".join(one.info["cmdline"] or []))
            time.sleep(0.05)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
    return process.returncode, {line for line in seen if str(log.parent) in line}


def _reported(url: str, study: str) -> dict[int, float]:
    """What rank 0 said of the study's only trial while it ran."""
    import optuna

    (trial,) = optuna.load_study(study_name=study, storage=url.replace("postgresql:", "postgresql+psycopg:")).trials
    return trial.intermediate_values


def _named_by(how: str, server: Postgres, folder: Path) -> tuple[list[str], dict[str, str]]:
    """What the command line and the environment say of the storage."""
    whole = server.url.replace("@", f":{QUOTED}@")
    if how == "OPTUNA_STORAGE":
        return [], {how: whole}
    if how == "@FILE":
        (folder / "url").write_text(whole)
        (folder / "url").chmod(0o600)
        return ["--storage", f"@{folder / 'url'}"], {}
    return ["--storage", server.url], {how: PASSWORD if how == "PGPASSWORD" else str(server.passfile(folder))}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("mode", "ranks"), [("job", 1), ("job", 2), ("workers", 2)])
@pytest.mark.parametrize("how", ["OPTUNA_STORAGE", "PGPASSWORD", "PGPASSFILE", "@FILE"])
def test_a_trial_finds_its_study_and_nobody_its_password(
    server: Postgres, tmp_path: Path, mode: str, ranks: int, how: str
):
    words, variables = _named_by(how, server, tmp_path)
    study = f"{how.strip('@')} {mode} {ranks}"
    program = [
        sys.executable, "-m", "sweeps.optuna_run", "--cluster", "local", "--runs", str(tmp_path / "runs"), "--study",
        study, "--mode", mode, "--trials", "1", "--parallel", "1", "--ranks-per-node", str(ranks), *words,
        "--search", "lr=log(1e-3, 1e-1)", "--objective", "loss:min", "--pruner", "median", "stage=selftest", "steps=200",
    ]  # fmt: skip
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PG", "OPTUNA_", "SLURM_"))
    }
    status, seen = seen_while(program, {**environment, "PYTHONPATH": str(CHECKOUT), **variables}, tmp_path / "log")
    said = (tmp_path / "log").read_text()
    assert status == 0, said
    assert "1 complete" in said
    module = "sweeps.trial" if mode == "job" else "sweeps.worker"
    assert any(module in line for line in seen), "the ranks were never looked at"
    assert [line for line in seen if any(secret in line for secret in SPELLED)] == []
    assert _reported(server.url.replace("@", f":{QUOTED}@"), study), "rank 0 did not find its study"
    files = [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    assert [path for path in files if any(secret.encode() in path.read_bytes() for secret in SPELLED)] == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_local_run_of_two_ranks_shows_nothing_of_its_environment(tmp_path: Path):
    program = [
        sys.executable, "-m", "hpc.submit", "--cluster", "local", "--runs", str(tmp_path), "--ranks-per-node", "2",
        "stage=selftest", "steps=100",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "PGPASSWORD": PASSWORD}
    status, seen = seen_while(program, environment, tmp_path / "log")
    assert status == 0, (tmp_path / "log").read_text()
    assert any("hpc.worker" in line for line in seen), "the ranks were never looked at"
    assert [line for line in seen if any(secret in line for secret in SPELLED)] == []
