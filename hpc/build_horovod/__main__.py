"""`python -m hpc.build_horovod`."""

import signal
import sys

from hpc.build_horovod.cli import main


def _stop(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    # A job's end (scancel, timeout) is tidied up after as Ctrl-C is.
    signal.signal(signal.SIGTERM, _stop)
    sys.exit(main())
