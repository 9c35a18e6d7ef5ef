"""Open a study by its name: make it when it is new, and refuse one that is about something else."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sweeps.plan import Plan, StudyError, check_name, differences, keeps_points, plan_from
from sweeps.storage import Held, Storage
from sweeps.study import Sweep

if TYPE_CHECKING:
    from optuna import Study
    from optuna.study import StudyDirection

PLAN, MARK = "sweep", "mark"  # what a study keeps of itself


def open_sweep(storage: Storage, name: str, plan: Plan | None) -> Sweep:
    """A study; made when there is none of that name and there is a plan.

    Raises:
        StudyError: there is none; or it is about something else (shows the difference), or was made by another program.
    """
    check_name(name)
    while True:
        with storage.lock(f"sweep {name}") as held:
            found = _open(storage, name, plan, held)
        if found is not None:
            return found


def _open(storage: Storage, name: str, plan: Plan | None, held: Held) -> Sweep | None:
    """None when the lock was lost, with a database's restart: what another process has written meanwhile is not overwritten."""
    study = _load(storage, name, plan)
    if plan is not None and _is_bare(study, plan):
        if not held():
            return None
        study.set_user_attr(PLAN, plan.as_dict())
    record: Any = study.user_attrs.get(PLAN)
    there = plan_from(record, plan)
    refuse_another(name, differences(there, plan) if plan is not None else [])
    if plan is not None and not all(map(keeps_points, record["space"])):
        study.set_user_attr(PLAN, there.as_dict())  # workers take the grid from it
    mark = study.user_attrs.get(MARK)
    if mark is None and plan is not None:  # new, or of before there were marks
        mark = secrets.token_hex(8)
        if not held():
            return None
        study.set_user_attr(MARK, mark)
    return Sweep(storage, study, plan or there, str(mark or ""))


def _load(storage: Storage, name: str, plan: Plan | None) -> Study:
    import optuna

    try:
        return optuna.load_study(study_name=name, storage=storage.optuna)
    except KeyError:
        if plan is None:
            known = ", ".join(sorted(optuna.get_all_study_names(storage.optuna))) or "none"
            raise StudyError(f"there is no study {name!r} in {storage.place.label}; there are: {known}") from None
    # There already: by this very call, whose answer was lost with the database, or by another process after our lock was.
    return optuna.create_study(
        study_name=name, storage=storage.optuna, directions=_directions(plan), load_if_exists=True
    )


def _is_bare(study: Study, plan: Plan) -> bool:
    """Just made, by us or by a process that was killed before it could say what the study is about."""
    if study.user_attrs or study.get_trials(deepcopy=False):
        return False
    return list(study.directions) == _directions(plan)


def _directions(plan: Plan) -> list[StudyDirection]:
    from optuna.study import StudyDirection

    return [StudyDirection[objective.direction.upper()] for objective in plan.objectives]


def refuse_another(name: str, lines: Sequence[str]) -> None:
    """See that a study is about what it shall be about.

    Args:
        name: of the study.
        lines: how it differs.

    Raises:
        StudyError: it does; shows them.
    """
    if lines:
        raise StudyError(
            f"the study {name!r} is about something else:\n  "
            + "\n  ".join(lines)
            + "\ngo on with what it has, or choose another name with --study"
        )
