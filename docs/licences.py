"""Writes the table of licences in docs/licences.md from the metadata of what is installed: python docs/licences.py

Walks the requirements of pyproject.toml and theirs. tests/house/test_licences.py fails when the table is not what this makes.
"""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAGE = Path(__file__).with_name("licences.md")
BEGIN, END = "<!-- table: python docs/licences.py -->", "<!-- end of the table -->"
_EXTRAS = ("", "hpc", "sweeps", "postgres", "youtube8m")  # "" is what everybody needs
# Of GPU builds of torch only, and under NVIDIA's own licences: the page says so in a sentence.
_LEFT_OUT = ("nvidia-", "cuda-", "triton", "v2a-hpc")
# Packages whose metadata say nothing, read in the licence file that they bring.
_READ = {"hdf5plugin": "MIT; its filters under licences of their own"}


def needed() -> dict[str, str]:
    """What each package is needed by: "everything" or the first extra; requirements of requirements too."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    found: dict[str, str] = {}
    for extra in _EXTRAS:
        own = project["optional-dependencies"][extra] if extra else project["dependencies"]
        queue = [Requirement(text) for text in own]
        while queue:
            requirement = queue.pop()
            name = canonicalize_name(requirement.name)
            if name in found or name.startswith(_LEFT_OUT):
                continue
            try:
                theirs = [Requirement(text) for text in metadata.requires(name) or []]
            except metadata.PackageNotFoundError:
                continue  # of another platform or Python
            found[name] = extra or "everything"
            wanted = [{"extra": chosen} for chosen in requirement.extras] or [{"extra": ""}]
            queue += [one for one in theirs if one.marker is None or any(map(one.marker.evaluate, wanted))]
    return found


def licence_of(name: str) -> str:
    """As the package's metadata says it: the SPDX expression, else its classifiers, else the first line of the text."""
    about = metadata.metadata(name)
    if expression := about.get("License-Expression"):
        return str(expression)
    classifiers = [
        text.split(" :: ")[-1] for text in about.get_all("Classifier") or [] if text.startswith("License ::")
    ]
    if named := sorted(set(classifiers) - {"OSI Approved"}):
        return ", ".join(named)
    return ((about.get("License") or "").strip().splitlines() or [_READ.get(name, "not said")])[0][:60]


def rows() -> dict[str, str]:
    """A line of the table for each package, by name."""
    return {name: f"| {name} | {licence_of(name)} | {by} |" for name, by in sorted(needed().items())}


def main() -> None:
    """Write the table into the page; the rest of it stays."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    table = "\n".join(["| package | licence | needed by |", "|---|---|---|", *rows().values()])
    PAGE.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}")


if __name__ == "__main__":
    main()
