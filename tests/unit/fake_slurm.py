"""Slurm's programs as one small program that plays them: it reads the real batch script, keeps jobs in files, and refuses what it
does not know. `install` puts it on a PATH under all their names.

Files of its folder: `sinfo` (what sinfo prints, five fields), `sacct` (what it prints; without it sacct fails), `refuse` (sbatch
says this and fails), `most` (so many jobs may wait or run at once), `deny` (scancel says this and fails), `down` (the controller
does not answer), `calls` (one line for each call), `jobs/ID.json`, `jobs/ID.sh`.
"""

import json
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

NAMES = ("sinfo", "squeue", "sacct", "scontrol", "scancel", "sbatch", "srun")
TESTBED = "t4*|4|gpu:t4:4|8|infinite\ndgx|1|gpu:v100:4|16|infinite\nlow|4|gpu:t4:4|8|infinite\n"
ROSIE = (
    "teaching*|20|gpu:t4:4|72|1-00:00:00\nbatch|20|gpu:t4:4|72|2-00:00:00\nhighmem|2|gpu:t4:4|72|2-00:00:00\n"
    "dgx|3|gpu:v100:8|80|1-00:00:00\n"
)


def install(folder: Path, programs: Path, sinfo: str = TESTBED) -> "FakeSlurm":
    """Make the programs, which keep their jobs in `folder`."""
    (folder / "jobs").mkdir(parents=True)
    (folder / "sinfo").write_text(sinfo)
    (folder / "slurm.conf").touch()
    for name in NAMES:
        program = programs / name
        program.write_text(
            f"#!/bin/sh\nFAKE_SLURM={shlex.quote(str(folder))} exec {shlex.quote(sys.executable)} -S -E "
            f'{shlex.quote(__file__)} {name} "$@"\n'
        )
        program.chmod(0o755)
    return FakeSlurm(folder)


class FakeSlurm:
    """What a test sees of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def jobs(self) -> list[dict[str, Any]]:
        paths = sorted((self.folder / "jobs").glob("*.json"), key=lambda path: int(path.stem))
        return [json.loads(path.read_text()) for path in paths]

    def set(self, job_id: str, **fields: object) -> None:
        path = self.folder / "jobs" / f"{job_id}.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))

    def script(self, job_id: str) -> str:
        return (self.folder / "jobs" / f"{job_id}.sh").read_text()

    def calls(self, program: str) -> list[str]:
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if line.split()[0] == program]


# --- the programs ----------------------------------------------------------------------------------------------------


def _fail(text: str) -> int:
    print(text, file=sys.stderr)
    return 1


def _jobs(folder: Path) -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in (folder / "jobs").glob("*.json")}


def _save(folder: Path, job: dict[str, Any]) -> None:
    (folder / "jobs" / f"{job['id']}.json").write_text(json.dumps(job))


def _lives(job: dict[str, Any]) -> bool:
    return job["state"] in {"PENDING", "RUNNING"}


def _expanded(names: str) -> list[str]:
    """ "t4-[1-2]" or "t4-1,t4-3" to names."""
    found = re.fullmatch(r"(.*)\[(\d+)-(\d+)\]", names)
    return [f"{found[1]}{n}" for n in range(int(found[2]), int(found[3]) + 1)] if found else names.split(",")


def _sinfo(folder: Path, words: list[str]) -> int:
    lines = (folder / "sinfo").read_text()
    if words == ["--noheader", "--format=%P|%D|%G|%c|%l"]:
        print(lines, end="")
    elif words == ["--noheader", "--format=%P"]:
        print("\n".join(line.partition("|")[0] for line in lines.splitlines()))
    elif words[:2] == ["--noheader", "--Node"] and words[4:] == ["--format=%N"]:
        print("\n".join(_expanded(words[3].partition("=")[2])))
    else:
        return _fail(f"sinfo: unknown: {words}")
    return 0


def _sbatch(folder: Path, words: list[str]) -> int:
    if (folder / "refuse").exists():
        return _fail((folder / "refuse").read_text())
    if (folder / "most").exists() and sum(map(_lives, _jobs(folder).values())) >= int((folder / "most").read_text()):
        return _fail(
            "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit)"
        )
    script = Path(words[-1]).read_text()
    flags = {}
    for line in script.splitlines():
        if line.startswith("#SBATCH --"):
            key, _, value = line[10:].partition("=")
            flags[key] = shlex.split(value)[0] if value else ""
    while True:  # two at once get different numbers
        number = 1 + max((int(path.stem) for path in (folder / "jobs").glob("*.json")), default=4710)
        try:
            with (folder / "jobs" / f"{number}.json").open("x") as file:
                json.dump({"id": str(number), "state": "PENDING", "reason": "Priority", "flags": flags}, file)
        except FileExistsError:
            continue
        break
    (folder / "jobs" / f"{number}.sh").write_text(script)
    print(f"Submitted batch job {number}")
    return 0


def _squeue(folder: Path, words: list[str]) -> int:
    wanted = [w.partition("=")[2] for w in words if w.startswith("--jobs=")]
    jobs = _jobs(folder)
    if words[-1] == "--format=%L":
        print(jobs[wanted[0]].get("left", "1:00:00"))
        return 0
    if "--format=%A" in words:
        print("\n".join(number for number in wanted[0].split(",") if number in jobs and _lives(jobs[number])))
        return 0
    if "--format=%i|%T|%r|%S|%P|%D|%N|%L|%k|%j" not in words or "--states=all" not in words:
        return _fail(f"squeue: unknown: {words}")
    for job in jobs.values():
        flags = job["flags"]
        fields = (
            job["id"], job["state"], job.get("reason", "None"), job.get("start", "N/A"), flags.get("partition", "t4"),
            flags.get("nodes", "1"), job.get("nodes", ""), job.get("left", "1:00:00"), flags.get("comment", "(null)"),
            flags["job-name"],
        )  # fmt: skip
        if not job.get("forgotten"):
            print("|".join(fields))
    return 0


def _sacct(folder: Path, words: list[str]) -> int:
    if not (folder / "sacct").exists() or not any(word.startswith("--jobs=") for word in words):
        return _fail("sacct: Slurm accounting storage is disabled")
    print((folder / "sacct").read_text(), end="")
    return 0


def _scontrol(folder: Path, words: list[str]) -> int:
    jobs = _jobs(folder)
    if words[:3] == ["--oneliner", "show", "job"] and words[3] in jobs:
        print(f"JobId={words[3]} JobState={jobs[words[3]]['state']} Reason=None")
    elif words[:2] == ["show", "hostnames"]:
        for name, first, last in re.findall(r"([^,\[]+)(?:\[(\d+)-(\d+)\])?,?", words[2]):
            print("\n".join(f"{name}{number}" for number in range(int(first), int(last) + 1)) if first else name)
    elif words[0] == "requeue" and words[1] in jobs:
        _save(folder, {**jobs[words[1]], "state": "PENDING", "reason": "BeginTime"})
    elif words[0] == "update" and re.fullmatch(r"JobId=\d+", words[1]):
        _save(folder, {**jobs[words[1][6:]], "update": words[2:]})
    else:
        return _fail(f"scontrol: unknown: {words}")
    return 0


def _scancel(folder: Path, words: list[str]) -> int:
    jobs = _jobs(folder)
    if len(words) != 1 or words[0] not in jobs:
        return _fail(f"scancel: unknown: {words}")
    if (folder / "deny").exists():
        return _fail((folder / "deny").read_text())
    _save(folder, {**jobs[words[0]], "state": "CANCELLED"})
    return 0


def _main(folder: Path, program: str, words: list[str]) -> int:
    with (folder / "calls").open("a") as calls:
        calls.write(f"{program} {' '.join(words)}\n")
    if (folder / "down").exists():
        return _fail("slurm_load: Unable to contact slurm controller (connect failure)")
    known = {
        "sinfo": _sinfo,
        "squeue": _squeue,
        "sacct": _sacct,
        "scontrol": _scontrol,
        "scancel": _scancel,
        "sbatch": _sbatch,
    }
    return known[program](folder, words)


if __name__ == "__main__":
    sys.exit(_main(Path(os.environ["FAKE_SLURM"]), sys.argv[1], sys.argv[2:]))
