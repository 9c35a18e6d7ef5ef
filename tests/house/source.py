"""The repository's own files, as the tests of the house read them."""

import ast
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGES = ("hpc", "slurm", "sweeps", "v2a")


@dataclass(frozen=True)
class Source:
    """One Python file.

    Attributes:
        path: relative to the checkout, with forward slashes.
        text: its content.
    """

    path: str
    text: str

    @property
    def module(self) -> str:
        """Dotted name, "v2a.comm"; a package's is the package's own."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def is_package(self) -> bool:
        """Whether relative imports count from the module itself."""
        return self.path.endswith("__init__.py")

    @property
    def tree(self) -> ast.Module:
        """Its syntax tree."""
        return parse(self.text, self.path)


@cache
def parse(text: str, path: str) -> ast.Module:
    """Syntax tree, made once for each file."""
    return ast.parse(text, path)


@cache
def files() -> tuple[str, ...]:
    """Every file of the checkout that is committed or could be; what .gitignore names is left out."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        paths = set(done.stdout.split("\0")) - {""}
    else:  # an archive without .git
        ignored = {".venv", ".cluster", "runs", "data", "demo", "build", "dist", "__pycache__", ".git"}
        paths = set()
        for folder, folders, names in os.walk(CHECKOUT):
            folders[:] = [f for f in folders if f not in ignored and not f.endswith((".egg-info", "_cache"))]
            paths |= {Path(folder, name).relative_to(CHECKOUT).as_posix() for name in names}
    return tuple(sorted(path for path in paths if (CHECKOUT / path).is_file()))


def python_sources(*roots: str) -> Iterator[Source]:
    """Python files below these folders, or all of them."""
    for path in files():
        if path.endswith(".py") and (not roots or path.split("/")[0] in roots):
            yield Source(path, (CHECKOUT / path).read_text())


def docstrings(tree: ast.Module) -> set[ast.Constant]:
    """The string nodes that document a module, class or function, or an attribute below its assignment."""
    found = set()
    for node in ast.walk(tree):
        for statement in getattr(node, "body", None) or [] if not isinstance(node, (ast.IfExp, ast.Lambda)) else []:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                found.add(statement.value)
    return found


def dotted(node: ast.AST) -> str:
    """ "os.environ.get" of a name or a chain of attributes; "" of anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""
