"""`.ci/bootstrap.py` as a module, and what a made-up machine consists of."""

import importlib.util
import sys
import types
from pathlib import Path

from tests.house.source import CHECKOUT


def _load() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap", CHECKOUT / ".ci" / "bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bootstrap"] = module  # where dataclasses look for the module of a class
    spec.loader.exec_module(module)
    return module


bootstrap = _load()


def make_folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def make_program(tmp_path: Path, name: str, script: str = "exit 0") -> None:
    path = make_folder(tmp_path / "bin") / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def make_options(root: Path, **changes: object) -> object:
    values = {
        "venv": root / ".venv",
        "constraints": root / "constraints" / "cpu.txt",
        "extras": "dev",
        "verbose": False,
    }
    return bootstrap.Options(**{**values, **changes})
