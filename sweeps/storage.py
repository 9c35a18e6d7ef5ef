"""Open a storage: patient with a database that is away, and with a lock for what only one process may do at a time."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from sweeps.journal import check_journal, file_lock, journal_backend
from sweeps.patience import patiently, sentences
from sweeps.place import Place, StorageError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage, RDBStorage
    from sqlalchemy.engine import Connection, Engine

T = TypeVar("T")
Held = Callable[[], bool]
Wait = Callable[..., Any]  # `patiently`, with all but what is called, and how that is undone
PATIENCE_S = 600.0  # for a database that is restarted or out of reach
# libpq's: seconds, but for the last, of milliseconds. Without them a cut network is noticed after two hours.
_BROKEN_AFTER = {
    "connect_timeout": 10, "keepalives": 1, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}  # fmt: skip
_LOCK_ENDS_AFTER = {
    "tcp_keepalives_idle": 10,
    "tcp_keepalives_interval": 5,
    "tcp_keepalives_count": 3,
}  # seconds, and tries


@dataclass(frozen=True)
class Storage:
    """An open storage.

    Attributes:
        place: where it is.
        optuna: what Optuna's studies take.
        lock: a lock by name, over all processes of all hosts that use this storage; it ends with its process. What it gives says
            whether it is still held: a database that is restarted forgets it.
    """

    place: Place
    optuna: BaseStorage
    lock: Callable[[str], AbstractContextManager[Held]]


def open_storage(
    place: Place, patience_s: float = PATIENCE_S, first_s: float = 0.0, should_stop: Callable[[], bool] = lambda: False
) -> Storage:
    """Open it; tables and files are made when missing.

    Args:
        place: where.
        patience_s: how long each later call waits for a database that is away.
        first_s: how long this call does.
        should_stop: asked while a database does not answer, now and later; then nothing is waited for longer than a moment.

    Raises:
        StoppedWaiting: `should_stop` said so; now or later.
        StorageError: it cannot be opened; names the host or file, never the password.
    """
    try:
        if place.kind != "postgresql":
            check_file(place)
            place.path.parent.mkdir(parents=True, exist_ok=True)
        if place.kind == "journal":
            return open_journal(place)
        wait = functools.partial(patiently, place=place, should_stop=should_stop)
        return _open_tables(
            place, functools.partial(wait, patience_s=patience_s), functools.partial(wait, patience_s=first_s)
        )
    except ImportError:
        raise StorageError("PostgreSQL needs psycopg: pip install 'v2a-hpc[postgres]'") from None
    except OSError as error:
        raise StorageError(f"the study's file {place.path} cannot be used: {error.strerror}") from None


def check_file(place: Place) -> None:
    """See that a journal or SQLite file is one, or can be made.

    Raises:
        StorageError: it is a folder or a device, or may not be written.
    """
    there = place.path
    while not there.exists() and there != there.parent:
        there = there.parent
    sound = (there.is_file() and there == place.path) or (there.is_dir() and there != place.path)
    if not sound or not os.access(there, os.W_OK):
        raise StorageError(f"the study's file {place.path} cannot be used: {there} is no file or folder to write to")


def open_journal(place: Place) -> Storage:
    """A journal file that is there, or that the first change will make.

    Raises:
        StorageError: it is no journal, or damaged.
    """
    from optuna.storages.journal import JournalStorage

    try:
        check_journal(str(place.path))
        storage = JournalStorage(journal_backend(str(place.path)))
    except ValueError as error:
        raise StorageError(str(error)) from None
    except (
        KeyError,
        TypeError,
        AssertionError,
    ) as error:  # each line is one of a journal's, but they do not go together
        raise StorageError(
            f"{place.path} is no journal of studies, or is damaged: {type(error).__name__}: {error}"
        ) from None
    return Storage(place, storage, functools.partial(_lock_beside, place))


def _open_tables(place: Place, wait: Wait, wait_first: Wait) -> Storage:
    from optuna.storages import BaseStorage, RDBStorage, get_storage

    database = place.kind == "postgresql"
    url = place.url if database else f"sqlite:///{place.url}"

    def open_once() -> RDBStorage:
        return RDBStorage(url, engine_kwargs={"pool_pre_ping": True, "connect_args": connect_arguments(place)})

    # Of two processes that make the tables at once one fails; it finds them made when it tries again.
    with _open_lock(place), sentences(place):
        tables = wait_first(_again_when_made(open_once))
    storage = get_storage(tables)
    for name in BaseStorage.__abstractmethods__:
        setattr(storage, name, _patient(getattr(storage, name), tables, place, wait))
    lock = functools.partial(_lock_in, tables.engine, wait) if database else functools.partial(_lock_beside, place)
    return Storage(place, storage, lock)


def connect_arguments(place: Place) -> dict[str, int]:
    """For the database's driver: how soon a connection counts as broken. What the URL says itself is left to it."""
    from sqlalchemy.engine import make_url

    if place.kind != "postgresql":
        return {"timeout": 60}
    said = make_url(place.url).query
    return {name: value for name, value in _BROKEN_AFTER.items() if name not in said}


def _again_when_made(make: Callable[[], T]) -> Callable[[], T]:
    from sqlalchemy.exc import IntegrityError, ProgrammingError

    def twice() -> T:
        try:
            return make()
        except (IntegrityError, ProgrammingError):
            return make()

    return twice


@contextmanager
def _open_lock(place: Place) -> Iterator[None]:
    if place.kind == "postgresql":
        yield
    else:
        with file_lock(f"{place.path}.lock"):
            yield


def _patient(method: Callable[..., Any], tables: RDBStorage, place: Place, wait: Wait) -> Callable[..., Any]:
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        def once() -> Any:
            try:
                return method(*args, **kwargs)
            except (StorageInternalError, SQLAlchemyError):
                with suppress(SQLAlchemyError):
                    tables.remove_session()  # what is left of a broken connection
                raise

        with sentences(place):
            return wait(once)

    return call


# --- locks ------------------------------------------------------------------------------------------------------------


@contextmanager
def _lock_beside(place: Place, name: str) -> Iterator[Held]:
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    with file_lock(f"{place.path}.{digest}.lock"):
        yield lambda: True


@contextmanager
def _lock_in(engine: Engine, wait: Wait, name: str) -> Iterator[Held]:
    """PostgreSQL's advisory lock: of a transaction, so that it ends with its connection."""
    from sqlalchemy import text
    from sqlalchemy.exc import SQLAlchemyError

    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)

    def take() -> Connection:
        connection = engine.connect()
        try:
            # A host that is cut off keeps its lock no longer than this; by itself the server notices after two hours.
            for setting, value in _LOCK_ENDS_AFTER.items():
                connection.execute(text(f"SET LOCAL {setting} = {value}"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
        except BaseException:
            connection.close()
            raise
        return connection

    connection = wait(take, undo=_give_back)

    def still_held() -> bool:
        try:
            connection.execute(text("SELECT 1"))
        except SQLAlchemyError:
            return False
        return True

    give_back = functools.partial(_give_back, connection)
    try:
        yield lambda: bool(wait(still_held))
    except BaseException:  # it is said, and not that this fails too
        with suppress(StorageError):
            wait(give_back, patience_s=0.0, should_stop=lambda: True)
        raise
    wait(give_back)


def _give_back(connection: Connection) -> None:
    from sqlalchemy.exc import SQLAlchemyError

    try:
        connection.rollback()
        connection.close()
    except SQLAlchemyError:  # the database went away meanwhile, and the lock with it
        connection.invalidate()
