"""What docstrings say of parameters: one line for each, by its name. The site of the API is not built from others."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.house.source import python_sources

_ARGS = re.compile(r"\nArgs:\n((?: {4}.*\n?|\n)+)")


def _strange(text: str) -> Iterator[str]:
    """Names below "Args:" that are no parameters."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        found = _ARGS.search(f"\n{ast.get_docstring(node) or ''}")
        makes: ast.AST | None = node
        if isinstance(node, ast.ClassDef):
            makes = next((one for one in node.body if getattr(one, "name", "") == "__init__"), None)
        if found and isinstance(makes, (ast.FunctionDef, ast.AsyncFunctionDef)):
            given = makes.args
            known = [
                one.arg
                for one in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg)
                if one
            ]
            for name in re.findall(r"^ {4}(\S[^:\n]*):", found[1], re.M):
                if name.lstrip("*") not in known:
                    yield f"{node.lineno} {node.name}: {name}"


def test_every_name_below_args_is_a_parameter():
    faults = [
        f"{source.path}:{fault}" for source in python_sources("hpc", "sweeps", "v2a") for fault in _strange(source.text)
    ]
    assert faults == []


@pytest.mark.parametrize(("said", "found"), [("a: x", 0), ("a, b: x", 1), ("c: x", 1)])
def test_the_check_finds_other_names(said: str, found: int):
    text = f'def f(a, b):\n    """Do.\n\n    Args:\n        {said}\n    """\n'
    assert len(list(_strange(text))) == found
