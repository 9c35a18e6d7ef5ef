"""Checks of the tests themselves: what asserts nothing proves nothing."""

import ast
from collections.abc import Iterable, Iterator

from tests.house.source import Source, dotted

_RAISES = ("pytest.raises", "pytest.warns", "pytest.deprecated_call", "pytest.fail")
_HELPER_NAMES = ("assert", "check", "expect")
_BUILT_IN_MARKERS = {"filterwarnings", "parametrize", "skip", "skipif", "timeout", "usefixtures", "xfail"}
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def find_tests(source: Source) -> list[_Function]:
    """Every test function and method of a file."""
    return [node for node in _functions(source) if node.name.startswith("test_")]


def asserting_helpers(sources: Iterable[Source]) -> set[str]:
    """Names of functions of the tests, assert…, check… or expect…, that assert something, if only through one another."""
    helpers = [f for s in sources for f in _functions(s) if f.name.lstrip("_").startswith(_HELPER_NAMES)]
    found: set[str] = set()
    while more := {f.name for f in helpers if f.name not in found and asserts(f, found)}:
        found |= more
    return found


def asserts(function: _Function, helpers: set[str]) -> bool:
    """Whether a function asserts, expects an exception or a warning, or calls a helper that asserts."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert) and not isinstance(node.test, ast.Constant):
            return True
        if isinstance(node, ast.Call):
            name = dotted(node.func)
            if name in _RAISES or name.split(".")[-1] in helpers:
                return True
    return False


def weak_assertions(source: Source) -> list[str]:
    """Assertions that cannot fail, or half of the time: of a constant, and `assert a == b if c else d`, which is not
    `a == (b if c else d)`."""
    return [
        f"{source.path}:{node.lineno} asserts what cannot fail"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Assert) and _cannot_fail(node.test)
    ]


def _cannot_fail(test: ast.expr) -> bool:
    if isinstance(test, ast.IfExp):
        return not all(
            isinstance(b, (ast.Compare, ast.BoolOp, ast.UnaryOp, ast.Call)) for b in (test.body, test.orelse)
        )
    return isinstance(test, (ast.Constant, ast.Tuple, ast.JoinedStr))


def markers_of(source: Source) -> set[str]:
    """Names of all pytest marks that a file uses and that pytest does not bring itself."""
    names = {dotted(node) for node in ast.walk(source.tree) if isinstance(node, ast.Attribute)}
    marks = {name.split(".")[2] for name in names if name.startswith("pytest.mark.")}
    return marks - _BUILT_IN_MARKERS


def skips_without_reason(source: Source) -> list[str]:
    """Tests that are skipped, or expected to fail, and do not say why."""
    faults = []
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and _is_skip(dotted(node.func)):
            reasons = [k.value for k in node.keywords if k.arg in ("reason", "msg")]
            # The first argument of skip is the reason, that of skipif and xfail is the condition.
            reasons += node.args[:1] if dotted(node.func).split(".")[-1] == "skip" else []
            if not reasons or (isinstance(reasons[0], ast.Constant) and not reasons[0].value):
                faults.append(f"{source.path}:{node.lineno} {dotted(node.func)} without a reason")
        for decorator in getattr(node, "decorator_list", []):
            if _is_skip(dotted(decorator)):
                faults.append(f"{source.path}:{decorator.lineno} {dotted(decorator)} without a reason")
    return faults


def _is_skip(name: str) -> bool:
    return name in ("pytest.skip", "pytest.xfail") or name in (
        "pytest.mark.skip",
        "pytest.mark.skipif",
        "pytest.mark.xfail",
    )


def silent_handlers(source: Source) -> list[str]:
    """`except:` and `except Exception:` whose body is `pass`: the error is gone and nobody knows."""
    faults = []
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler):
            wide = node.type is None or dotted(node.type) in ("Exception", "BaseException")
            if wide and all(isinstance(statement, ast.Pass) for statement in node.body):
                faults.append(f"{source.path}:{node.lineno} swallows every exception")
        if isinstance(node, ast.Call) and dotted(node.func) in ("contextlib.suppress", "suppress"):
            wide = any(dotted(argument) in ("Exception", "BaseException") for argument in node.args)
            faults += [f"{source.path}:{node.lineno} swallows every exception"] if wide else []
    return faults


def _functions(source: Source) -> Iterator[_Function]:
    return (node for node in ast.walk(source.tree) if isinstance(node, _Function))
