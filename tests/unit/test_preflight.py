"""The flow of the preflight, its table and its command line."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hpc import preflight
from hpc.preflight import checks, parser, run_preflight, summarise
from hpc.preflight.checks import CHECKS
from hpc.preflight.finding import Finding, render
from hpc.preflight.gpu_facts import Device, Grant, TorchFacts
from hpc.world import World

ROOT = Path(__file__).parents[2]
ALONE = World(0, 1, 0, 1, "single process", "t4-1", None)
OK = Finding("one", "ok", "it is good")
WARN = Finding("second", "warn", "it is slow", "make it fast")
FAIL = Finding("third", "fail", "it is broken\nwith\x1b[31m red\udcff", "mend it")
SKIP = Finding("4", "skip", "it is not needed")


def _cli(*arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "OMPI", "HOROVOD"))}
    return subprocess.run(
        [sys.executable, "-m", "hpc.preflight", *arguments],
        cwd=cwd,
        env={**clean, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _only(monkeypatch: pytest.MonkeyPatch, **checks) -> None:
    monkeypatch.setattr("hpc.preflight.checks.CHECKS", checks)


def _run(world: World = ALONE, **more) -> list[Finding]:
    return run_preflight(world, Path("runs"), min_free_bytes=1, shared_timeout_s=0.2, **more)


@pytest.mark.parametrize("level", ["warn", "fail"])
@pytest.mark.parametrize("fix", [None, ""])
def test_a_complaint_without_a_fix_is_refused(level, fix):
    with pytest.raises(ValueError, match="needs a fix"):
        Finding("gpu", level, "it is broken", fix)


def test_a_finding_of_an_unknown_level_or_without_a_sentence_is_refused():
    with pytest.raises(ValueError, match="expected a level of ok, warn, fail, skip, but got 'bad'"):
        Finding("gpu", "bad", "x", "y")
    with pytest.raises(ValueError, match="needs a sentence"):
        Finding("gpu", "ok", "")


def test_the_table_is_aligned_with_each_fix_under_its_sentence():
    assert render([OK, WARN, SKIP], prefix="t4-1").splitlines() == [
        "t4-1  ok    one     it is good",
        "t4-1  WARN  second  it is slow",
        "t4-1                fix: make it fast",
        "t4-1  skip  4       it is not needed",
    ]


def test_control_characters_and_broken_bytes_reach_neither_table_nor_summary():
    table = render([FAIL])
    assert len(table.splitlines()) == 2
    assert r"broken\nwith\x1b[31m red\udcff" in table
    assert "\x1b" not in summarise([FAIL])
    assert len(summarise([FAIL]).splitlines()) == 2


def test_colour_is_only_there_when_asked_for():
    assert "\x1b" not in render([OK, WARN])
    assert "\x1b[33mWARN\x1b[0m" in render([OK, WARN], colour=True)


def test_long_sentences_wrap_below_themselves_and_commands_stay_whole():
    long = Finding("gpu", "fail", "word " * 20, "pip install -c constraints/a-very-long-name-that-does-not-fit.txt")
    lines = render([long], width=50).splitlines()
    assert all(line.startswith(" " * 11) for line in lines[1:])
    assert max(len(line) for line in lines if "constraints" not in line) <= 50
    assert any("constraints/a-very-long-name-that-does-not-fit.txt" in line for line in lines)


def test_the_summary_counts_and_puts_failures_first():
    assert summarise([OK, WARN, Finding("x", "fail", "bad", "mend")]).splitlines() == [
        "preflight: 1 failed, 1 to look at, 1 fine, 0 skipped",
        "FAIL x: bad; fix: mend",
        "WARN second: it is slow; fix: make it fast",
    ]


def test_a_check_that_breaks_becomes_a_failure_and_the_others_go_on(monkeypatch):
    def broken(_):
        raise KeyError("driver")

    def leaving(_):
        sys.exit(3)

    _only(
        monkeypatch,
        broken=checks._Check(broken, 5),
        leaving=checks._Check(leaving, 5),
        good=checks._Check(lambda _: [OK], 5),
    )
    broke, left, good = _run()
    assert (broke.check, broke.level, good) == ("broken", "fail", OK)
    assert "the check itself broke: KeyError: 'driver'" in broke.sentence
    assert "SystemExit" in left.sentence


def test_a_check_that_hangs_becomes_a_failure_in_time_and_checks_run_side_by_side(monkeypatch):
    never = threading.Event()

    def hang(_):
        never.wait(30)
        return [OK]

    _only(monkeypatch, first=checks._Check(hang, 0.3), second=checks._Check(hang, 0.3))
    started = time.monotonic()
    findings = _run()
    took_s = time.monotonic() - started
    never.set()
    assert [finding.level for finding in findings] == ["fail", "fail"]
    assert "did not answer within 0.3 s" in findings[0].sentence
    assert took_s < 0.55


def test_facts_for_several_checks_are_gathered_once_even_when_that_fails():
    asked = []

    def gather():
        asked.append(1)
        time.sleep(0.05)
        raise OSError("gone")

    once = checks._Once(gather)
    failures = []

    def ask():
        try:
            once()
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(asked), len(failures)) == (1, 4)


def test_only_the_first_process_of_a_node_does_what_one_can_do_for_all(monkeypatch):
    _only(
        monkeypatch,
        node=checks._Check(lambda _: [OK], 5),
        each=checks._Check(lambda _: [WARN], 5, each_process=True),
    )
    assert _run(World(0, 4, 0, 2, "srun", "t4-1", "7")) == [OK, WARN]
    assert _run(World(3, 4, 1, 2, "srun", "t4-2", "7")) == [WARN]


def test_an_unknown_check_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"no check is called gpus; the checks are: python, torch"):
        _run(only={"gpus", "gpu"})


def test_all_checks_of_the_issue_are_there():
    assert {"gpu", "nccl", "driver", "runs", "ffmpeg", "shared"} <= set(CHECKS)


def test_gpu_check_says_sharing_once_per_node(monkeypatch):
    t4 = TorchFacts("2.10.0", cuda_version="12.8", devices=(Device("Tesla T4", (7, 5), 2**34),), arch_list=("sm_75",))
    monkeypatch.setattr("hpc.preflight.gpu_facts.gather_torch", lambda: t4)
    monkeypatch.setattr("hpc.preflight.gpu_facts.read_grant", Grant)
    first = _run(World(0, 2, 0, 2, "srun", "t4-1", "7"), only={"gpu"})
    second = _run(World(1, 2, 1, 2, "srun", "t4-1", "7"), only={"gpu"})
    assert ([f.level for f in first], [f.level for f in second]) == (["ok", "warn"], ["ok"])


def test_importing_the_preflight_needs_neither_torch_nor_horovod(tmp_path):
    script = (
        "import sys\nsys.modules['torch'] = sys.modules['horovod'] = sys.modules['psutil'] = None\n"
        "import hpc.preflight\nhpc.preflight.parser()\nprint('fine')\n"
    )
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=tmp_path, env=environ
    )
    assert done.stdout == "fine\n"


def test_the_command_ends_with_1_when_something_failed_and_0_otherwise(tmp_path):
    good = _cli("--only", "runs,python", "--min-free-gb", "0", cwd=tmp_path)
    bad = _cli("--only", "runs", "--min-free-gb", "1e8", cwd=tmp_path)
    assert (good.returncode, bad.returncode) == (0, 1)
    assert "\x1b" not in good.stdout
    assert bad.stdout.startswith("FAIL  runs  ")
    assert "\n            fix: delete old runs" in bad.stdout


def test_strict_counts_warnings_as_failures(tmp_path, monkeypatch, capsys):
    _only(monkeypatch, second=checks._Check(lambda _: [WARN], 5))
    monkeypatch.chdir(tmp_path)
    assert (preflight.main([]), preflight.main(["--strict"])) == (0, 1)
    assert "fix: make it fast" in capsys.readouterr().out


def test_json_is_one_line_with_host_rank_and_findings(tmp_path):
    done = _cli("--only", "runs", "--json", "--runs", "a\nb", cwd=tmp_path)
    assert done.stdout.count("\n") == 1
    told = json.loads(done.stdout)
    assert (told["rank"], told["size"], told["findings"][0]["check"]) == (0, 1, "runs")
    assert set(told["findings"][0]) == {"check", "level", "sentence", "fix", "no_room"}


def test_a_terminal_that_knows_ascii_only_is_no_crash(tmp_path):
    done = _cli("--only", "runs", "--runs", "ü\udcff", cwd=tmp_path, PYTHONIOENCODING="ascii:strict")
    assert done.returncode == 0, done.stderr
    assert r"\xfc" in done.stdout


def test_lines_of_a_job_start_with_the_host_and_where_there_are_several_the_rank(tmp_path):
    mpi = {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_RANK": "0"}
    one = _cli("--only", "python", cwd=tmp_path, OMPI_COMM_WORLD_LOCAL_SIZE="1", **mpi)
    two = _cli("--only", "python", cwd=tmp_path, OMPI_COMM_WORLD_LOCAL_SIZE="2", **mpi)
    host = os.uname().nodename
    assert [line.startswith(f"{host}  ") for line in one.stdout.splitlines()] == [True, True]
    assert [line.startswith(f"{host} rank 1  ") for line in two.stdout.splitlines()] == [True, True]


def test_an_impossible_world_is_an_error_and_no_traceback(tmp_path):
    names = ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE")
    done = _cli("--only", "python", cwd=tmp_path, **dict.fromkeys(names, "x"))
    assert done.returncode == 2
    assert "OMPI_COMM_WORLD_RANK" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only", "gpus"], "expected names out of python, torch"),
        (["--only", ","], "expected names out of"),
        (["--min-free-gb", "nan"], "expected a number from 0 on, but got 'nan'"),
        (["--min-free-gb", "-1"], "expected a number from 0 on"),
        (["--shared-timeout", "soon"], "but got 'soon'"),
    ],
)
def test_wrong_arguments_are_told_the_rule(arguments, words, capsys):
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(arguments)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_help_shows_how_to_check_four_nodes(capsys):
    with pytest.raises(SystemExit):
        parser().parse_args(["--help"])
    assert "srun -N4 --ntasks-per-node=1 --mpi=pmix python -m hpc.preflight --runs runs" in capsys.readouterr().out
