"""A database that does not answer: what says so, how it is waited for, and the sentences about it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sweeps.answer import ask
from sweeps.database_url import hide_secrets
from sweeps.place import Place, StoppedWaiting, StorageError

T = TypeVar("T")
_LONGEST_PAUSE_S = 5.0
_LOOK_S = 0.2
_SILENT_S = 10.0  # before it is said that there is no answer
_HANGS_S = 60.0  # without an answer is no longer a lock that others hold
_LAST_S = 2.0  # for an answer, of one who was asked to stop
_REFUSED = re.compile(
    r"authentication failed|no password supplied|no pg_hba\.conf entry|(?:database|role) \".*\" does not exist"
)
_NO_TABLE = re.compile("no such (?:table|column)")  # SQLite's


def is_away(error: BaseException) -> bool:
    """Whether an error says that the database does not answer now, and may later."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, PendingRollbackError

    if isinstance(error, StorageInternalError) and error.__cause__ is not None:
        error = error.__cause__
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    # Optuna asks once more on the connection that broke while it read several rows; that is refused for want of a rollback.
    return lost or isinstance(error, (OperationalError, InterfaceError, PendingRollbackError))


def patiently(
    call: Callable[[], T],
    place: Place,
    patience_s: float,
    should_stop: Callable[[], bool] = lambda: False,
    undo: Callable[[T], object] = lambda _: None,
) -> T:
    """Call until the database answers.

    Args:
        call: asks it.
        place: where it is.
        patience_s: how long one that is away is waited for; one that hangs, a minute at least: others may hold a lock.
        should_stop: asked while it is waited for.
        undo: is given an answer that came when nobody waited any more.

    Raises:
        StorageError: it did not for `patience_s` seconds; names the host.
        StoppedWaiting: `should_stop` said so, and there was no answer.
    """
    waiting = _Waiting(place, patience_s, should_stop)
    while True:
        try:
            found = ask(call, waiting.look, undo) if place.kind == "postgresql" else call()
        except Exception as error:
            if not is_away(error) or _refuses(error):
                raise
            waiting.pause(error)
            continue
        waiting.end()
        return found


def or_stopped(work: Callable[[], bool], stop: Callable[[], None]) -> bool:
    """What a driver's work gives; when it ends because someone asked to stop, what it runs is told, whatever the database does.

    Args:
        work: says whether all is done.
        stop: tells what it runs; asks no database.

    Returns:
        False too when the database did not answer who was asked to stop.
    """
    try:
        return work()
    except StoppedWaiting as error:
        print(error, flush=True)
        stop()
        return False
    except KeyboardInterrupt:
        stop()
        raise


class _Waiting:
    """Waits for an answer, and says so.

    Args:
        place: see `patiently`.
        patience_s: see `patiently`.
        should_stop: see `patiently`.
    """

    def __init__(self, place: Place, patience_s: float, should_stop: Callable[[], bool]) -> None:
        self._place, self._patience_s, self._should_stop = place, patience_s, should_stop
        self._begun, self._pause_s, self._said = time.monotonic(), 0.1, False
        self._asked: float | None = None  # to stop

    def look(self, seconds: float) -> None:
        """While the database has neither answered nor failed for so many seconds."""
        what = (
            f"the study's storage {self._place.label} has not answered for {seconds:.0f} s: it hangs, or another process keeps the "
            "study locked"
        )
        if self._should_stop():
            now = time.monotonic()
            self._asked = now if self._asked is None else self._asked
            if now - self._asked >= _LAST_S:
                raise self._stopped(what)
        if seconds > max(self._patience_s, _HANGS_S):
            raise StorageError(what)
        if self._patience_s > _SILENT_S and seconds > _SILENT_S:
            self._say(what)

    def pause(self, error: Exception) -> None:
        """After the database was asked in vain."""
        what = str(away(self._place, error))
        waited = time.monotonic() - self._begun
        if waited + self._pause_s > self._patience_s:
            raise StorageError(what) from None
        if waited > 1:
            self._say(what)
        until = time.monotonic() + self._pause_s
        while (left := until - time.monotonic()) > 0:
            if self._should_stop():
                raise self._stopped(what) from None
            time.sleep(min(left, _LOOK_S))
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

    def end(self) -> None:
        """It answered."""
        if self._said:
            print(f"{self._place.label} answers again", flush=True)

    def _say(self, what: str) -> None:
        if not self._said:
            print(f"{what}; waiting for it, up to {_for(self._patience_s)}", flush=True)
            self._said = True

    def _stopped(self, what: str) -> StoppedWaiting:
        return StoppedWaiting(f"{what}; asked to stop, and so waiting no longer")


def _for(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} s"


def _refuses(error: BaseException) -> bool:
    """Whether a server answers, and will not answer otherwise later."""
    text = str(error.__cause__ or error)
    return bool(_REFUSED.search(text) or _NO_TABLE.search(text))


def away(place: Place, error: BaseException) -> StorageError:
    """The sentence for a database that does not answer."""
    return StorageError(f"the study's storage {place.label} cannot be reached: {_why(place, error)}")


@contextmanager
def sentences(place: Place) -> Iterator[None]:
    """Errors of a database that does not answer, or answers not as it should, as one that says so.

    Raises:
        StorageError: in place of them; names the host or file, never the password.
    """
    import optuna
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        if is_away(error) and not _NO_TABLE.search(str(error.__cause__ or error)):
            raise away(place, error) from None
        raise StorageError(
            f"the study's storage {place.label} does not work: {_why(place, error)}. Its tables are Optuna's own: bring them back "
            "from a copy, or name another --storage"
        ) from error
    except RuntimeError as error:
        if "table schema" not in str(error):  # the check of its tables' version
            raise
        older = "storage upgrade" in str(error)
        fix = "bring them up to date: optuna storage upgrade --storage URL" if older else "pip install -U optuna"
        raise StorageError(
            f"the tables in {place.label} are of {'an older' if older else 'a newer'} version of Optuna than {optuna.__version__}, "
            f"which is installed here: {fix}"
        ) from None


def _why(place: Place, error: BaseException) -> str:
    cause = error.__cause__ or error
    lines = str(getattr(cause, "orig", None) or cause).strip().splitlines()
    why = lines[0] if lines else type(cause).__name__
    return hide_secrets(place.url, why) if place.kind == "postgresql" else why
