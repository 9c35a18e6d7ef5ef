"""Checks of Markdown documents: links, anchors, commands, examples of Python, and what must not be in any text."""

import ast
import contextlib
import doctest
import functools
import importlib
import io
import re
import subprocess
import textwrap
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.house.shell import simple_commands
from tests.house.source import CHECKOUT

SHELLS = ("bash", "sh", "shell", "console")
# Programs that a reader has, or is told to install. Ours are checked down to their arguments instead.
_PROGRAMS = """
    . [ alias apptainer apt-get awk basename bash cat cd chmod command cp curl df dirname du echo env eval exec exit export
    false ffmpeg ffprobe find free git grep head hostname ip jq kill ldd less ln ls lscpu lspci lsof mkdir module mv nano nproc nvcc
    nvidia-smi optuna ping printf ps pwd rm rsync sacct sacctmgr salloc scancel scontrol scp sed set sh shellcheck sinfo
    singularity sleep sort source sprio squeue sreport srun ssh sshare sstat strace sudo tail tar tee tensorboard test time top
    touch tr trap true tmux ulimit umask uname unset unzip uptime vi vim wait watch wc wget which xargs zip
"""
PROGRAMS = frozenset(_PROGRAMS.split())
MODULES = frozenset({
    "ensurepip", "horovod.runner.launch", "http.server", "json.tool", "mypy", "pip", "pytest", "ruff", "tensorboard", "venv",
})  # fmt: skip
OURS = ("hpc", "v2a", "sweeps", "slurm", "benchmarks")
_LAUNCHERS = frozenset({
    "apptainer", "command", "env", "exec", "horovodrun", "mpiexec", "mpirun", "nohup", "nsys", "salloc", "singularity", "srun",
    "strace", "sudo", "taskset", "time", "timeout", "xargs",
})  # fmt: skip
_PYTHON = re.compile(r"(?:.*/)?python(?:3(?:\.\d+)?)?")
_BIN = ".venv/bin/"


# --- Markdown --------------------------------------------------------------------------------------------------------


def code_blocks(text: str) -> Iterator[tuple[str, str, int]]:
    """Language, content and first line's number of every fenced block."""
    fence, language, start, lines = "", "", 0, []
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r"\s*(`{3,}|~{3,})\s*([\w+-]*)", line)
        if not fence and match:
            fence, language, start, lines = match.group(1), match.group(2), number + 1, []
        elif fence and line.strip() and set(line.strip()) == {fence[0]} and len(line.strip()) >= len(fence):
            yield language, textwrap.dedent("\n".join(lines)) + "\n", start
            fence = ""
        elif fence:
            lines.append(line)
    if fence:
        yield language, "\n".join(lines), start


def prose(text: str) -> str:
    """The text without its code, line for line."""
    kept, fence = [], ""
    for line in text.splitlines():
        match = re.match(r"\s*(`{3,}|~{3,})", line)
        if match and not fence:
            fence = match.group(1)
            kept.append("")
        elif fence:
            fence = "" if set(line.strip()) == {fence[0]} and len(line.strip()) >= len(fence) else fence
            kept.append("")
        else:
            kept.append(re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", line))
    return "\n".join(kept)


def anchors(text: str) -> set[str]:
    """What "#…" may name: headings as GitHub spells them, and explicit ids."""
    found: dict[str, int] = {}
    fenced = False
    result = set(re.findall(r"<a\s+(?:id|name)=[\"']([^\"']+)", text))
    for line in text.splitlines():
        fenced ^= bool(re.match(r"\s*(```|~~~)", line))
        match = re.match(r"#{1,6}\s+(.*?)\s*#*$", line)
        if match is None or fenced:
            continue
        title = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", match.group(1)).lower()
        slug = re.sub(r"[^\w\- ]", "", title).replace(" ", "-")
        result.add(slug if slug not in found else f"{slug}-{found[slug]}")
        found[slug] = found.get(slug, 0) + 1
    return result


def broken_links(path: str, text: str, root: Path = CHECKOUT) -> list[str]:
    """Relative links and images that lead nowhere, and "#anchors" that no heading has."""
    faults = []
    for number, line in enumerate(prose(text).splitlines(), 1):
        for target in _targets(line):
            fault = _link_fault(path, target, text, root)
            if fault:
                faults.append(f"{path}:{number} links to {target}: {fault}")
    return faults


def _targets(line: str) -> list[str]:
    found = re.findall(r"\]\(\s*(<[^>]*>|[^()\s]*(?:\([^()\s]*\)[^()\s]*)*)(?:\s+[\"'][^)]*[\"'])?\s*\)", line)
    found += re.findall(r"^\s*\[[^\]]+\]:\s*(\S+)", line)
    found += re.findall(r"(?:src|href|srcset)=[\"']([^\"']+)", line)
    return [target.strip("<>") for target in found]


def _link_fault(path: str, target: str, text: str, root: Path) -> str | None:
    if re.match(r"[a-z][a-z0-9+.-]*:", target):
        return None  # another site; whether it answers is not for a test
    name, _, anchor = target.partition("#")
    name = urllib.parse.unquote(name)
    if name.startswith("/"):
        return "a link from the root works on no checkout; make it relative"
    goal = (root / path).parent / name if name else root / path
    if name and not goal.exists():
        return "there is no such file"
    if root.resolve() not in [goal.resolve(), *goal.resolve().parents]:
        return "it leaves the repository"
    if anchor and goal.suffix == ".md":
        there = anchors(text if not name else goal.read_text())
        if anchor not in there:
            return f"no heading has that anchor; there are {', '.join(sorted(there))}"
    return None


def broken_python(path: str, text: str) -> list[str]:
    """Examples of Python, as ```python blocks or after >>>, that do not parse."""
    faults = []
    for language, code, line in code_blocks(text):
        examples = [e.source for e in doctest.DocTestParser().get_examples(code)] if ">>> " in code else []
        if language in ("python", "py") and not examples:
            examples = [code]
        for example in examples:
            try:
                ast.parse(example)
            except SyntaxError as error:
                faults.append(f"{path}:{line} Python example does not parse: {error.msg}: {example.strip()[:60]}")
    return faults


# --- commands --------------------------------------------------------------------------------------------------------


def broken_commands(path: str, text: str, root: Path = CHECKOUT) -> list[str]:
    """Commands in shell blocks that bash, make, a parser of ours or the file system would refuse."""
    faults = []
    for language, code, line in code_blocks(text):
        if language in SHELLS:
            script = _console_input(code) if language == "console" else code
            faults += [f"{path}:{line} {fault}" for fault in script_faults(script, root)]
    return faults


def _console_input(code: str) -> str:
    """What was typed in a terminal's transcript: the lines after "$ ", with the lines that they are continued on."""
    kept, more = [], False
    for line in code.splitlines():
        if more or line.startswith("$ "):
            typed = line if more else line[2:]
            kept.append(typed.removeprefix("> ") if more else typed)
            more = typed.endswith("\\")
    return "\n".join(kept) + "\n"


def typed(code: str, language: str = "bash") -> Iterator[tuple[int, str]]:
    """Number of the line, from 0, and text of each command: lines that end in a backslash or inside a quote go on; comments
    are left out."""
    script, begun = _console_input(code) if language == "console" else code, ""
    for number, line in enumerate(script.splitlines()):
        begun = _uncommented(f"{begun}\n{line}" if begun else line)
        if begun.endswith("\\"):
            begun = begun[:-1].rstrip()
        elif not _in_quotes(begun):
            if begun.strip():
                yield number, re.sub(r"\n\s+", " ", begun.strip())
            begun = ""


def _in_quotes(text: str) -> bool:
    return text.count('"') % 2 == 1 or text.count("'") % 2 == 1


def _uncommented(text: str) -> str:
    hashes = (found.start() for found in re.finditer(r"(?:^|(?<=\s))#", text))
    return next((text[:at].rstrip() for at in hashes if not _in_quotes(text[:at])), text)


def script_faults(script: str, root: Path = CHECKOUT) -> list[str]:
    """What is wrong with the commands of a shell script; nothing is run."""
    checked = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    if checked.returncode != 0 or checked.stderr:
        return [f"bash does not read it: {checked.stderr.strip()}"]
    faults = []
    for words in simple_commands(script):
        fault = _command_fault(words, root)
        if fault:
            faults.append(f"`{' '.join(words)}`: {fault}")
    return faults


def _command_fault(words: list[str], root: Path) -> str | None:
    program, arguments = words[0], words[1:]
    name = program.rpartition("/")[2] if _BIN in program else program
    if _PYTHON.fullmatch(name):
        return _python_fault(arguments, root)
    if name == "make":
        return _make_fault(arguments, root)
    if name == "sbatch":
        return _sbatch_fault(arguments, root)
    if name in _LAUNCHERS:
        inner = next((i for i, word in enumerate(arguments) if _PYTHON.fullmatch(word) or word == "make"), None)
        return _command_fault(arguments[inner:], root) if inner is not None else None
    if name in ("bash", "sh", "source", ".") and arguments and not arguments[0].startswith("-"):
        return _file_fault(arguments[0], root)
    if name in PROGRAMS or name in MODULES:
        return None
    if "/" in name:
        return _file_fault(name, root) or (
            None if (root / name).stat().st_mode & 0o100 else f"{name} is not executable"
        )
    return f"unknown program {name}; if readers have it, add it to PROGRAMS in tests/house/documents.py"


def _file_fault(name: str, root: Path) -> str | None:
    outside = name.startswith((".venv/", "/", "~")) or not name.strip("1")  # made by a command, or a variable
    return None if outside or (root / name).is_file() else f"there is no file {name}"


@functools.cache
def make_targets(text: str) -> dict[str, str]:
    """Target -> help text of a Makefile."""
    lines = [line for line in text.splitlines() if not line.startswith(".PHONY")]
    found = {}
    for line in lines:
        match = re.match(r"([A-Za-z][\w-]*)\s*:(?!=)(?:.*?## (.*))?", line)
        if match:
            found[match.group(1)] = match.group(2) or ""
    return found


def _make_fault(arguments: list[str], root: Path) -> str | None:
    targets, wanted, words = make_targets((root / "Makefile").read_text()), [], iter(arguments)
    for word in words:
        if word in ("-C", "-f", "-j"):
            next(words, None)
        elif not word.startswith("-") and "=" not in word:
            wanted.append(word)
    missing = [word for word in wanted if word not in targets]
    if not missing:
        return None
    return f"the Makefile has no target {', '.join(missing)}; it has {', '.join(sorted(targets))}"


_SBATCH_FLAGS = ("--wait", "--hold", "--requeue", "--no-requeue", "--exclusive", "--parsable", "--test-only", "--quiet")


def _sbatch_fault(arguments: list[str], root: Path) -> str | None:
    words = iter(arguments)
    for word in words:
        if word.startswith("--wrap"):
            return None
        if not word.startswith("-"):
            return _file_fault(word, root)
        valued = (word.startswith("--") and "=" not in word and word not in _SBATCH_FLAGS) or len(word) == 2
        if valued and word not in ("-W", "-H", "-Q"):
            next(words, None)
    return "there is no script to submit"


def _python_fault(arguments: list[str], root: Path) -> str | None:
    words = iter(arguments)
    for word in words:
        if word == "-m":
            return _module_fault(next(words, ""), list(words), root)
        if word == "-c":
            code = next(words, "")
            try:
                ast.parse(code)
            except SyntaxError as error:
                return f"does not parse: {error.msg}"
            return None
        if word in ("-X", "-W"):
            next(words, None)
        elif not word.startswith("-"):
            fault = _file_fault(word, root)
            module = word.removesuffix(".py").replace("/", ".")
            ours = fault is None and word.startswith("benchmarks/")
            return _parser_fault(module, list(words)) if ours else fault
    return None


def _module_fault(module: str, arguments: list[str], root: Path) -> str | None:
    if module == "horovod.runner.launch":
        inner = next((i for i, word in enumerate(arguments) if _PYTHON.fullmatch(word)), None)
        return _command_fault(arguments[inner:], root) if inner is not None else None
    if module in MODULES:
        return None
    if module.split(".", maxsplit=1)[0] not in OURS:
        return f"unknown module {module}; if readers have it, add it to MODULES in tests/house/documents.py"
    file = root / module.replace(".", "/")
    if not file.with_suffix(".py").is_file() and not (file / "__main__.py").is_file():
        return f"there is no module {module} to run"
    return _parser_fault(module, arguments)


def _parser_fault(module: str, arguments: list[str]) -> str | None:
    loaded = importlib.import_module(module)
    if not hasattr(loaded, "parser") and hasattr(loaded, "__path__"):
        loaded = importlib.import_module(f"{module}.__main__")
    if not hasattr(loaded, "parser"):
        return f"{module} has no parser(), by which its commands could be checked"
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            options = loaded.parser().parse_args(arguments)
    except SystemExit as ended:
        return None if ended.code in (0, None) else said.getvalue().strip().splitlines()[-1]
    return _settings_fault(getattr(options, "settings", None), getattr(loaded, "validate", _stage_config))


def _stage_config(settings: list[str]) -> object:
    from hpc.worker import split_stage
    from v2a.stages import load_config

    return load_config(*split_stage(settings))


def _settings_fault(settings: list[str] | None, validate: Callable[[list[str]], object]) -> str | None:
    """key=value settings are checked as the program would: those of a stage, or by the module's own `validate`."""
    if settings is None:
        return None
    try:
        validate(settings)
    except ValueError as error:
        return str(error)
    return None


# --- texts -----------------------------------------------------------------------------------------------------------

# In pieces, so that this file itself is clean.
_FORBIDDEN = {
    r"pypi\.org/" + "simple": "a registry host",
    r"files\." + "pythonhosted": "a registry host",
    r"deb\." + "debian.org": "a registry host",
    r"(?:index-url|trusted-host|find-links)[ =]+" + r"https?://": "a registry host",
    r"(?<![\w.])/(?:root|work)" + r"/\S": "a path of one machine",
    r"/home" + r"/(?!me/|you/|user/|jane/)[a-z]\w*/": "a path of one machine",
}


def foreign_texts(path: str, text: str) -> list[str]:
    """Paths of one machine and hosts of package registries."""
    return [
        f"{path}:{number} holds {kind}: {match.group()}"
        for number, line in enumerate(text.splitlines(), 1)
        for pattern, kind in _FORBIDDEN.items()
        if (match := re.search(pattern, line))
    ]
