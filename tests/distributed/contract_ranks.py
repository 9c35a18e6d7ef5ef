"""Program of one rank: runs the contract of `Comm` on `HorovodComm` and writes what came of each part.

python -m tests.distributed.contract_ranks FOLDER [overlapping]

With "overlapping" gradients are averaged as on GPUs, while the backward pass still runs, though they are on the CPU.
"""

import json
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path

import torch

from hpc.horovod_comm import HorovodAveraged, HorovodComm
from tests.contracts.comm import CONTRACT, CONTRACT_OF_SEVERAL
from v2a.comm import Compression


class Overlapping(HorovodComm):
    """What GPUs get."""

    def wrap_optimizer(
        self,
        optimizer: torch.optim.Optimizer,
        named_parameters: Iterable[tuple[str, torch.nn.Parameter]],
        passes: int = 1,
        compression: Compression = "none",
    ) -> HorovodAveraged:
        return self.overlapping(optimizer, list(named_parameters), passes, compression)


def main(folder: Path, overlapping: bool) -> None:
    """Write `rank-N.json`: for each part of the contract, "" or its traceback."""
    comm = Overlapping() if overlapping else HorovodComm()
    came: dict[str, str] = {"size": str(comm.size)}
    for check in (*CONTRACT, *CONTRACT_OF_SEVERAL):
        try:
            check(comm)
            came[check.__name__] = ""
        except Exception:
            came[check.__name__] = traceback.format_exc()
        # At once: the next part may be the one that hangs.
        (folder / f"rank-{comm.rank}.json").write_text(json.dumps(came))
    comm.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), overlapping="overlapping" in sys.argv[2:])
