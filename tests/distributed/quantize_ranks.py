"""Program of one rank: runs the contract of quantizers on `HorovodComm` and writes what came of each part.

python -m tests.distributed.quantize_ranks FOLDER
"""

import json
import sys
import traceback
from pathlib import Path

from hpc.horovod_comm import HorovodComm
from tests.contracts.quantizer import CONTRACT


def main(folder: Path) -> None:
    """Write `rank-N.json`: for each part of the contract, "" or its traceback."""
    comm = HorovodComm()
    came: dict[str, str] = {"size": str(comm.size)}
    for name, check in CONTRACT.items():
        try:
            check(comm)
            came[name] = ""
        except Exception:
            came[name] = traceback.format_exc()
        # At once: the next part may be the one that hangs.
        (folder / f"rank-{comm.rank}.json").write_text(json.dumps(came))
    comm.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
