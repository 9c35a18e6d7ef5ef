"""The door itself, called in this process."""

from pathlib import Path

from hpc import submit


def run(*arguments: str, runs: Path) -> int:
    return submit.main(["--runs", str(runs), *arguments])
