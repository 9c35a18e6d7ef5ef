"""Checks of what a module imports, and of what it does while it is imported."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from tests.house.source import Source, docstrings, dotted

STANDARD_LIBRARY = frozenset(sys.stdlib_module_names)
# Calls that change the process or depend on it; a module that makes one while it is imported surprises whoever imports it.
_SIDE_EFFECTS = (
    "os.getenv",
    "os.environ.",
    "os.chdir",
    "os.umask",
    "logging.basicConfig",
    "random.seed",
    "signal.signal",
    "atexit.register",
    "torch.set_",
    "torch.manual_seed",
    "torch.use_",
    "warnings.filterwarnings",
    "warnings.simplefilter",
)
_FOR_HPC = ("v2a.stages", "v2a.comm", "v2a.tasks", "v2a.config", "v2a.interrupt", "v2a.whole")
_STATE = ("os.environ", "torch.backends", "sys.path")


@dataclass(frozen=True)
class Import:
    """One imported name: "v2a.comm.Comm" for `from v2a.comm import Comm`; "?" for a module that is computed."""

    name: str
    line: int

    def is_below(self, *roots: str) -> bool:
        """Whether it is one of these modules or inside one."""
        return any(self.name == root or self.name.startswith(root + ".") for root in roots)

    @property
    def is_private(self) -> bool:
        """Whether it, or a module on the way to it, begins with one underscore."""
        return any(part.startswith("_") and not part.startswith("__") for part in self.name.split("."))


def imports_of(source: Source) -> Iterator[Import]:
    """Every import of a file: late ones inside functions, relative ones, and those by name through importlib."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(source, node)
            yield from (Import(f"{base}.{alias.name}".lstrip("."), node.lineno) for alias in node.names)
        elif isinstance(node, ast.Call) and dotted(node.func).split(".")[-1] in ("import_module", "__import__"):
            first = node.args[0] if node.args else None
            literal = isinstance(first, ast.Constant) and isinstance(first.value, str)
            yield Import(first.value if literal else "?", node.lineno)


def _absolute(source: Source, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = source.module.split(".")
    package = parts if source.is_package else parts[:-1]
    base = package[: len(package) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def walls_broken(source: Source) -> list[str]:
    """What this file imports and must not, by the table of docs/design.md's walls."""
    package = source.path.split("/")[0]
    faults = []
    for found in imports_of(source):
        reason = _reason(package, source, found)
        if reason:
            faults.append(f"{source.path}:{found.line} imports {found.name}: {reason}")
    return faults


def _reason(package: str, source: Source, found: Import) -> str | None:
    if found.is_below("tests", "benchmarks") and package != "tests":
        return "nothing imports tests or benchmarks"
    if found.name == "?" and source.path != "v2a/stages.py" and package in ("hpc", "sweeps", "v2a", "slurm"):
        return "a computed module escapes this test; only v2a/stages.py imports by a table"
    forbidden = {
        "v2a": ("hpc", "sweeps", "slurm", "horovod", "mpi4py", "submitit", "optuna"),
        "hpc": ("sweeps", "optuna", "slurm"),
        "sweeps": ("torch", "v2a", "slurm", "horovod", "mpi4py"),
    }
    if found.is_below(*forbidden.get(package, ())):
        return f"{package} does not know {found.name.split('.')[0]}"
    if package == "hpc" and found.is_below("v2a") and not found.is_below(*_FOR_HPC):
        return f"hpc knows {', '.join(_FOR_HPC)} only"
    if (
        package in ("hpc", "sweeps", "v2a", "slurm")
        and found.is_private
        and found.is_below("hpc", "sweeps", "v2a", "slurm")
    ):
        return "what begins with _ is its own module's"
    if package in ("slurm", ".ci") and found.name.split(".")[0] not in {*STANDARD_LIBRARY, package}:
        return "it runs before anything is installed: standard library only"
    return None


def mentions(source: Source, *parts: str) -> list[str]:
    """String literals and identifiers that contain one of these texts; docstrings and comments may."""
    free = docstrings(source.tree)
    faults = []
    for node in ast.walk(source.tree):
        text = ""
        if isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)) and node not in free:
            text = str(node.value)
        elif isinstance(node, ast.Name):
            text = node.id
        elif isinstance(node, ast.Attribute):
            text = node.attr
        elif isinstance(node, (ast.arg, ast.keyword)):
            text = node.arg or ""
        faults += [f"{source.path}:{node.lineno} mentions {part}" for part in parts if part in text]
    return faults


def import_side_effects(source: Source) -> list[str]:
    """Statements that act on the process, or read its environment, while the module is imported."""
    faults = []
    for node in _at_import(source.tree):
        name = ""
        if isinstance(node, ast.Call):
            name = dotted(node.func)
            name = name if name == "print" or name.startswith(_SIDE_EFFECTS) else ""
        elif isinstance(node, ast.Subscript):
            name = dotted(node.value) if dotted(node.value) == "os.environ" else ""
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            name = dotted(node) if dotted(node).startswith(_STATE) else ""
        if name:
            faults.append(f"{source.path}:{node.lineno} uses {name} while it is imported")
    return faults


def _at_import(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes that run when the module is imported: not the bodies of functions, not `if __name__ == "__main__"`."""
    if isinstance(node, ast.If) and "__name__" in ast.dump(node.test):
        return
    yield node
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        children: list[ast.AST] = [*node.args.defaults, *(d for d in node.args.kw_defaults if d is not None)]
        children += getattr(node, "decorator_list", [])
    else:
        children = list(ast.iter_child_nodes(node))
    for child in children:
        yield from _at_import(child)
