"""Every command of the documentation is run: here, in one folder and small, or by another test; or it is said why not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.source import CHECKOUT
from tests.release.road import GIVEN, commands

pytestmark = [pytest.mark.slow, pytest.mark.timeout(5400)]
_LONGEST_S = 600


def test_the_commands_of_the_documentation_in_the_order_of_reading(tmp_path: Path):
    road, faults, run = tmp_path / "reader", [], set[str]()
    road.mkdir()
    for text in GIVEN:
        assert _status(road, text) == "", text
    for command in commands():
        text = command.small()
        if command.elsewhere() or command.nowhere() or text in run:
            continue
        run.add(text)
        print(f"{command.path}:{command.line} $ {text}", flush=True)
        if fault := _status(road, text):
            print(fault, flush=True)
            faults.append(f"{command.path}:{command.line} `{command.text}`, run as `{text}`: {fault}")
    assert len(run) > 60
    assert faults == [], "\n\n".join(faults)


def _status(folder: Path, text: str) -> str:
    """Run by bash as a reader does who has activated the environment; the end of what it said when it failed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(CHECKOUT),
        "OMPI_MCA_btl_vader_single_copy_mechanism": "none",  # containers may not read each other's memory
    }
    with (folder.parent / "said").open("w+") as said:  # not a pipe, which what is left running would keep open
        try:
            done = subprocess.run(
                ["bash", "-c", f"set -euo pipefail\n{text}"], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                stdout=said, stderr=said, timeout=_LONGEST_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"did not end within {_LONGEST_S} s"
        said.seek(0)
        return "" if done.returncode == 0 else f"status {done.returncode}: {said.read()[-1500:]}"
