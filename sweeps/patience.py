"""A database that does not answer: what says so, how it is waited for, and the sentences about it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sweeps.database_url import hide_secrets
from sweeps.place import Place, StorageError

T = TypeVar("T")
_LONGEST_PAUSE_S = 5.0
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


def patiently(call: Callable[[], T], place: Place, patience_s: float) -> T:
    """Call until the database answers.

    Raises:
        StorageError: it did not for `patience_s` seconds; names the host.
    """
    begun, pause, said = time.monotonic(), 0.1, False
    while True:
        try:
            found = call()
        except Exception as error:
            if not is_away(error) or _refuses(error):
                raise
            if time.monotonic() - begun + pause > patience_s:
                raise away(place, error) from None
            if not said and time.monotonic() - begun > 1:
                print(f"{away(place, error)}; waiting for it, up to {_said(patience_s)}", flush=True)
                said = True
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
            continue
        if said:
            print(f"{place.label} answers again", flush=True)
        return found


def _said(seconds: float) -> str:
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
