"""Program of one rank, or of one process: the stage `codes`, in which rank KILLED ends itself after its N-th shard, without a word.

Ranks that are not KILLED stand still after their N-th, so that work is left however fast they are.

python -m tests.distributed.killed_codes N KILLED MODULE [ARGUMENT…]
"""

import os
import runpy
import signal
import sys
from typing import Any

from v2a.codes import job


def main(after: int, killed: int, module: str, arguments: list[str]) -> None:
    """Run MODULE as its own command."""
    whole = 0
    write = job.write_code_shard

    def write_and_die(*given: Any) -> None:
        nonlocal whole
        write(*given)
        whole += 1
        if whole < after:
            return
        if int(os.environ.get("OMPI_COMM_WORLD_RANK", "0")) == killed:
            os.kill(os.getpid(), signal.SIGKILL)
        while True:
            signal.pause()

    job.write_code_shard = write_and_die
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
