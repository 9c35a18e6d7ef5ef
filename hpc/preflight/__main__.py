"""`python -m hpc.preflight`."""

import sys

from hpc.preflight.cli import main

if __name__ == "__main__":
    sys.exit(main())
