"""`.ci/bootstrap.py`: what is missing, what is skipped, what a failure says. Nothing is installed here."""

import fcntl
import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable
from pathlib import Path

import pytest

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
_TABLE = """\
# group package probe
build    g++           made-up-g++
build    cmake         made-up-cmake
cluster  slurm-wlm     made-up-slurmctld
cluster  slurm-wlm     made-up-srun
cluster  libpmix2      {folder}/lib/*/libpmix.so.2
"""


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
    monkeypatch.setenv("PATH", str(_folder(tmp_path / "bin")))
    return root


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _program(tmp_path: Path, name: str, script: str = "exit 0") -> None:
    path = _folder(tmp_path / "bin") / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def _options(root: Path, **changes: object) -> object:
    values = {
        "venv": root / ".venv",
        "constraints": root / "constraints" / "cpu.txt",
        "extras": "dev",
        "verbose": False,
    }
    return bootstrap.Options(**{**values, **changes})


# --- system packages -------------------------------------------------------------------------------------------------


def test_missing_packages_are_named_once_by_group(checkout: Path, tmp_path: Path):
    table = _TABLE.format(folder=tmp_path)
    _program(tmp_path, "made-up-cmake")
    assert bootstrap.missing_packages(table) == {"build": ["g++"], "cluster": ["slurm-wlm", "libpmix2"]}
    _program(tmp_path, "made-up-g++")
    _program(tmp_path, "made-up-slurmctld")
    assert bootstrap.missing_packages(table) == {"cluster": ["slurm-wlm", "libpmix2"]}, "it has two probes"
    _program(tmp_path, "made-up-srun")
    (_folder(tmp_path / "lib" / "x86") / "libpmix.so.2").touch()
    assert bootstrap.missing_packages(table) == {}


def test_the_interpreters_own_packages_follow_its_version(checkout: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bootstrap, "_can_make_venv", lambda: False)
    (checkout / "include" / "Python.h").unlink()
    missing = bootstrap.missing_packages("", python=(3, 12))
    assert missing == {"python": ["python3.12-venv"], "build": ["python3.12-dev"]}


def test_the_projects_table_has_a_reason_for_every_group():
    lines = [line.split() for line in (CHECKOUT / ".ci" / "system-packages.txt").read_text().splitlines()]
    rows = [line for line in lines if line and not line[0].startswith("#")]
    assert all(len(row) == 3 for row in rows)
    assert {row[0] for row in rows} | {"python"} == set(bootstrap.WITHOUT)


@pytest.fixture
def not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 1000)


def test_without_root_the_administrators_command_is_exact(checkout: Path, tmp_path: Path, not_root: None):
    (checkout / ".ci" / "system-packages.txt").write_text(_TABLE.format(folder=tmp_path))
    _program(tmp_path, "apt-get", "echo called >called")
    notes = bootstrap.install_system_packages(tmp_path / "log")
    assert notes == [
        "system packages are missing; an administrator installs them with:\n"
        "  sudo apt-get install cmake g++ libpmix2 slurm-wlm",
        "without g++, cmake works: everything but Horovod, which cannot be built: training runs in one process",
        "without slurm-wlm, libpmix2 works: everything but the test cluster; its tests are skipped",
    ]
    assert not (checkout / "called").exists()


def test_without_root_and_venv_nothing_works(
    checkout: Path, tmp_path: Path, not_root: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bootstrap, "_can_make_venv", lambda: False)
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    with pytest.raises(
        bootstrap.SetupError, match=f"sudo apt-get install python{version}-venv\n.*no virtual environment"
    ):
        bootstrap.install_system_packages(tmp_path / "log")


def test_nothing_missing_asks_nobody(checkout: Path, tmp_path: Path, not_root: None):
    assert bootstrap.install_system_packages(tmp_path / "log") == []


@pytest.fixture
def root_on_debian(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Root, with an apt-get that writes down what it is asked, and a service policy of its own."""
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 0)
    monkeypatch.setattr(bootstrap, "POLICY", tmp_path / "policy-rc.d")
    (checkout / ".ci" / "system-packages.txt").write_text("build g++ made-up-g++\n")
    calls = tmp_path / "calls"
    _program(tmp_path, "apt-get", f'echo "$*" >>{calls}; test -x {tmp_path}/policy-rc.d || echo started >>{calls}\n')
    return calls


def test_root_installs_what_is_missing(root_on_debian: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    answers = iter([{"build": ["g++"]}, {}])
    monkeypatch.setattr(bootstrap, "missing_packages", lambda table: next(answers))
    assert bootstrap.install_system_packages(tmp_path / "log") == []
    assert root_on_debian.read_text().splitlines() == [
        "-o DPkg::Lock::Timeout=600 update",
        "-o DPkg::Lock::Timeout=600 install -y --no-install-recommends g++",
    ]
    assert not (tmp_path / "policy-rc.d").exists()


def test_what_apt_installed_and_is_still_not_there_is_an_error(root_on_debian: Path, tmp_path: Path):
    with pytest.raises(bootstrap.SetupError, match=r"apt-get installed \['g\+\+'\], yet these are not found: .*log"):
        bootstrap.install_system_packages(tmp_path / "log")


def test_the_policy_goes_also_when_apt_fails(root_on_debian: Path, tmp_path: Path):
    _program(tmp_path, "apt-get", f"test -x {tmp_path}/policy-rc.d && echo E: no network >&2; exit 100")
    with pytest.raises(bootstrap.SetupError, match=r"step 'system packages' failed \(exit 100\)(?s:.*)E: no network"):
        bootstrap.install_system_packages(tmp_path / "log")
    assert not (tmp_path / "policy-rc.d").exists()


@pytest.mark.parametrize("before", ["#!/bin/sh\nexit 0\n", "", None])
def test_an_administrators_policy_is_left_alone(before: str | None, root_on_debian: Path, tmp_path: Path):
    policy = tmp_path / "policy-rc.d"
    policy.write_text(bootstrap.POLICY_TEXT if before is None else before)
    with bootstrap._services_stay_down():
        assert policy.read_text() == (bootstrap.POLICY_TEXT if before is None else before)
    assert policy.exists() is (before is not None), "one that a killed set-up left is taken away"


def test_services_that_ran_before_go_on(root_on_debian: Path, tmp_path: Path):
    """A machine's own munge or slurmd must survive the set-up of a checkout on it; what apt brings is disabled."""
    enabled = tmp_path / "enabled"
    enabled.write_text("slurmd\nmunge\n")
    _program(
        tmp_path,
        "systemctl",
        f'case $1 in is-enabled) while read s; do [ "$s" = "$3" ] && exit 0; done <{enabled}; exit 1;;\n'
        f'disable) shift; echo "$*" >>{tmp_path}/disabled;; esac',
    )
    with bootstrap._services_stay_down():
        enabled.write_text("slurmd\nmunge\nmariadb\nslurmctld\n")
    assert (tmp_path / "disabled").read_text() == "mariadb slurmctld\n"


# --- steps -----------------------------------------------------------------------------------------------------------


def test_a_fingerprint_follows_content_and_order(tmp_path: Path):
    file = tmp_path / "x"
    file.write_text("one")
    first = bootstrap.fingerprint(file, "a", (1, 2))
    assert bootstrap.fingerprint(file, "a", (1, 2)) == first
    assert bootstrap.fingerprint(file, (1, 2), "a") != first
    assert bootstrap.fingerprint(file, "a", (1, 3)) != first
    assert bootstrap.fingerprint("ab", "c") != bootstrap.fingerprint("a", "bc")
    file.write_text("two")
    assert bootstrap.fingerprint(file, "a", (1, 2)) != first


@pytest.fixture
def steps(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps as stand-ins: what was done, in order."""
    done: list[str] = []

    def stand_in(name: str) -> Callable[..., None]:
        def act(options: object, log: Path | None = None) -> None:
            done.append(name)
            if name == "venv":
                bootstrap.shutil.rmtree(options.venv, ignore_errors=True)  # type: ignore[attr-defined]
                _folder(options.venv)  # type: ignore[attr-defined]

        return act

    monkeypatch.setattr(bootstrap, "make_venv", stand_in("venv"))
    monkeypatch.setattr(bootstrap, "install_packages", stand_in("packages"))
    monkeypatch.setattr(bootstrap, "install_horovod", stand_in("horovod"))
    return done


def _again(steps: list[str], options: object) -> list[str]:
    steps.clear()
    assert bootstrap.setup(options) is (steps != [])
    return steps.copy()


def test_a_second_run_does_nothing(checkout: Path, steps: list[str]):
    assert _again(steps, _options(checkout)) == ["venv", "packages", "horovod"]
    assert _again(steps, _options(checkout)) == []


def test_a_step_is_done_again_when_what_it_depends_on_changes(checkout: Path, steps: list[str], tmp_path: Path):
    options = _options(checkout)
    bootstrap.setup(options)
    (checkout / "hpc" / "build_horovod" / "key.py").write_text("# another key\n")
    assert _again(steps, options) == ["horovod"]
    _program(tmp_path, "mpicxx")
    assert _again(steps, options) == ["horovod"], "MPI came"
    (checkout / "pyproject.toml").write_text("[project]\nname='x'\n")
    assert _again(steps, options) == ["packages", "horovod"]
    (checkout / "constraints" / "cpu.txt").write_text("torch==1.1\n")
    assert _again(steps, options) == ["packages", "horovod"]
    assert _again(steps, _options(checkout, extras="dev,postgres")) == ["packages", "horovod"]
    assert _again(steps, _options(checkout, extras="dev,postgres")) == []


def test_another_interpreter_makes_everything_anew(checkout: Path, steps: list[str], monkeypatch: pytest.MonkeyPatch):
    bootstrap.setup(_options(checkout))
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 99, 0))
    assert _again(steps, _options(checkout)) == ["venv", "packages", "horovod"]


def test_an_environment_that_was_removed_is_made_again(checkout: Path, steps: list[str]):
    bootstrap.setup(_options(checkout))
    bootstrap.shutil.rmtree(checkout / ".venv")
    assert _again(steps, _options(checkout)) == ["venv", "packages", "horovod"]


def test_a_step_that_failed_is_where_the_next_run_goes_on(
    checkout: Path, steps: list[str], monkeypatch: pytest.MonkeyPatch
):
    def fail(options: object, log: Path) -> None:
        bootstrap.run("Python packages", ["/bin/sh", "-c", "for i in 1 2 3; do echo line $i; done; exit 9"], log)

    with monkeypatch.context() as broken:
        broken.setattr(bootstrap, "install_packages", fail)
        with pytest.raises(bootstrap.SetupError) as error:
            bootstrap.setup(_options(checkout))
    log = checkout / "build" / "setup" / "packages.log"
    assert str(error.value) == (
        f"step 'Python packages' failed (exit 9); its log is {log}, the end of it:\n"
        "  | $ /bin/sh -c for i in 1 2 3; do echo line $i; done; exit 9\n  | line 1\n  | line 2\n  | line 3"
    )
    assert steps == ["venv"]
    assert _again(steps, _options(checkout)) == ["packages", "horovod"]


def test_the_last_lines_of_a_long_log_are_shown(checkout: Path, tmp_path: Path):
    with pytest.raises(bootstrap.SetupError) as error:
        bootstrap.run(
            "noisy",
            ["/bin/sh", "-c", "i=0; while [ $i -lt 99 ]; do i=$((i+1)); echo $i; done; exit 1"],
            tmp_path / "log",
        )
    assert str(error.value).splitlines()[1:] == [f"  | {number}" for number in range(88, 100)]


def test_a_command_gets_no_terminal_to_wait_at(checkout: Path, tmp_path: Path):
    bootstrap.run("asking", ["/bin/sh", "-c", "read answer; echo got:$answer"], tmp_path / "log")
    assert "got:" in (tmp_path / "log").read_text()


def test_what_is_missing_is_said_again_until_it_is_there(
    checkout: Path, steps: list[str], tmp_path: Path, not_root: None, capsys: pytest.CaptureFixture[str]
):
    (checkout / ".ci" / "system-packages.txt").write_text("media ffmpeg made-up-ffmpeg\n")
    for _ in range(2):
        bootstrap.setup(_options(checkout))
        assert "sudo apt-get install ffmpeg" in capsys.readouterr().err
    assert steps == ["venv", "packages", "horovod"], "the other steps are not held up by it, nor done twice"
    _program(tmp_path, "made-up-ffmpeg")
    bootstrap.setup(_options(checkout))
    bootstrap.setup(_options(checkout))
    assert capsys.readouterr().err == ""


def test_an_environment_without_horovod(steps: list[str], checkout: Path):
    assert _again(steps, _options(checkout, horovod=False)) == ["venv", "packages"]
    assert _again(steps, _options(checkout, horovod=False)) == []
    assert bootstrap._choose(bootstrap.parser().parse_args(["--no-horovod"])).horovod is False


def test_no_compiler_leaves_horovod_out_and_says_so(
    checkout: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bootstrap, "_is_there", lambda probe: probe != "g++")
    bootstrap.install_horovod(_options(checkout))
    assert "Horovod is left out: no compiler" in capsys.readouterr().err


def test_a_horovod_that_cannot_be_built_names_the_command(checkout: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bootstrap, "_is_there", lambda probe: True)
    python = _folder(checkout / ".venv" / "bin") / "python"
    python.write_text("#!/bin/sh\nexit 5\n")
    python.chmod(0o755)
    with pytest.raises(
        bootstrap.SetupError, match=r"step 'Horovod' failed \(exit 5\)(?s:.*)/bin/python -m hpc.build_horovod$"
    ):
        bootstrap.install_horovod(_options(checkout))


# --- the command line ------------------------------------------------------------------------------------------------


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
    _folder(checkout / ".venv" / ".setup")
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
    _folder(checkout / ".venv" / ".setup")
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
