"""The contract of quantizers on two real Horovod ranks, over Gloo and over MPI: two ranks make the codebook that one would."""

import json

import pytest

from tests.contracts.quantizer import CONTRACT
from tests.distributed.launch import LAUNCHERS, launch, missing

pytestmark = pytest.mark.distributed


@pytest.fixture(scope="module", params=LAUNCHERS)
def came(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """What came of each part of the contract, for each rank. One launch for all parts: it takes seconds."""
    if reason := missing(request.param):
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("quantize")
    ended = launch(request.param, ["-m", "tests.distributed.quantize_ranks", str(folder)])
    paths = [folder / f"rank-{rank}.json" for rank in range(2)]
    assert ended.status == 0, ended.output
    return [json.loads(path.read_text()) for path in paths]


def test_there_were_two_ranks(came: list[dict[str, str]]):
    assert [rank["size"] for rank in came] == ["2", "2"]
    assert all(set(rank) == {"size", *CONTRACT} for rank in came)


@pytest.mark.parametrize("name", CONTRACT)
def test_two_ranks_keep_the_contract(name: str, came: list[dict[str, str]]):
    for rank, answers in enumerate(came):
        assert answers[name] == "", f"rank {rank}:\n{answers[name]}"
