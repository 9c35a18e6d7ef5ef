"""Open a study by its name: make it when it is new, and refuse one that is about something else."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from sweeps.plan import Plan, StudyError, check_name, differences, keeps_points, plan_from
from sweeps.storage import Storage
from sweeps.study import Sweep

PLAN, MARK = "sweep", "mark"  # what a study keeps of itself


def open_sweep(storage: Storage, name: str, plan: Plan | None) -> Sweep:
    """A study; made when there is none of that name and there is a plan.

    Raises:
        StudyError: there is none; or it is about something else (shows the difference), or was made by another program.
    """
    import optuna

    check_name(name)
    with storage.lock(f"sweep {name}"):
        try:
            study = optuna.load_study(study_name=name, storage=storage.optuna)
        except KeyError:
            if plan is None:
                known = ", ".join(sorted(optuna.get_all_study_names(storage.optuna))) or "none"
                raise StudyError(f"there is no study {name!r} in {storage.place.label}; there are: {known}") from None
            directions = [objective.direction for objective in plan.objectives]
            # There already: by this very call, whose answer was lost with the database, or by another process after our lock was.
            study = optuna.create_study(
                study_name=name, storage=storage.optuna, directions=directions, load_if_exists=True
            )
            study.set_user_attr(PLAN, plan.as_dict())
        record: Any = study.user_attrs.get(PLAN)
        there = plan_from(record, plan)
        refuse_another(name, differences(there, plan) if plan is not None else [])
        if plan is not None and not all(map(keeps_points, record["space"])):
            study.set_user_attr(PLAN, there.as_dict())  # workers take the grid from it
        mark = study.user_attrs.get(MARK)
        if mark is None and plan is not None:  # new, or of before there were marks
            mark = secrets.token_hex(8)
            study.set_user_attr(MARK, mark)
    return Sweep(storage, study, plan or there, str(mark or ""))


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
