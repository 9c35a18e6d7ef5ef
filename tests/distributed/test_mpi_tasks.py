"""The contract of `Tasks` on two real MPI ranks."""

import json

import pytest

from tests.contracts.tasks import CONTRACT, CONTRACT_OF_SEVERAL
from tests.distributed.launch import launch, missing

pytestmark = pytest.mark.distributed
_NAMES = [check.__name__ for check in (*CONTRACT, *CONTRACT_OF_SEVERAL)]


@pytest.fixture(scope="module")
def came(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """What came of each part of the contract, for each rank."""
    if reason := missing("mpirun"):
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("tasks")
    ended = launch("mpirun", ["-m", "tests.distributed.tasks_ranks", str(folder)])
    assert ended.status == 0, ended.output
    return [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in range(2)]


def test_there_were_two_ranks(came: list[dict[str, str]]):
    assert [rank["size"] for rank in came] == ["2", "2"]


@pytest.mark.parametrize("name", _NAMES)
def test_mpi_tasks_keep_the_contract(name: str, came: list[dict[str, str]]):
    for rank, answers in enumerate(came):
        assert answers[name] == "", f"rank {rank}:\n{answers[name]}"
