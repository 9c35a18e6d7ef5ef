"""A machine on which nothing is missing, and set-up's steps as stand-ins."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.bootstrap.making import bootstrap, make_folder


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up checkout with everything that set-up looks at, on a machine on which nothing is missing."""
    root = tmp_path / "checkout"
    for folder in (".ci", "constraints", "hpc/build_horovod"):
        (root / folder).mkdir(parents=True)
    (root / "pyproject.toml").write_text("[project]\n")
    (root / "constraints" / "cpu.txt").write_text("torch==1\n")
    (root / "constraints" / "v100.txt").write_text("torch==2\n")
    (root / "hpc" / "build_horovod" / "key.py").write_text("# builds\n")
    (root / ".ci" / "system-packages.txt").write_text("")
    (root / "include").mkdir()
    (root / "include" / "Python.h").touch()
    monkeypatch.setattr(bootstrap, "CHECKOUT", root)
    monkeypatch.setattr(bootstrap.sysconfig, "get_path", lambda name: str(root / "include"))
    monkeypatch.setattr(bootstrap, "_can_make_venv", lambda: True)
    monkeypatch.setenv("PATH", str(make_folder(tmp_path / "bin")))
    return root


@pytest.fixture
def not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 1000)


@pytest.fixture
def steps(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps as stand-ins: what was done, in order."""
    done: list[str] = []

    def stand_in(name: str) -> Callable[..., None]:
        def act(options: object, log: Path | None = None) -> None:
            done.append(name)
            if name == "venv":
                bootstrap.shutil.rmtree(options.venv, ignore_errors=True)  # type: ignore[attr-defined]
                make_folder(options.venv)  # type: ignore[attr-defined]

        return act

    monkeypatch.setattr(bootstrap, "make_venv", stand_in("venv"))
    monkeypatch.setattr(bootstrap, "install_packages", stand_in("packages"))
    monkeypatch.setattr(bootstrap, "install_horovod", stand_in("horovod"))
    return done
