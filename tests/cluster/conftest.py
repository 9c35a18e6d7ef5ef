"""One cluster for all tests that only use it; tests of up and down bring up their own."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from slurm.testbed.guards import state_folder
from tests.cluster.testbed import CHECKOUT, Testbed, traces


@pytest.fixture(scope="session", autouse=True)
def _needs_root() -> None:
    # As root a cluster that does not come up is a failure, never a skip.
    if os.geteuid() != 0:
        pytest.skip("the test cluster needs root; everything else was tested")


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A new folder with a path short enough for a cluster, which pytest's own are not; readable by everyone."""
    folder = Path(tempfile.mkdtemp(prefix="v2a", dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """A folder that every node sees: in the checkout, because a node's /tmp is its own."""
    folder = CHECKOUT / "build" / "tests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def _running() -> Iterator[Testbed]:
    testbed = Testbed(state_folder(CHECKOUT, ".cluster-test"))
    testbed("up")
    yield testbed
    testbed("down")
    assert traces(testbed.folder) == []


@pytest.fixture
def cluster(_running: Testbed) -> Iterator[Testbed]:
    """A cluster that is up and whole, and is whole again for the next test."""
    yield _running
    _running.run("scancel", "--user=root", check=False)


@pytest.fixture
def own_testbed() -> Iterator[Testbed]:
    """A cluster that is not up yet and belongs to one test."""
    testbed = Testbed(state_folder(CHECKOUT, ".cluster-test-own"))
    testbed("down")
    yield testbed
    testbed("down")
