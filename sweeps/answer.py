"""Ask a database in a thread of its own. A server that hangs, or a network that is cut, neither answers nor fails, and while its
library waits no Ctrl-C is heard; whoever asks can go away from a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
_LOOK_S = 0.1
_here = threading.local()


class _Question(threading.Thread, Generic[T]):
    def __init__(self, call: Callable[[], T], undo: Callable[[T], object]) -> None:
        super().__init__(name="storage", daemon=True)  # which the end of the process does not wait for
        self._call, self._undo = call, undo
        self._left, self._lock = False, threading.Lock()
        self.found: list[T] = []
        self.error: BaseException | None = None
        self.answered = threading.Event()

    def run(self) -> None:
        _here.asks = True
        try:
            self.found.append(self._call())
        except BaseException as error:  # raised where it is asked for
            self.error = error
        with self._lock:
            self.answered.set()
            late = self._left
        if late:
            self._forget()

    def leave(self) -> None:
        with self._lock:
            self._left = True
            there = self.answered.is_set()
        if there:
            self._forget()

    def _forget(self) -> None:
        for found in self.found:
            self._undo(found)


def ask(call: Callable[[], T], look: Callable[[float], None], undo: Callable[[T], object] = lambda _: None) -> T:
    """What a call gives.

    Args:
        call: asks the database. Within another question it is called as it is.
        look: called again and again while there is no answer, with the seconds since it was asked. What it raises ends the waiting,
            as a signal does; the call goes on by itself.
        undo: is given what comes when nobody waits for it any more.
    """
    if getattr(_here, "asks", False):
        return call()
    question = _Question(call, undo)
    begun = time.monotonic()
    question.start()
    try:
        while not question.answered.wait(_LOOK_S):
            look(time.monotonic() - begun)
    except BaseException:
        question.leave()
        raise
    if question.error is not None:
        raise question.error
    return question.found[0]
