"""The contract of quantizers on one rank; tests/distributed/test_quantize.py runs the same on two."""

from collections.abc import Callable

import pytest

from tests.contracts.quantizer import CONTRACT
from v2a.comm import Comm, LocalComm


@pytest.mark.parametrize("check", CONTRACT.values(), ids=CONTRACT)
def test_one_rank_keeps_the_contract(check: Callable[[Comm], None]):
    check(LocalComm())
    assert callable(check)
