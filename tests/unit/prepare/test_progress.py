"""What is said where there is no terminal."""

import io

from v2a.prepare.inputs import Inputs
from v2a.prepare.plan import Plan
from v2a.prepare.progress import Progress


def test_the_last_line_is_said_once():
    """It is told of its end again and again, until the processes are gone."""
    said = io.StringIO()
    progress = Progress(said)
    progress.begin(Inputs(), Plan())
    for done in (0, 3, 3, 3):
        progress.show(done, 3, {"clips": 3.0})
    assert said.getvalue().count("3/3 videos, 3 clips") == 1
