"""Build Horovod for the installed torch, keep the wheel, install it, and prove it with two ranks.

`python -m hpc.build_horovod --help` has examples, docs/install.md says more. Importing needs neither torch nor Horovod.
"""

from hpc.build_horovod.cli import main, parser
from hpc.build_horovod.verdict import Check, check

__all__ = ["Check", "check", "main", "parser"]
