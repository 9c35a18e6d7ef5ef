"""What kills leave among the checkpoints: removed, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.house.source import CHECKOUT
from v2a.comm import LocalComm
from v2a.training.checkpoint import Checkpoints
from v2a.training.leftovers import remove_leftovers

# Two checkpoints, of which the first goes when the second is there; a kill just before a file gets its name, or goes.
_KILLED = """
import os, pathlib, signal, sys, torch
from v2a.training.checkpoint import Checkpoints

folder, moment = pathlib.Path(sys.argv[1]), sys.argv[2]
checkpoints, model = Checkpoints(folder, keep=1), {"model": {"weight": torch.zeros(3)}}
checkpoints.save(model, 10, None)
replace, unlink = os.replace, pathlib.Path.unlink

def kill(name):
    if name == moment:
        os.kill(os.getpid(), signal.SIGKILL)

def replacing(one, two):
    kill("name " + pathlib.Path(two).name)
    replace(one, two)

def unlinking(path, missing_ok=False):
    kill("remove " + path.name)
    unlink(path, missing_ok)

os.replace, pathlib.Path.unlink = replacing, unlinking
checkpoints.save(model, 20, None)
"""


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def both(step: int) -> set[str]:
    return {f"step-{step:08d}.pt", f"step-{step:08d}.json"}


@pytest.mark.parametrize(
    ("moment", "step", "left"),
    [
        ("name step-00000020.pt", 10, ["step-00000020.pt.tmp"]),
        ("name step-00000020.json", 10, ["step-00000020.json.tmp", "step-00000020.pt"]),
        ("remove step-00000010.pt", 20, ["step-00000010.pt"]),
    ],
)
def test_what_a_kill_leaves_goes_and_the_sound_one_stays(tmp_path: Path, moment: str, step: int, left: list[str]):
    folder = tmp_path / "it's a run; $HOME\n"
    ended = subprocess.run([sys.executable, "-c", _KILLED, folder, moment], cwd=CHECKOUT, check=False)
    assert ended.returncode == -signal.SIGKILL
    found = Checkpoints(folder, keep=1).load_latest(LocalComm(), torch.device("cpu"))
    assert found is not None
    assert found[1] == step
    assert names(folder) == both(step) | set(left)
    assert remove_leftovers(folder, found=True) == left
    assert names(folder) == both(step)
    assert remove_leftovers(folder, found=True) == []


def test_states_without_notes_stay_where_there_is_nothing_else(tmp_path: Path):
    """A person may have copied them alone."""
    for name in ("step-00000020.pt", "step-00000030.json.tmp"):
        (tmp_path / name).write_bytes(b"")
    assert remove_leftovers(tmp_path, found=False) == ["step-00000030.json.tmp"]
    assert names(tmp_path) == {"step-00000020.pt"}
    assert remove_leftovers(tmp_path / "missing", found=False) == []


def test_two_damaged_ones_and_what_others_named_stay(tmp_path: Path):
    """The newest by when they were written: a run that went back has lower numbers."""
    strange = {"step-best.pt", "step-00000001.pt.tmp.txt", "notes.tmp", "step-00000090.json"}
    for name in strange:
        (tmp_path / name).write_bytes(b"")
    for age, step in enumerate((500, 100, 300, 200)):
        path = tmp_path / f"step-{step:08d}.damaged"
        path.write_bytes(b"")
        os.utime(path, (1000 - age, 1000 - age))
    assert remove_leftovers(tmp_path, found=True) == ["step-00000200.damaged", "step-00000300.damaged"]
    assert names(tmp_path) == {"step-00000500.damaged", "step-00000100.damaged", *strange}
