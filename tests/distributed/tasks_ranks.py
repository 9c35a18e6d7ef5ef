"""Program of one rank: runs the contract of `v2a.tasks.Tasks` on `MpiTasks` and writes what came of each part.

python -m tests.distributed.tasks_ranks FOLDER
"""

import json
import sys
import traceback
from pathlib import Path

from hpc.mpi_tasks import MpiTasks
from tests.contracts.tasks import CONTRACT, CONTRACT_OF_SEVERAL


def main(folder: Path) -> None:
    """Write `rank-N.json`: for each part of the contract, "" or its traceback."""
    tasks = MpiTasks()
    came: dict[str, str] = {"size": str(tasks.size)}
    for check in (*CONTRACT, *CONTRACT_OF_SEVERAL):
        place = folder / check.__name__
        place.mkdir(exist_ok=True)
        try:
            check(tasks, place)
            came[check.__name__] = ""
        except Exception:
            came[check.__name__] = traceback.format_exc()
        # At once: the next part may be the one that hangs.
        (folder / f"rank-{tasks.rank}.json").write_text(json.dumps(came))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
