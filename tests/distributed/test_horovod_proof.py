"""Two real ranks under each controller. Horovod missing is a failure here, not a skip: it is what this tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hpc.build_horovod import check
from hpc.build_horovod import prove as horovod_prove

pytestmark = pytest.mark.distributed
ROOT = Path(__file__).resolve().parents[2]


def test_the_installed_horovod_fits() -> None:
    verdict = check()
    assert verdict.fits, f"{verdict.sentence}; fix: {verdict.fix}"
    assert {"mpi", "gloo"} <= set(verdict.operations)


@pytest.mark.parametrize("controller", horovod_prove.CONTROLLERS)
def test_two_ranks_agree(controller: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "my clips (2); it's"
    folder.mkdir()
    monkeypatch.chdir(folder)
    proof = horovod_prove.prove(controller)
    assert proof.failure is None
    assert sorted(line[:6] for line in proof.lines) == ["rank 0", "rank 1"]
    assert all("sum exact" in line for line in proof.lines)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("controller", horovod_prove.CONTROLLERS)
def test_one_core_is_enough(controller: str) -> None:
    code = f"from hpc.build_horovod.prove import prove; p = prove({controller!r}); print(p.failure or 'proven')"
    command = ["taskset", "--cpu-list", "0", sys.executable, "-c", code]
    answer = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=200)
    assert answer.stdout == "proven\n", answer.stdout + answer.stderr


@pytest.mark.parametrize("controller", horovod_prove.CONTROLLERS)
def test_ranks_that_are_not_the_expected_ones_fail(controller: str) -> None:
    command = horovod_prove.launch_command(controller, 2)
    assert command[-1] == "2"
    code, output = horovod_prove._run([*command[:-1], "3"], horovod_prove.launch_environment(controller), 120)
    assert code not in (0, None)
    assert f"expected 3 ranks over {controller}, but got 2 ranks" in output


@pytest.mark.parametrize("controller", horovod_prove.CONTROLLERS)
def test_a_wrong_reduction_fails(controller: str, tmp_path: Path) -> None:
    """A rank whose all-reduce gives back its own tensor (as if alone) is found by every rank's known sum."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os\n"
        "if os.environ.get('V2A_TEST_BREAK') and ('OMPI_COMM_WORLD_RANK' in os.environ or 'HOROVOD_RANK' in os.environ):\n"
        "    import horovod.torch as hvd\n"
        "    hvd.allreduce = lambda tensor, **_: tensor\n"
    )
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "V2A_TEST_BREAK": "1"}
    env = horovod_prove.launch_environment(controller, env)
    code, output = horovod_prove._run(horovod_prove.launch_command(controller, 2), env, 120)
    assert code not in (0, None)
    assert "999 of 1000 sums on cpu are wrong" in output


def test_a_hang_is_a_failure_with_a_reason() -> None:
    proof = horovod_prove.prove("gloo", timeout_s=1.0)  # importing torch alone takes longer
    assert proof.failure is not None
    assert "the ranks hung: no end within 1 s" in proof.failure
