"""Version, changelog, bounds of dependencies and their constraints say the same."""

import re
import sys

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.house.source import CHECKOUT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
_TESTED_OLDEST = ("hpc", "sweeps")  # and what everybody needs


def _pins(name: str) -> dict[str, list[Version]]:
    pins: dict[str, list[Version]] = {}
    for line in (CHECKOUT / "constraints" / name).read_text().splitlines():
        if match := re.match(r"([\w.-]+)==(\S+)", line):
            pins.setdefault(canonicalize_name(match.group(1)), []).append(Version(match.group(2)))
    return pins


def _requirements(*extras: str) -> list[Requirement]:
    texts = [
        *_PROJECT["dependencies"],
        *(text for extra in extras for text in _PROJECT["optional-dependencies"][extra]),
    ]
    return [requirement for requirement in map(Requirement, texts) if requirement.name != "v2a-hpc"]


def test_the_changelog_begins_with_this_version():
    heads = re.findall(r"^## (.*)$", (CHECKOUT / "CHANGELOG.md").read_text(), re.MULTILINE)
    parts = [re.fullmatch(r"(\d+\.\d+\.\d+) \((unreleased|\d{4}-\d\d-\d\d)\)", head) for head in heads]
    versions = [Version(part.group(1)) for part in parts if part]
    assert len(versions) == len(heads) > 0, "expected headings like '## 0.1.0 (2026-11-30)' or '## 0.1.0 (unreleased)'"
    assert str(versions[0]) == _PROJECT["version"]
    assert versions == sorted(versions, reverse=True)
    assert all("unreleased" not in head for head in heads[1:])


def test_tested_versions_are_within_the_bounds():
    for name in ("cpu.txt", "v100.txt"):
        pins = _pins(name)
        for requirement in _requirements(*_TESTED_OLDEST, "postgres", "youtube8m", "docs"):
            found = pins[canonicalize_name(requirement.name)]
            assert all(version in requirement.specifier for version in found), f"{name}: {requirement}"


def test_the_oldest_versions_are_the_lower_bounds():
    """`make test-oldest` installs constraints/oldest.txt: each pin is the first release that its lower bound allows."""
    pins = _pins("oldest.txt")
    for requirement in _requirements(*_TESTED_OLDEST):
        (pin,) = pins[canonicalize_name(requirement.name)]
        (bound,) = [Version(part.version) for part in requirement.specifier if part.operator in (">=", "==")]
        length = len(bound.release)
        assert pin.release[:length] == bound.release, f"{requirement} but {pin} in constraints/oldest.txt"
