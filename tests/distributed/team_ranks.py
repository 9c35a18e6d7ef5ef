"""Two ranks of a team: they share, agree, run two trainings, and one of them is asked to stop; run by test_team.py."""

import json
import sys
from pathlib import Path

from hpc.outcome import Stopped
from hpc.team import Team


def main(folder: Path) -> None:
    team = Team(folder)
    value = {"name": "it's $HOME\n", "number": 0.1, "list": [1, None]}
    shared = [team.share(value if team.rank == 0 else None), team.share([] if team.rank == 0 else "mine")]
    agreed = [team.any(False), team.any(team.rank == 1)]
    heard: list[int] = []

    def listen(step: int, metrics: object) -> bool:
        heard.append(step)
        return step == 3

    ended = []
    for run, ear in (("whole", None), ("pruned", listen)):
        try:
            metrics = team.run("selftest", ["steps=6"], folder / run, ear)
            ended.append(metrics["step"])
        except Stopped as error:
            ended.append(str(error))
    (folder / f"rank-{team.rank}.json").write_text(json.dumps([shared, agreed, heard, ended]))
    team.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
