"""The command line as a whole: help, examples, and what it does not load."""

import argparse
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.youtube8m.conftest import ROOT
from v2a.youtube8m.cli import parser

STEPS = ("select", "resolve", "fetch", "review")


def _subparsers() -> dict[str, argparse.ArgumentParser]:
    actions = [action for action in parser()._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(actions[0].choices)


def _examples(text: str) -> list[str]:
    text = re.sub(r"\\\n\s*", "", text)
    commands = re.findall(r"^  python -m v2a\.youtube8m (.*)$", text, re.MULTILINE)
    return [re.split(r" {3,}", command)[0] for command in commands]


@pytest.mark.parametrize("step", ["", *STEPS])
def test_the_examples_in_help_are_ones_that_the_parser_takes(step: str):
    chosen = _subparsers()[step] if step else parser()
    examples = _examples(chosen.epilog or "")
    assert len(examples) >= 3
    for example in examples:
        options = parser().parse_args(shlex.split(example))
        assert callable(options.run), example


def test_every_step_that_writes_has_a_dry_run():
    assert tuple(_subparsers()) == STEPS
    assert all("--dry-run" in made.format_help() for made in _subparsers().values())


def test_the_command_line_loads_no_heavy_library():
    program = (
        "import sys; from v2a.youtube8m.__main__ import parser; parser()\n"
        "print(sorted({'torch', 'tfrecord', 'yt_dlp', 'av', 'PIL', 'jinja2', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_output_into_a_closed_pipe_is_no_traceback(tmp_path: Path):
    (tmp_path / "ids.csv").write_text("id\nabcd\n")
    command = [
        sys.executable,
        "-m",
        "v2a.youtube8m",
        "resolve",
        str(tmp_path / "ids.csv"),
        "--out",
        "o.csv",
        "--dry-run",
    ]
    pipe = f"{shlex.join(command)} | true"
    done = subprocess.run(["bash", "-c", pipe], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == ""
