"""Set-up's command line: what it remembers, what it refuses, and two at once."""

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.unit.bootstrap.making import bootstrap, make_folder


def test_choices_are_remembered(checkout: Path, steps: list[str], monkeypatch: pytest.MonkeyPatch):
    arguments = ["--venv", str(checkout / ".venv")]
    constraints = str(checkout / "constraints" / "v100.txt")
    assert bootstrap.main([*arguments, "--constraints", constraints, "--extras", "dev,youtube8m"]) == 0
    choice = json.loads((checkout / ".venv" / ".setup" / "choice").read_text())
    assert choice == {"python": sys.executable, "constraints": constraints, "extras": "dev,youtube8m"}
    steps.clear()
    assert bootstrap.main(arguments) == 0
    assert steps == [], "a plain run keeps them"


def test_the_remembered_interpreter_takes_over(checkout: Path, monkeypatch: pytest.MonkeyPatch):
    other = checkout / "python3.12"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    make_folder(checkout / ".venv" / ".setup")
    (checkout / ".venv" / ".setup" / "choice").write_text(json.dumps({"python": str(other)}))
    taken: list[str] = []

    def stop(path: str, arguments: list[str]) -> None:
        taken.extend([path, *arguments])
        raise SystemExit(0)

    monkeypatch.setattr(bootstrap.os, "execv", stop)
    arguments = ["--venv", str(checkout / ".venv")]
    monkeypatch.setattr(bootstrap.sys, "argv", ["bootstrap.py", *arguments])
    with pytest.raises(SystemExit):
        bootstrap.main(arguments)
    assert taken == [str(other), str(other), "bootstrap.py", *arguments]
    values = bootstrap.parser().parse_args([*arguments, "--this-python"])
    assert bootstrap._choose(values).venv == checkout / ".venv"


def test_a_spoilt_choice_is_no_choice(checkout: Path):
    make_folder(checkout / ".venv" / ".setup")
    (checkout / ".venv" / ".setup" / "choice").write_text("{ cut off")
    options = bootstrap._choose(bootstrap.parser().parse_args(["--venv", str(checkout / ".venv")]))
    assert options.constraints == checkout / "constraints" / "cpu.txt"
    assert options.extras == "dev"


def test_unknown_constraints_name_the_known(checkout: Path, capsys: pytest.CaptureFixture[str]):
    assert bootstrap.main(["--venv", str(checkout / ".venv"), "--constraints", "constraints/a100.txt"]) == 1
    assert "there are constraints/cpu.txt and constraints/v100.txt" in capsys.readouterr().err


@pytest.mark.parametrize("version", [(3, 9), (3, 14)])
def test_another_python_is_refused(
    version: tuple[int, int], checkout: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bootstrap.sys, "version_info", (*version, 0))
    assert bootstrap.main(["--venv", str(checkout / ".venv")]) == 1
    assert "expected 3.10 to 3.13. Choose one with: make setup PYTHON=python3.11" in capsys.readouterr().err


def test_a_failure_is_a_sentence_and_status_1(
    checkout: Path, steps: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def fail(options: object, log: Path) -> None:
        raise bootstrap.SetupError("step 'x' failed")

    monkeypatch.setattr(bootstrap, "install_packages", fail)
    assert bootstrap.main(["--venv", str(checkout / ".venv")]) == 1
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1] == "setup: step 'x' failed"
    assert captured.out == "", 'standard output is for eval "$(make -s cluster-env)"'


def test_the_second_of_two_waits(checkout: Path, capsys: pytest.CaptureFixture[str]):
    order: list[str] = []
    inside = threading.Event()

    def second() -> None:
        inside.wait()
        with bootstrap._alone():
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with bootstrap._alone():
        inside.set()
        thread.join(timeout=0.3)
        assert thread.is_alive()
        order.append("first")
    thread.join(timeout=10)
    assert order == ["first", "second"]
    assert "another set-up of this checkout is running; waiting for it" in capsys.readouterr().err


def test_a_child_of_a_killed_setup_keeps_the_next_one_waiting(checkout: Path):
    """Two pips in one environment spoil it, and kill -9 ends only the set-up itself."""
    started = checkout / "started"
    script = (
        f"import sys; sys.path.insert(0, {str(Path(bootstrap.__file__).parent)!r}); import bootstrap; from pathlib import Path\n"
        f"bootstrap.CHECKOUT = Path({str(checkout)!r})\n"
        f"with bootstrap._alone():\n"
        f"    bootstrap.run('pip', ['/bin/sh', '-c', '>{started}; exec /bin/sleep 2'], Path({str(checkout)!r}) / 'log')\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    while not started.exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    descriptor = os.open(checkout, os.O_RDONLY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(descriptor, fcntl.LOCK_EX)  # free when the child ended
    os.close(descriptor)
