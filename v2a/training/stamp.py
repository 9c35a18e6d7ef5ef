"""What a run's folder says of itself: which stage, with which settings, on clips of which size."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from v2a.comm import Comm
from v2a.geometry import Geometry
from v2a.whole import parse_json, write_json

FILE = "stage.json"
# Where things are and what they are called may change on the way: the data's identity is in the checkpoint.
_ELSEWHERE = ("data", "codes", "model", "device", "preset")


@dataclass(frozen=True)
class Stamp:
    """What `stage.json` is to say of a run; made by `check_stamp`.

    Attributes:
        out: the run's folder.
        content: of the file.
        changes: sentences on how the run goes on in another way than it was begun.
    """

    out: Path
    content: Mapping[str, Any]
    changes: Sequence[str]

    def write(self, comm: Comm) -> None:
        """Write it and say what changes; every rank calls it, rank 0 writes."""
        comm.barrier()  # no rank reads what rank 0 writes now
        if comm.rank == 0:
            for line in self.changes:
                print(line, flush=True)
            write_json(self.out / FILE, self.content)


def check_stamp(out: Path, stage: str, config: Any, geometry: Geometry) -> Stamp:
    """See that the run's folder is new or has the same network, and write nothing: its clips may be others still.

    Args:
        out: the run's folder.
        stage: its name.
        config: a dataclass; what it holds but "train", and where things are, makes the network and its loss.
        geometry: of the clips.

    Raises:
        ValueError: the folder holds a run with another network or loss, or on clips of another size; names the difference.
    """
    mine = {"stage": stage, "config": dataclasses.asdict(config), "geometry": geometry.as_dict()}
    there = read_stamp(out)
    if there is not None:
        was_there = {**_before(config), **_network(there)}
        different = [name for name, value in _network(mine).items() if was_there.get(name) != value]
        if different:
            was = ", ".join(f"{name}={was_there.get(name)}" for name in different)
            raise ValueError(f"{out} holds a run with {was}; go on with the same settings, or choose another folder")
    return Stamp(out, mine, _changes(there, mine))


def stamp_run(out: Path, stage: str, config: Any, geometry: Geometry, comm: Comm) -> None:
    """`check_stamp`, and write it at once; every rank calls it.

    Raises:
        ValueError: see there.
    """
    check_stamp(out, stage, config, geometry).write(comm)


def read_stamp(out: Path) -> dict[str, Any] | None:
    """What `Stamp.write` wrote; None when there is nothing.

    Raises:
        ValueError: the file is damaged.
    """
    path = out / FILE
    try:
        found: dict[str, Any] = parse_json(path.read_text())
        _network(found)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged ({error}); remove it to write it anew") from None
    return found


def _network(stamp: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names of what a checkpoint depends on."""
    config = {name: value for name, value in stamp["config"].items() if name != "train"}
    groups = {name: value for name, value in config.items() if isinstance(value, dict)} | {
        "geometry": stamp["geometry"]
    }
    leaves = {f"{group}.{name}": value for group, values in groups.items() for name, value in values.items()}
    plain = {name: value for name, value in config.items() if name not in groups and name not in _ELSEWHERE}
    return {"stage": stamp["stage"], **plain, **leaves}


def _before(config: Any) -> dict[str, Any]:
    """What settings were, in effect, before there were such: their defaults, but for those that changed what was done."""
    default = {"stage": "", "config": dataclasses.asdict(type(config)()), "geometry": {}}
    return {**_network(default), **getattr(config, "BEFORE", {})}


def _changes(there: Mapping[str, Any] | None, mine: Mapping[str, Any]) -> list[str]:
    """Sentences on how a run goes on in another way than it was begun."""
    if there is None:
        return []
    was, now = there["config"].get("train", {}), mine["config"].get("train", {})
    names = [name for name in now if name in was and was[name] != now[name]]
    return [f"train.{name} was {was[name]} in this run, and is {now[name]} from now on" for name in names]
