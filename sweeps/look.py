"""Look at a storage without writing to it: what a dry run says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sweeps.opening import PLAN, refuse_another
from sweeps.patience import sentences
from sweeps.place import Place, StorageError
from sweeps.plan import Plan, differences, plan_from
from sweeps.storage import check_file, connect_arguments, open_journal

if TYPE_CHECKING:
    from optuna import Study


def look_at(place: Place, name: str, plan: Plan) -> str:
    """How a study would begin: a new one, or one that goes on.

    Args:
        place: the storage; nothing is made in it.
        name: of the study.
        plan: what it shall be about.

    Returns:
        A sentence.

    Raises:
        StorageError: the storage cannot be used, or does not answer; names the host or file.
        StudyError: the study there is about something else (shows the difference), or was made by another program.
    """
    with sentences(place):
        study = _find(place, name)
        if study is None:
            return "a new study"
        refuse_another(name, differences(plan_from(study.user_attrs.get(PLAN), plan), plan))
        begun = len(study.get_trials(deepcopy=False))
    return f"goes on with the study that is there, and has {begun} trials"


def _find(place: Place, name: str) -> Study | None:
    import optuna

    if place.kind == "postgresql":
        return _find_in_tables(place, name)
    check_file(place)
    if not place.path.exists():
        return None
    if place.kind == "sqlite":
        return _find_in_tables(place, name)
    try:
        return optuna.load_study(study_name=name, storage=open_journal(place).optuna)
    except KeyError:
        return None


def _find_in_tables(place: Place, name: str) -> Study | None:
    import optuna
    from optuna.storages import RDBStorage

    if not has_tables(place):
        return None
    arguments = {"connect_args": connect_arguments(place)}
    storage = RDBStorage(_address(place), engine_kwargs=arguments, skip_table_creation=True)
    try:
        return optuna.load_study(study_name=name, storage=storage)
    except KeyError:
        return None


def has_tables(place: Place) -> bool:
    """Whether Optuna's tables are in a database or SQLite file: it makes them when it is told to open them.

    Raises:
        StorageError: PostgreSQL's driver is not installed.
        sqlalchemy.exc.SQLAlchemyError: it does not answer; `sweeps.patience.sentences` says so.
    """
    from sqlalchemy import create_engine, inspect

    try:
        engine = create_engine(_address(place), connect_args=connect_arguments(place))
    except ImportError:
        raise StorageError("PostgreSQL needs psycopg: pip install 'v2a-hpc[postgres]'") from None
    try:
        return inspect(engine).has_table("alembic_version")
    finally:
        engine.dispose()


def _address(place: Place) -> str:
    return place.url if place.kind == "postgresql" else f"sqlite:///{place.url}"
