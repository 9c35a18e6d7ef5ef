"""What several of these tests use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.databases.postgres import Postgres, binaries


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A real PostgreSQL server, for one file of tests."""
    if binaries() is None:
        pytest.skip("there is no PostgreSQL server: apt-get install postgresql")
    found = Postgres()
    found.start()
    yield found
    found.remove()
