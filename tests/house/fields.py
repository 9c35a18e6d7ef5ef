"""Check for dead configuration: a field that no code reads."""

import ast
import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any, get_type_hints

from tests.house.source import Source


def dataclasses_below(schema: type[Any]) -> Iterator[type[Any]]:
    """A config dataclass and every group inside it."""
    yield schema
    for kind in get_type_hints(schema).values():
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            yield from dataclasses_below(kind)


def unread_fields(schema: type[Any], sources: Iterable[Source]) -> list[str]:
    """Fields that no code reads as an attribute.

    The dataclass's own body does not count, for validation is no use; but what a method or property reads counts when it is
    itself used. Neither does `self.x` of another class, whose own attribute that is.
    """
    read: set[str] = set()
    own: dict[str, set[str]] = {}
    for source in sources:
        for node, class_name in _with_class(source.tree, None):
            if class_name == schema.__name__ and source.module == schema.__module__:
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name != "__post_init__":
                    own[node.name] = {n.attr for n in ast.walk(node) if _is_read(n) and _of_self(n)}
            elif _is_read(node) and not (class_name and _of_self(node)):
                read.add(node.attr)
    while used := {name for name in own if name in read}:
        for name in used:
            read |= own.pop(name)
    fields = [field.name for field in dataclasses.fields(schema)]
    return [f"{schema.__module__}.{schema.__name__}.{name} is read nowhere" for name in fields if name not in read]


def _with_class(node: ast.AST, class_name: str | None) -> Iterator[tuple[Any, str | None]]:
    """Every node below, with the name of the class that it stands in."""
    for child in ast.iter_child_nodes(node):
        inside = child.name if isinstance(child, ast.ClassDef) else class_name
        yield child, inside
        yield from _with_class(child, inside)


def _is_read(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)


def _of_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
