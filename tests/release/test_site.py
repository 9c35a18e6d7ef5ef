"""The site of the documentation: it is built without a warning, holds every page and the API, and loads nothing from elsewhere."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.house.source import CHECKOUT, python_sources
from tests.unit.pages import chromium

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
_LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `make docs` does."""
    folder = tmp_path_factory.mktemp("site") / "site"
    command = [sys.executable, "-m", "properdocs", "build", "--config-file", "mkdocs.yml", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "WARNING" not in done.stderr
    return folder


class _Loads(HTMLParser):
    """What a page loads by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in _LOADED and values.get("rel") != "canonical":
            self.found.append(values.get(_LOADED[tag]) or "")


def test_every_document_and_every_public_module_is_there(site: Path):
    pages = {path.relative_to(site).with_suffix("").as_posix() for path in site.rglob("*.html")}
    documents = {path.stem for path in (CHECKOUT / "docs").glob("*.md")}
    assert documents | {"index", "CHANGELOG", "CONTRIBUTING"} <= pages
    text = "".join(path.read_text() for path in (site / "api").glob("*.html"))
    named = set(re.findall(r'id="([\w.]+)"', text))
    public = {source.module for source in python_sources("hpc", "sweeps", "v2a") if "._" not in source.module}
    modules = {module for module in public if not module.endswith("__main__")}
    assert len(modules) > 200
    assert sorted(modules - named) == []
    assert {"v2a.comm.Comm", "v2a.stages.run_stage", "hpc.launch.launch"} <= named


def test_nothing_is_loaded_from_elsewhere(site: Path):
    foreign = []
    for page in site.rglob("*.html"):
        loads = _Loads()
        loads.feed(page.read_text())
        foreign += [f"{page.name} loads {url}" for url in loads.found if re.match(r"(https?:)?//", url)]
    styles = [path for path in site.rglob("*.css") if re.search(r"url\(['\"]?(https?:)?//|@import", path.read_text())]
    assert foreign == []
    assert styles == []


def test_a_browser_shows_it_from_disk(site: Path):
    """No console errors, nothing asked for over the network, no sideways scrolling on a phone."""
    said: list[str] = []
    asked: list[str] = []
    with chromium() as browser:
        for width in (375, 1440):
            page = browser.new_page(viewport={"width": width, "height": 900})
            page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: said.append(str(error)))
            page.on("request", lambda request: asked.append(request.url))
            for name in ("index.html", "architecture.html", "api/v2a.media.html"):
                page.goto((site / name).as_uri())
                assert page.locator("h1").first.is_visible()
                pictures = page.evaluate("[...document.images].filter(i => !i.naturalWidth).map(i => i.src)")
                assert pictures == []
                assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} at {width} px"
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert [text for text in said if "/search/" not in text] == []  # the search alone needs a server
