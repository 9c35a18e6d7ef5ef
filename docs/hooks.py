"""Hooks of the documentation's site (mkdocs.yml): pages that are elsewhere in the checkout, and the pages of the API.

make docs
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_CHECKOUT = Path(__file__).resolve().parents[1]
_PAGES = {"index.md": "README.md", "CHANGELOG.md": "CHANGELOG.md", "CONTRIBUTING.md": "CONTRIBUTING.md"}
_PACKAGES = ("v2a", "hpc", "sweeps")
_LINK = re.compile(r"(\]\()([^)\s#]+)([^)]*\))")
_used: set[str] = set()  # files of the checkout that pages link to


def api_pages() -> dict[str, list[str]]:
    """Module names by page: a page for each package and for each package in it; "api/v2a.media.md"."""
    pages: dict[str, list[str]] = {}
    for package in _PACKAGES:
        for path in sorted((_CHECKOUT / package).rglob("*.py")):
            parts = path.relative_to(_CHECKOUT).with_suffix("").parts
            if any(part.startswith("_") and part != "__init__" for part in parts):
                continue
            module = ".".join(part for part in parts if part != "__init__")
            page = ".".join(parts[: min(2, len(parts) - 1)])
            pages.setdefault(f"api/{page}.md", []).append(module)
    return pages


def on_config(config: Any) -> Any:
    """Put the pages of the API into the navigation."""
    entries: dict[str, list[dict[str, str]]] = {package: [] for package in _PACKAGES}
    for page in api_pages():
        name = page.removeprefix("api/").removesuffix(".md")
        entries[name.split(".")[0]].append({name: page})
    nav = [{package: pages} for package, pages in entries.items()]
    config.nav.insert(-1, {"API": nav})
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add them, and what is not below docs/."""
    file = type(next(iter(files)))
    _used.clear()
    for page, source in _PAGES.items():
        files.append(file.generated(config, page, content=_moved((_CHECKOUT / source).read_text(), _CHECKOUT)))
    for page, modules in api_pages().items():
        title = f"::: {modules[0]}\n    options: {{heading_level: 1}}"
        body = "\n\n".join([title, *(f"::: {module}" for module in modules[1:])])
        files.append(file.generated(config, page, content=f"{body}\n"))
    for page in list(files.documentation_pages()):
        _moved(page.content_string, (_CHECKOUT / "docs" / page.src_uri).parent)
    for path in sorted(_used):
        files.append(file.generated(config, f"files/{path}.txt", abs_src_path=str(_CHECKOUT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links that leave docs/ lead to copies in the site."""
    source = _CHECKOUT / "docs" / page.file.src_uri
    return markdown if page.file.src_uri in _PAGES else _moved(markdown, source.parent)


def _moved(text: str, folder: Path) -> str:
    """The text of a file in `folder` as that of a page at the top of the site."""

    def new(match: re.Match[str]) -> str:
        target = match.group(2)
        path = (folder / target).resolve()
        if ":" in target or not path.is_relative_to(_CHECKOUT) or not path.is_file():
            return match.group()
        name = path.relative_to(_CHECKOUT).as_posix()
        known = {source: page for page, source in _PAGES.items()}
        if name in known:
            return f"{match.group(1)}{known[name]}{match.group(3)}"
        if name.startswith("docs/"):
            return f"{match.group(1)}{name.removeprefix('docs/')}{match.group(3)}"
        _used.add(name)
        return f"{match.group(1)}files/{name}.txt{match.group(3)}"

    return _LINK.sub(new, text)
