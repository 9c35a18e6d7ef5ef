"""The contracts of training on two real Horovod ranks: exact resume, damaged checkpoints, spoiled steps, the whole batch."""

import json
from pathlib import Path

import pytest

from tests.contracts import training, whole_batch
from tests.distributed.launch import launch, missing
from tests.distributed.moving import write_moving
from v2a.loading.dataset import ClipDataset

pytestmark = pytest.mark.distributed
_NAMES = [*training.CONTRACT, *whole_batch.CONTRACT]


@pytest.fixture(scope="module")
def came(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """What came of each part of the contracts, for each rank. One launch for all parts: it takes seconds. test_vqvae.py has both
    launchers."""
    if reason := missing("mpirun"):
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("training")
    data = write_moving(folder / "data")
    ended = launch("mpirun", ["-m", "tests.distributed.training_ranks", str(data), str(folder)], timeout_s=480)
    assert ended.status == 0, ended.output
    return [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in range(2)]


def test_there_were_two_ranks(came: list[dict[str, str]]):
    assert [rank["size"] for rank in came] == ["2", "2"]


@pytest.mark.parametrize("name", _NAMES)
def test_two_ranks_keep_the_contract(name: str, came: list[dict[str, str]]):
    for rank, answers in enumerate(came):
        assert answers[name] == "", f"rank {rank}:\n{answers[name]}"


def test_the_data_has_all_splits_and_an_odd_number_of_clips(tmp_path: Path):
    """So that epochs end inside a step."""
    data = write_moving(tmp_path / "data")
    lengths = [len(ClipDataset(data, split)) for split in ("train", "validation", "test")]
    assert lengths[0] % 2 == 1
    assert min(lengths[1:]) >= 1
