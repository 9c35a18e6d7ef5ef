"""`python -m v2a.youtube8m`."""

import signal
import sys

from v2a.youtube8m.cli import main, parser

__all__ = ["main", "parser"]


def _stop(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    # A job's end (scancel, timeout) is tidied up after as Ctrl-C is.
    signal.signal(signal.SIGTERM, _stop)
    sys.exit(main())
