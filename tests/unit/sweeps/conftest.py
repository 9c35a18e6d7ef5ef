"""What several of these tests use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.databases.postgres import Postgres, serving


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A real PostgreSQL server, for one file of tests."""
    yield from serving()
