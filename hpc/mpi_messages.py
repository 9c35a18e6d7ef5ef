"""Messages between rank 0 and the other ranks of a job over MPI: a kind and what travels with it."""

from __future__ import annotations

import pickle
import time
from typing import Any

TO_LEADER, TO_RANK = 1, 2
SHORTEST_S, LONGEST_S = 0.0005, 0.01  # between two looks; a decoded clip takes some hundred ms


class RankFailed(RuntimeError):  # noqa: N818 - the name says what happened
    """Another rank raised, and its exception could not travel; the text is its own."""


def packed(kind: str, content: Any) -> tuple[str, bytes]:
    """A message whose content surely travels: an exception that cannot is replaced by its text."""
    try:
        data = pickle.dumps(content)
        pickle.loads(data)  # noqa: S301 - our own bytes
    except Exception:
        if not isinstance(content, BaseException):
            raise
        data = pickle.dumps(RankFailed(f"{type(content).__name__}: {content}"))
    return kind, data


def look(comm: Any, tag: int) -> tuple[int, str, Any] | None:
    """The next message of a tag: rank, kind and content; None when none has come."""
    from mpi4py import MPI

    status = MPI.Status()
    if not comm.iprobe(source=MPI.ANY_SOURCE, tag=tag, status=status):
        return None
    rank = status.Get_source()
    kind, data = comm.recv(source=rank, tag=tag)
    return rank, kind, pickle.loads(data)  # noqa: S301 - from another rank of this job


def wait_for(comm: Any, tag: int) -> tuple[int, str, Any]:
    """The same, when one has come; asleep between two looks."""
    pause = SHORTEST_S
    while (message := look(comm, tag)) is None:
        time.sleep(pause)
        pause = min(pause * 2, LONGEST_S)
    return message
