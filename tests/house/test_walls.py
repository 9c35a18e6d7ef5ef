"""Imports point one way: sweeps → hpc → v2a by stage name only; slurm stands on the standard library."""

import json
import subprocess
import sys
import textwrap
from pathlib import PurePosixPath

import pytest

from tests.house.imports import import_side_effects, imports_of, mentions, walls_broken
from tests.house.source import CHECKOUT, PACKAGES, Source, files, python_sources

_LAUNCHERS = ("SLURM_", "HOROVOD_", "OMPI_")


def test_no_wall_is_broken():
    sources = list(python_sources())
    assert {source.path.split("/")[0] for source in sources} >= {*PACKAGES, "tests"}
    assert [fault for source in sources for fault in walls_broken(source)] == []


def test_v2a_knows_no_launcher():
    assert [fault for source in python_sources("v2a") for fault in mentions(source, *_LAUNCHERS)] == []


def test_nothing_happens_on_import():
    assert [fault for source in python_sources(*PACKAGES) for fault in import_side_effects(source)] == []


def test_no_file_is_called_utils():
    assert [
        path for path in files() if PurePosixPath(path).stem in ("util", "utils", "helpers", "misc", "common")
    ] == []


@pytest.mark.parametrize(
    ("path", "line", "broken"),
    [
        ("v2a/x.py", "import horovod.torch as hvd", True),
        ("v2a/x.py", "def f():\n    from mpi4py import MPI", True),
        ("v2a/x.py", "import importlib\nimportlib.import_module('optuna')", True),
        ("v2a/x.py", "from importlib import import_module\nimport_module('hpc.job')", True),
        ("v2a/x.py", "name = 'hpc'\n__import__(name)", True),
        ("v2a/a/b.py", "from ..comm import Comm", False),
        ("v2a/a/__init__.py", "from .b import c", False),
        ("v2a/x.py", "from .. import hpc", True),
        ("v2a/x.py", "import hpcx", False),
        ("hpc/x.py", "from v2a.stages import load_config", False),
        ("hpc/x.py", "from v2a import stages", False),
        ("hpc/x.py", "from v2a import training", True),
        ("hpc/x.py", "import v2a", True),
        ("hpc/x.py", "def f():\n    import v2a.selftest.stage", True),
        ("hpc/x.py", "import optuna", True),
        ("hpc/x.py", "from slurm.testbed import layout", True),
        ("hpc/x.py", "import submitit, horovod.torch", False),
        ("hpc/x.py", "from hpc.slurm_query import SlurmError, _ask", True),
        ("sweeps/x.py", "def f():\n    from hpc._secret import ask", True),
        ("v2a/x.py", "from torch import _foreach", False),
        ("v2a/x.py", "from __future__ import annotations\nfrom v2a import __version__", False),
        ("sweeps/x.py", "import torch", True),
        ("sweeps/x.py", "from v2a.stages import load_config", True),
        ("sweeps/x.py", "from hpc.submit import main", False),
        ("slurm/x.py", "import psutil", True),
        ("slurm/x.py", "import json, slurm.testbed", False),
        ("slurm/x.py", "from hpc import job", True),
        (".ci/x.py", "import yaml", True),
        ("hpc/x.py", "from tests.conftest import HOSTILE_NAMES", True),
        ("tests/x.py", "from tests.conftest import HOSTILE_NAMES", False),
        ("benchmarks/x.py", "import benchmarks.other", True),
    ],
)
def test_the_check_finds_broken_walls(path: str, line: str, broken: bool):
    assert bool(walls_broken(Source(path, line))) is broken


def test_relative_imports_are_resolved():
    source = Source("v2a/a/b.py", "from . import c\nfrom ..comm import Comm")
    assert [found.name for found in imports_of(source)] == ["v2a.a.c", "v2a.comm.Comm"]


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("x = os.environ['SLURM_JOB_ID']", 1),
        ("x = f'SLURM_{name}'", 1),
        ("def f(SLURM_x): ...", 1),
        ("f(HOROVOD_RANK=1)", 1),
        ("x.OMPI_COMM = 1", 1),
        ('"""SLURM_JOB_ID may stand here."""\n# and SLURM_ here', 0),
        ("class A:\n    '''SLURM_'''\n    def f(self):\n        '''SLURM_'''", 0),
    ],
)
def test_the_check_finds_launchers_variables(code: str, found: int):
    assert len(mentions(Source("v2a/x.py", code), *_LAUNCHERS)) == found


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("home = os.environ['HOME']", True),
        ("home = os.environ.get('HOME')", True),
        ("class A:\n    home = os.getenv('HOME')", True),
        ("def f(home=os.getenv('HOME')): ...", True),
        ("def f():\n    return os.getenv('HOME')", False),
        ("def f(environ=os.environ): ...", False),
        ("torch.set_num_threads(1)", True),
        ("torch.backends.cudnn.benchmark = True", True),
        ("logging.basicConfig()", True),
        ("print('hello')", True),
        ("if __name__ == '__main__':\n    print('hello')", False),
        ("def f():\n    print('hello')", False),
    ],
)
def test_the_check_finds_side_effects_of_imports(code: str, found: bool):
    assert bool(import_side_effects(Source("v2a/x.py", code))) is found


_ON_A_LOGIN_NODE = """
    import importlib, json, logging, signal, sys

    class Missing:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name.split(".")[0] in BLOCKED:
                raise ModuleNotFoundError(f"{name} is not installed on this login node", name=name)

    BLOCKED = ("torch", "horovod", "mpi4py", "numpy", "h5py")
    sys.meta_path.insert(0, Missing)
    before = signal.getsignal(signal.SIGTERM)
    for name in sys.argv[1:]:
        importlib.import_module(name)
    from v2a.stages import load_config, stage_names
    configs = [type(load_config(stage, [])).__module__ for stage in stage_names()]
    print(json.dumps({
        "loaded": sorted(name for name in sys.modules if name.split(".")[0] in BLOCKED),
        "configs": configs,
        "handlers": len(logging.root.handlers),
        "signals": signal.getsignal(signal.SIGTERM) == before,
    }))
"""


def test_a_login_node_needs_no_torch():
    """Every module of hpc and sweeps can be imported, and every stage's settings checked, without torch, Horovod or mpi4py."""
    modules = [source.module for source in python_sources("hpc", "sweeps")]
    assert {"hpc.submit", "hpc.preflight", "hpc.build_horovod", "sweeps"} <= set(modules)
    program = textwrap.dedent(_ON_A_LOGIN_NODE)
    done = subprocess.run(
        [sys.executable, "-c", program, *modules], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["loaded"] == []
    assert "v2a.selftest.config" in answer["configs"]
    assert answer["handlers"] == 0
    assert answer["signals"]
