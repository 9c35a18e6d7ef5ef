"""The review page in a real Chromium."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.unit.pages import chromium
from tests.unit.youtube8m.conftest import rows_of
from v2a.youtube8m.review.entries import Review
from v2a.youtube8m.review.page import static_page
from v2a.youtube8m.review.server import ReviewServer
from v2a.youtube8m.review.thumbnails import Thumbnails
from v2a.youtube8m.tables import write_table

_SERVER_GONE = ("net::ERR_CONNECTION_REFUSED", "net::ERR_CONNECTION_RESET", "net::ERR_EMPTY_RESPONSE")
_HOSTILE = '</script><script>window.hacked = 1</script>"><img src=x onerror="window.hacked = 2">'


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


@pytest.fixture
def listed(tmp_path: Path, clips: list[bytes]) -> Path:
    """A list of eight videos: two rows name one by its span, one has a hostile title and label, one is no video."""
    rows = []
    for number in range(7):
        (tmp_path / f"v{number}.mp4").write_bytes(clips[number % 3])
        rows.append({"path": f"v{number}.mp4", "start_s": "", "end_s": "", "label": "Airplane"})
    rows[2]["label"] = _HOSTILE
    rows[3] |= {"start_s": "0.5", "end_s": "1.5", "label": "Helicopter"}
    (tmp_path / "broken.mp4").write_text("no video")
    rows.append({"path": "broken.mp4", "start_s": "", "end_s": "", "label": ""})
    write_table(tmp_path / "videos.csv", list(rows[0]), rows)
    titles = {"v2.mp4": _HOSTILE, "v4.mp4": "a title of one very long word " + "x" * 200}
    write_table(tmp_path / "fetched.csv", ["file", "title"], [{"file": f, "title": t} for f, t in titles.items()])
    return tmp_path / "videos.csv"


@pytest.fixture
def server(listed: Path) -> Iterator[ReviewServer]:
    with ReviewServer(Review(listed), 0) as made:
        threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open an address; at the end no page may have complained, nor run what a title smuggled in."""
    contexts, complaints = [], []

    def make(url: str, width: int = 1440, height: int = 900, scheme: str = "light") -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        return page

    yield make
    for context in contexts:
        for page in context.pages:
            assert page.evaluate("window.hacked") is None
        context.close()
    assert [text for text in complaints if not text.endswith(_SERVER_GONE)] == []


def _keeps(listed: Path) -> list[str]:
    return [row.get("keep", "") for row in rows_of(listed)]


def _saved(page: Page) -> None:
    expect(page.locator("#state")).to_have_text("saved")
    expect(page.locator(".unsaved")).to_have_count(0)


def _until(page: Page, true: str) -> None:
    """Wait; playwright's own wait_for_function evaluates text inside the page, which its policy forbids."""
    deadline = time.monotonic() + 10
    while not page.evaluate(true):
        assert time.monotonic() < deadline, true
        page.wait_for_timeout(20)


def test_a_click_is_in_the_list_and_stays_after_loading_again(server: ReviewServer, listed: Path, open_page):
    page = open_page(server.url)
    page.locator(".card .keep").nth(1).click()
    page.locator(".card .drop").nth(2).click()
    _saved(page)
    assert _keeps(listed) == ["", "yes", "no", "", "", "", "", ""]
    page.reload()
    expect(page.locator(".card").nth(1)).to_have_attribute("data-keep", "yes")
    expect(page.locator(".card .drop").nth(2)).to_have_attribute("aria-pressed", "true")
    page.locator(".card .drop").nth(1).click()
    page.locator(".card .drop").nth(2).click()  # a second time takes it back
    _saved(page)
    assert _keeps(listed) == ["", "no", "", "", "", "", "", ""]


def test_the_keyboard_alone_is_enough(server: ReviewServer, listed: Path, open_page):
    page = open_page(server.url)
    for key in ("k", "d", "k", "ArrowRight", "d", "u", "u", "d"):
        page.keyboard.press(key)
    _saved(page)
    assert _keeps(listed) == ["yes", "no", "no", "", "", "", "", ""]
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowDown")
    columns = page.evaluate("columns()")
    assert page.locator(".card.here").get_attribute("data-row") == str(columns)
    page.keyboard.press("/")
    page.keyboard.type("kd")
    assert page.locator("#search").input_value() == "kd", "keys belong to the search while one types there"
    assert _keeps(listed)[:3] == ["yes", "no", "no"]


def test_filters_counts_and_search(server: ReviewServer, open_page):
    page = open_page(server.url)
    page.keyboard.press("k")
    page.keyboard.press("d")
    texts = [page.locator(f"[data-filter={name}]").inner_text() for name in ("all", "open", "yes", "no")]
    assert texts == ["All 8", "Open 6", "Kept 1", "Dropped 1"]
    visible = page.locator(".card:visible")
    page.locator("[data-filter=open]").click()
    expect(visible).to_have_count(6)
    page.locator("[data-filter=no]").click()
    expect(visible).to_have_count(1)
    page.locator("[data-filter=all]").click()
    page.locator("#search").fill("HELIC")
    expect(visible).to_have_count(1)
    page.locator("#search").fill("nothing of this name")
    expect(page.locator("#none")).to_be_visible()


def test_a_video_plays_its_span_and_decisions_go_on_there(server: ReviewServer, listed: Path, open_page):
    page = open_page(server.url)
    page.locator(".picture").nth(3).click()
    expect(page.locator("#player")).to_be_visible()
    _until(page, "document.querySelector('video').currentTime >= 1.4 && document.querySelector('video').paused")
    assert not page.evaluate("document.querySelector('video').ended"), (
        "it stops where the span ends, before the video does"
    )
    page.keyboard.press("k")
    expect(page.locator("#player h2")).to_contain_text("a title of one very long word")
    page.locator("#player .drop").click()
    page.keyboard.press("Escape")
    expect(page.locator("#player")).to_be_hidden()
    _saved(page)
    assert _keeps(listed)[3:5] == ["yes", "no"]


def test_what_cannot_be_played_is_said_and_can_be_dropped(server: ReviewServer, listed: Path, open_page):
    page = open_page(server.url)
    page.locator(".picture").nth(7).click()
    expect(page.locator("#trouble")).to_contain_text("This browser cannot play broken.mp4")
    page.keyboard.press("d")
    _saved(page)
    assert _keeps(listed)[7] == "no"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 375, 1440])
def test_nothing_is_wider_than_the_screen(width: int, scheme: str, server: ReviewServer, open_page):
    page = open_page(server.url, width, 800, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    outside = (
        "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1).length"
    )
    assert page.evaluate(outside) == 0
    page.locator(".picture").nth(4).click()
    box = page.locator("#player").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    buttons = [page.locator(".card button.keep").first.bounding_box(), page.locator("#player .keep").bounding_box()]
    assert all(button is not None and button["height"] >= 38 and button["width"] >= 44 for button in buttons)
    back = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert (sum(map(int, back[4:-1].split(","))) < 200) is (scheme == "dark")


def test_a_hostile_title_is_shown_as_it_is(server: ReviewServer, open_page):
    page = open_page(server.url)
    assert page.locator(".card h2").nth(2).inner_text() == _HOSTILE
    page.locator(".picture").nth(2).click()
    assert page.locator("#player h2").inner_text() == _HOSTILE
    assert page.locator("script").count() == 2


def test_a_script_that_got_in_would_not_run(server: ReviewServer, browser: Browser):
    """The second wall: the content security policy, should the escaping ever fail."""
    page = browser.new_page()
    page.goto(server.url)
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.hacked = 1\">')")
    page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.hacked = 2'; document.body.append(s); }"
    )
    page.wait_for_timeout(200)
    assert page.evaluate("window.hacked") is None
    page.close()


def test_a_server_that_was_killed_is_said_and_nothing_is_lost(listed: Path, open_page, start_cli):
    process = start_cli("review", listed)
    page = open_page(process.stdout.readline().strip())
    page.keyboard.press("k")
    _saved(page)
    process.kill()
    process.wait()
    page.keyboard.press("d")
    expect(page.locator("#state")).to_contain_text("1 not saved: the server has gone")
    expect(page.locator(".unsaved")).to_have_count(1)
    with page.expect_download() as download:
        page.locator("#download").click()
    assert [row["keep"] for row in rows_of(Path(download.value.path()))][:3] == ["yes", "no", ""]


def test_the_page_without_a_server(listed: Path, open_page, cli):
    out = listed.parent / "review.html"
    out.write_bytes(static_page(Review(listed), Thumbnails(listed.parent / ".review"), out, list))
    page = open_page(out.as_uri())
    page.keyboard.press("k")
    page.keyboard.press("d")
    page.reload()
    assert page.locator("[data-filter=open]").inner_text() == "Open 6", "the browser keeps the decisions"
    assert page.locator(".picture img").first.evaluate("image => image.naturalWidth") == 480
    page.locator(".picture").nth(3).click()
    _until(page, "document.querySelector('video').currentTime > 0.5")
    page.keyboard.press("Escape")
    with page.expect_download() as download:
        page.locator("#download").click()
    assert download.value.suggested_filename == "decisions.csv"
    assert cli("review", listed, "--decisions", download.value.path())[0] == 0
    assert _keeps(listed) == ["yes", "no", "", "", "", "", "", ""]
