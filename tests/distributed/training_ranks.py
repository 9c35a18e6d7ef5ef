"""Program of one rank: runs the contracts of training on `HorovodComm` and writes what came of each part.

python -m tests.distributed.training_ranks DATA FOLDER
"""

import json
import sys
import traceback
from pathlib import Path

from hpc.horovod_comm import HorovodComm
from tests.contracts import training, whole_batch


def main(data: Path, folder: Path) -> None:
    """Write `rank-N.json`: for each part of the contract, "" or its traceback."""
    comm = HorovodComm()
    came: dict[str, str] = {"size": str(comm.size)}
    for name, check in {**training.CONTRACT, **whole_batch.CONTRACT}.items():
        try:
            check(training.Place(comm, data, folder / name))
            came[name] = ""
        except Exception:
            came[name] = traceback.format_exc()
        # At once: the next part may be the one that hangs.
        (folder / f"rank-{comm.rank}.json").write_text(json.dumps(came))
    comm.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
