"""A shell script as the simple commands in it: enough of bash's grammar for the commands of documentation."""

import re
from dataclasses import dataclass, field

# What the words of a command show in place of "$(…)" and "$NAME": a digit, so that a number is still one.
UNKNOWN = "1"
_KEYWORDS = {"!", "{", "do", "elif", "else", "if", "then", "time", "until", "while"}
_ENDS = {"}", "done", "esac", "fi"}
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=.*", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:\{[^}]*\}|[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?!$-])")


@dataclass
class _Scanner:
    text: str
    at: int = 0
    word: str | None = None
    words: list[str] = field(default_factory=list)
    commands: list[list[str]] = field(default_factory=list)
    heredocs: list[str] = field(default_factory=list)
    skip_word: bool = False  # the next word is a file that is redirected

    def add(self, text: str) -> None:
        self.word = (self.word or "") + text

    def end_word(self) -> None:
        if self.word is not None and not self.skip_word:
            self.words.append(self.word)
        if self.word is not None:
            self.skip_word = False
        self.word = None

    def end_command(self) -> None:
        self.end_word()
        if self.words:
            self.commands.append(self.words)
        self.words = []


def simple_commands(script: str) -> list[list[str]]:
    """The words of every simple command, those inside "$(…)" too; assignments and keywords before a command are left out.

    Raises:
        ValueError: a quote or a parenthesis is not closed.
    """
    scanner = _Scanner(script)
    while scanner.at < len(script):
        _step(scanner)
    scanner.end_command()
    return [words for words in map(_strip, scanner.commands) if words]


def _step(s: _Scanner) -> None:
    rest, character = s.text[s.at :], s.text[s.at]
    if character == "\\":
        if rest[1:2] != "\n":
            s.add(rest[1:2])
        s.at += 2
    elif character == "'":
        end = s.text.find("'", s.at + 1)
        if end < 0:
            raise ValueError("a ' is not closed")
        s.add(s.text[s.at + 1 : end])
        s.at = end + 1
    elif character == '"':
        _double_quoted(s)
    elif character in "$`":
        _expansion(s)
    elif character == "#" and s.word is None:
        s.at += (rest + "\n").index("\n")
    elif character in " \t":
        s.end_word()
        s.at += 1
    elif match := re.match(r"\d*(?:<<<|<<-?|>>|>&|<&|&>>?|<|>)", rest):
        _redirection(s, match.group())
    elif character == "\n":
        s.end_command()
        s.at += 1
        _skip_heredocs(s)
    elif character in ";&|()":
        s.end_command()
        s.at += 1
    else:
        s.add(character)
        s.at += 1


def _redirection(s: _Scanner, operator: str) -> None:
    if operator[0].isdigit() and s.word is not None:  # the digit belongs to a word such as a2>b: bash reads a2 and >b
        digits = operator.rstrip("<>&-")
        s.add(digits)
        operator = operator[len(digits) :]
        s.at += len(digits)
    s.end_word()
    s.at += len(operator)
    if "<<" in operator and "<<<" not in operator:
        match = re.match(r"\s*['\"]?(\w+)", s.text[s.at :])
        s.heredocs.append(match.group(1) if match else "")
    s.skip_word = True


def _skip_heredocs(s: _Scanner) -> None:
    for end in s.heredocs:
        match = re.search(rf"^\s*{re.escape(end)}$", s.text[s.at :], re.MULTILINE)
        s.at += match.end() if match else len(s.text) - s.at
    s.heredocs = []


def _double_quoted(s: _Scanner) -> None:
    s.add("")
    s.at += 1
    while s.at < len(s.text) and s.text[s.at] != '"':
        if s.text[s.at] == "\\":
            s.add(s.text[s.at + 1 : s.at + 2])
            s.at += 2
        elif s.text[s.at] in "$`":
            _expansion(s)
        else:
            s.add(s.text[s.at])
            s.at += 1
    if s.at >= len(s.text):
        raise ValueError('a " is not closed')
    s.at += 1


def _expansion(s: _Scanner) -> None:
    rest = s.text[s.at :]
    if rest.startswith("$(("):
        s.at += _closing(rest, 1) + 1
        s.add(UNKNOWN)
    elif rest.startswith("$("):
        end = _closing(rest, 1)
        s.commands += simple_commands(rest[2:end])
        s.at += end + 1
        s.add(UNKNOWN)
    elif rest.startswith("`"):
        end = rest.find("`", 1)
        if end < 0:
            raise ValueError("a ` is not closed")
        s.commands += simple_commands(rest[1:end])
        s.at += end + 1
        s.add(UNKNOWN)
    elif match := _VARIABLE.match(rest):
        s.add(UNKNOWN)
        s.at += match.end()
    else:
        s.add("$")
        s.at += 1


def _closing(text: str, opening: int) -> int:
    """Index of the parenthesis that closes the one at `opening`; quotes inside hide theirs."""
    depth, quote = 0, ""
    for index in range(opening, len(text)):
        character = text[index]
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "()":
            depth += 1 if character == "(" else -1
            if depth == 0:
                return index
    raise ValueError("a ( is not closed")


def _strip(words: list[str]) -> list[str]:
    if words[0] in ("for", "case", "select", "function") or words[0] in _ENDS:
        return []
    while words and (words[0] in _KEYWORDS or _ASSIGNMENT.fullmatch(words[0])):
        words = words[1:]
    return words if not words or words[0] not in _ENDS else []
