"""`python -m v2a.shards`: see `v2a.shards.cli`."""

import sys

from v2a.shards.cli import main, parser

__all__ = ["main", "parser"]

if __name__ == "__main__":
    sys.exit(main())
