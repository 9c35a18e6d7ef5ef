"""Every target explains itself, and CI runs the README's test command and nothing else."""

import os
import re
import subprocess

import pytest

from tests.house.documents import code_blocks, make_targets
from tests.house.shell import simple_commands
from tests.house.source import CHECKOUT

_MAKEFILE = (CHECKOUT / "Makefile").read_text()
_TARGETS = make_targets(_MAKEFILE)


def _make(*arguments: str) -> str:
    # `make test` runs this test, and its variables would make this one a make inside a make.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_target_has_a_help_text():
    assert len(_TARGETS) > 10
    assert [target for target, text in _TARGETS.items() if not text.strip()] == []


def test_no_target_is_mistaken_for_a_file():
    phony = {word for line in re.findall(r"^\.PHONY:(.*)$", _MAKEFILE, re.MULTILINE) for word in line.split()}
    assert phony == set(_TARGETS)


def test_help_lists_every_target():
    lines = _make("help").splitlines()
    assert {line.split()[1] for line in lines} == set(_TARGETS)
    assert all(line.split(maxsplit=2)[2] for line in lines)


def test_plain_make_is_help():
    assert _make() == _make("help")


@pytest.mark.parametrize("target", sorted(_TARGETS))
def test_every_target_can_be_planned(target: str):
    assert _make("--dry-run", target, "PYTHON=python3")


def test_ci_runs_the_readmes_test_command_and_nothing_else():
    script = [words for words in simple_commands((CHECKOUT / ".ci" / "run").read_text()) if words[0] != "dirname"]
    assert [words[0] for words in script[:-1]] == ["set", "cd"]
    command = script[-1][1:]
    assert script[-1][0] == "exec"
    assert command == ["make", "test"]
    readme = (CHECKOUT / "README.md").read_text()
    blocks = [code for language, code, _ in code_blocks(readme) if language in ("bash", "sh", "console")]
    assert command in [words for code in blocks for words in simple_commands(code.replace("$ ", ""))]


def test_what_runs_with_the_oldest_versions_is_there():
    """Pytest runs nothing at all when one of them is not."""
    words = _make("--dry-run", "test-oldest", "OLDEST_PYTHON=python3").split()
    paths = [word for word in words if word.startswith("tests/")]
    assert len(paths) > 10
    assert [path for path in paths if not (CHECKOUT / path).exists()] == []


def test_what_was_chosen_on_the_command_line_reaches_setup():
    plan = _make("--dry-run", "setup", "PYTHON=python3", "CONSTRAINTS=constraints/v100.txt", "EXTRAS=dev,postgres")
    assert '--this-python --constraints "constraints/v100.txt" --extras "dev,postgres" --verbose' in plan
    assert "--this-python" not in _make("--dry-run", "setup")
