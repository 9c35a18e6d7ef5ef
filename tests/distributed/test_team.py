"""Ranks that stay together for several runs, on two real ranks: what rank 0 says reaches all, and all stop at the same step."""

import json
from pathlib import Path

import pytest

from tests.distributed.launch import LAUNCHERS, launch, missing

pytestmark = pytest.mark.distributed


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_two_ranks_share_agree_and_stop_together(launcher: str, tmp_path: Path):
    if reason := missing(launcher):
        pytest.skip(reason)
    folder = tmp_path / "it's a team"
    ended = launch(launcher, ["-m", "tests.distributed.team_ranks", str(folder)])
    assert ended.status == 0, ended.output
    ranks = [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in range(2)]
    shared, agreed, heard, how = zip(*ranks, strict=True)
    assert shared[0] == shared[1] == [{"name": "it's $HOME\n", "number": 0.1, "list": [1, None]}, []]
    assert agreed[0] == agreed[1] == [False, True]
    assert heard == ([1, 2, 3], []), "rank 0 alone listens"
    assert how[0] == how[1] == [6.0, "asked to stop after step 3; the run is not finished"]
    assert json.loads((folder / "whole" / "result.json").read_text())["world_size"] == 2
    assert not (folder / "pruned" / "result.json").exists()
    assert (folder / "pruned" / "checkpoints" / "step-00000003.pt").exists(), "the checkpoint is kept"
