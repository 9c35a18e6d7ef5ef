"""Program of one rank: after a first all-reduce rank 1 is gone, without a word; rank 0 writes what it then sees, and when.

python -m tests.distributed.killed_rank FOLDER SIGKILL
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import torch

from hpc.horovod_comm import HorovodComm


def main(folder: Path, end: signal.Signals) -> int:
    """Exit status 7 of rank 0: it was told."""
    # The launcher ends the other ranks when one is gone. This one is to find out by itself.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    comm = HorovodComm()
    assert comm.all_reduce(torch.ones(1)).item() == comm.size
    if comm.rank == 1:
        os.kill(os.getpid(), end)
    start = time.monotonic()
    try:
        for _ in range(1000):
            comm.all_reduce(torch.ones(1000))
    except Exception as error:
        seen = {"error": type(error).__name__, "seconds": time.monotonic() - start}
        (folder / "seen.json").write_text(json.dumps(seen))
        return 7
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), signal.Signals[sys.argv[2]]))
