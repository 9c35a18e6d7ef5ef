"""Fixtures of all tests."""

import os
import signal

import pytest

# One thread for torch in this process and in those that tests start, unless the caller chose: on a machine that is busy, two
# threads that wait for each other in every convolution make the self-test six times slower (measured on 2 cores: 12 s, 2 s).
os.environ.setdefault("OMP_NUM_THREADS", "1")

# What a script starts with & ignores Ctrl-C, and so would every program that the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Each broke some program once: the shell, argparse, OmegaConf, YAML, a printf or a glob.
HOSTILE_NAMES = (
    "with space",
    " leading and trailing ",
    "it's",
    'say "hi"',
    "semi;colon & more | pipe > out",
    "new\nline",
    "tab\there",
    "$HOME",
    "${HOME}",
    "\\${HOME}",
    "$(touch made-by-a-shell)",
    "`touch made-by-a-shell`",
    "back\\slash",
    "my clips (2)/",
    "[1, 2]",
    "{a: b}",
    "a=b",
    "-x",
    "--dry-run",
    "*",
    "~",
    "# no comment",
    "%j-%n",
    "null",
    "true",
    "1e3",
    "!!python/name:os.system",
    "Zürich",
    "",
)


@pytest.fixture(params=HOSTILE_NAMES, ids=ascii)
def hostile_name(request: pytest.FixtureRequest) -> str:
    """A value that must come out of every interface as it went in."""
    name: str = request.param
    return name
