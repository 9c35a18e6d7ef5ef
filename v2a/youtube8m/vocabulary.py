"""The dataset's vocabulary: which index is which label."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from v2a.youtube8m.tables import InputError, read_table

COLUMNS = ("Index", "KnowledgeGraphId", "Name")
_ORIGIN = "it is the dataset's vocabulary.csv, from the download page of YouTube-8M"


class Vocabulary:
    """Labels by index, name, or knowledge-graph id."""

    def __init__(self, names: dict[int, str], graph_ids: dict[str, int]) -> None:
        """`names` by index, and indices by knowledge-graph id ("/m/05czz6l")."""
        self._names = names
        self._graph_ids = graph_ids
        self._indices: dict[str, list[int]] = {}
        for index, name in names.items():
            self._indices.setdefault(name.casefold(), []).append(index)

    def name(self, index: int) -> str:
        """A label's name, for people and for lists joined by ";"; "label 9999" when the vocabulary lacks it."""
        return self._names.get(index, "").replace(";", ",") or f"label {index}"

    def find(self, word: str) -> int:
        """The index of a label given by name (in any case), index, or knowledge-graph id.

        Raises:
            InputError: there is none, or several have that name; names the nearest.
        """
        word = word.strip()
        found = self._indices.get(word.casefold(), [])
        if len(found) == 1:
            return found[0]
        if len(found) > 1:
            raise InputError(f"several labels are called {word!r}; give an index: {', '.join(map(str, found))}")
        if word in self._graph_ids:
            return self._graph_ids[word]
        if word.isascii() and word.isdecimal():
            if int(word) in self._names:
                return int(word)
            raise InputError(f"expected a label's index of 0 to {max(self._names)}, but got {word}")
        raise InputError(f"there is no label {word!r}; {self._hint(word)}")

    def _hint(self, word: str) -> str:
        if word.startswith("/"):
            return "give its name or its index instead"
        parts = [name for name in self._indices if word and word.casefold() in name]
        close = difflib.get_close_matches(word.casefold(), self._indices, n=5, cutoff=0.5)
        near = list(dict.fromkeys([*close, *sorted(parts, key=len)]))[:5]
        if not near:
            return "the names are in the vocabulary's column Name"
        return "did you mean " + " or ".join(repr(self._names[self._indices[name][0]]) for name in near) + "?"


def read_vocabulary(path: Path) -> Vocabulary:
    """Read vocabulary.csv.

    Raises:
        InputError: no such file, other columns, an index that is no number or comes twice.
    """
    names: dict[int, str] = {}
    graph_ids: dict[str, int] = {}
    for number, row in enumerate(read_table(path, COLUMNS, _ORIGIN).rows, 2):
        text = row["Index"].strip()
        if not (text.isascii() and text.isdecimal()) or int(text) in names:
            raise InputError(
                f"{path}: row {number} has Index {text!r}, but expected a number that no other row has; {_ORIGIN}"
            )
        names[int(text)] = " ".join(row["Name"].split())
        graph_ids[row["KnowledgeGraphId"].strip()] = int(text)
    if not names:
        raise InputError(f"{path} has no labels; {_ORIGIN}")
    graph_ids.pop("", None)
    return Vocabulary(names, graph_ids)


def find_all(vocabulary: Vocabulary, words: Iterable[str]) -> dict[int, None]:
    """The indices of several labels, in their order, each once.

    Raises:
        InputError: as `Vocabulary.find`.
    """
    return {vocabulary.find(word): None for word in words}
