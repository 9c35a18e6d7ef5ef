"""Set-up's steps: what is skipped, what is done again, what a failure says. Nothing is installed here."""

from pathlib import Path

import pytest

from tests.unit.bootstrap.making import bootstrap, make_folder, make_options, make_program


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


def _again(steps: list[str], options: object) -> list[str]:
    steps.clear()
    assert bootstrap.setup(options) is (steps != [])
    return steps.copy()


def test_a_second_run_does_nothing(checkout: Path, steps: list[str]):
    assert _again(steps, make_options(checkout)) == ["venv", "packages", "horovod"]
    assert _again(steps, make_options(checkout)) == []


def test_a_step_is_done_again_when_what_it_depends_on_changes(checkout: Path, steps: list[str], tmp_path: Path):
    options = make_options(checkout)
    bootstrap.setup(options)
    (checkout / "hpc" / "build_horovod" / "key.py").write_text("# another key\n")
    assert _again(steps, options) == ["horovod"]
    make_program(tmp_path, "mpicxx")
    assert _again(steps, options) == ["horovod"], "MPI came"
    (checkout / "pyproject.toml").write_text("[project]\nname='x'\n")
    assert _again(steps, options) == ["packages", "horovod"]
    (checkout / "constraints" / "cpu.txt").write_text("torch==1.1\n")
    assert _again(steps, options) == ["packages", "horovod"]
    assert _again(steps, make_options(checkout, extras="dev,postgres")) == ["packages", "horovod"]
    assert _again(steps, make_options(checkout, extras="dev,postgres")) == []


def test_another_interpreter_makes_everything_anew(checkout: Path, steps: list[str], monkeypatch: pytest.MonkeyPatch):
    bootstrap.setup(make_options(checkout))
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 99, 0))
    assert _again(steps, make_options(checkout)) == ["venv", "packages", "horovod"]


def test_an_environment_that_was_removed_is_made_again(checkout: Path, steps: list[str]):
    bootstrap.setup(make_options(checkout))
    bootstrap.shutil.rmtree(checkout / ".venv")
    assert _again(steps, make_options(checkout)) == ["venv", "packages", "horovod"]


def test_a_step_that_failed_is_where_the_next_run_goes_on(
    checkout: Path, steps: list[str], monkeypatch: pytest.MonkeyPatch
):
    def fail(options: object, log: Path) -> None:
        bootstrap.run("Python packages", ["/bin/sh", "-c", "for i in 1 2 3; do echo line $i; done; exit 9"], log)

    with monkeypatch.context() as broken:
        broken.setattr(bootstrap, "install_packages", fail)
        with pytest.raises(bootstrap.SetupError) as error:
            bootstrap.setup(make_options(checkout))
    log = checkout / "build" / "setup" / "packages.log"
    assert str(error.value) == (
        f"step 'Python packages' failed (exit 9); its log is {log}, the end of it:\n"
        "  | $ /bin/sh -c for i in 1 2 3; do echo line $i; done; exit 9\n  | line 1\n  | line 2\n  | line 3"
    )
    assert steps == ["venv"]
    assert _again(steps, make_options(checkout)) == ["packages", "horovod"]


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
        bootstrap.setup(make_options(checkout))
        assert "sudo apt-get install ffmpeg" in capsys.readouterr().err
    assert steps == ["venv", "packages", "horovod"], "the other steps are not held up by it, nor done twice"
    make_program(tmp_path, "made-up-ffmpeg")
    bootstrap.setup(make_options(checkout))
    bootstrap.setup(make_options(checkout))
    assert capsys.readouterr().err == ""


def test_an_environment_without_horovod(steps: list[str], checkout: Path):
    assert _again(steps, make_options(checkout, horovod=False)) == ["venv", "packages"]
    assert _again(steps, make_options(checkout, horovod=False)) == []
    assert bootstrap._choose(bootstrap.parser().parse_args(["--no-horovod"])).horovod is False


def test_no_compiler_leaves_horovod_out_and_says_so(
    checkout: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bootstrap, "_is_there", lambda probe: probe != "g++")
    bootstrap.install_horovod(make_options(checkout))
    assert "Horovod is left out: no compiler" in capsys.readouterr().err


def test_a_horovod_that_cannot_be_built_names_the_command(checkout: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bootstrap, "_is_there", lambda probe: True)
    python = make_folder(checkout / ".venv" / "bin") / "python"
    python.write_text("#!/bin/sh\nexit 5\n")
    python.chmod(0o755)
    with pytest.raises(
        bootstrap.SetupError, match=r"step 'Horovod' failed \(exit 5\)(?s:.*)/bin/python -m hpc.build_horovod$"
    ):
        bootstrap.install_horovod(make_options(checkout))


def test_an_environment_behind_a_link_is_not_emptied(tmp_path: Path, checkout: Path):
    other = tmp_path / "another's"
    other.mkdir()
    (other / "precious").touch()
    options = make_options(checkout)
    options.venv.symlink_to(other)
    with pytest.raises(bootstrap.SetupError, match=r"is a link to .*another's, which set-up would empty"):
        bootstrap.make_venv(options, tmp_path / "log")
    assert (other / "precious").exists()
