"""Ranks on this machine by Horovod's own launcher, with an environment that nobody else sees.

python -m hpc.gloo_launch -np 2 --gloo --network-interfaces lo python -m hpc.worker --run-dir runs/x stage=selftest

Horovod 0.28's `gloo_run` writes all of its environment into the command of each rank: passwords too, which `ps` shows to everyone
on the machine, and no more than a command may hold (128 KiB). Ranks of the same machine inherit it anyway, as its
`safe_shell_exec` gives them no other; so all but Horovod's own variables is kept out of the command. For other machines, which are
reached by ssh, this is no launcher.
"""

from __future__ import annotations

import os

_ALL_BUT_HOROVODS = "(?!HOROVOD_)"


def gloo_launcher(python: str, ranks: int) -> list[str]:
    """The beginning of a command; the program that is to be so many ranks on this machine follows.

    Args:
        python: the interpreter.
        ranks: 2 or more.
    """
    # The loopback interface: what Horovod would find by itself in a container may lead nowhere.
    return [python, "-m", "hpc.gloo_launch", "-np", str(ranks), "--gloo", "--network-interfaces", "lo"]


def main() -> None:
    """Launch them, as `horovodrun` does with the same arguments.

    Raises:
        RuntimeError: a rank ended with an error.
    """
    from horovod.runner.common.util import env
    from horovod.runner.launch import run_commandline

    env.IGNORE_REGEXES.add(_ALL_BUT_HOROVODS)
    os.environ["PYTHONUNBUFFERED"] = "1"  # which the launcher says in the command
    run_commandline()


if __name__ == "__main__":
    main()
