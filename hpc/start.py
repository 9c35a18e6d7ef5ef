"""Start a module with the code that this file lies in, whatever folder the job runs in.

python runs/.code/0123456789abcdef/hpc/start.py -m hpc.again --run-dir runs/vqvae-12345678 --status 1

Python itself would look for `hpc` in the folder that it is started in first, which is the checkout that goes on being edited.
"""

import os
import runpy
import sys
from pathlib import Path


def main(arguments: list[str]) -> None:
    """Run `-m MODULE ARGUMENTS`; other options before "-m" are left out."""
    root = str(Path(__file__).resolve().parents[1])
    sys.path[0] = root  # instead of this file's own folder
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = (
        root if not before else f"{root}{os.pathsep}{before}"
    )  # for processes that the module starts
    where = arguments.index("-m")
    module, sys.argv = arguments[where + 1], arguments[where + 1 :]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
