"""The page in a real Chromium: what is heard and seen, by mouse and by keyboard."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.unit.pages import chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


@pytest.fixture(params=[(1440, "light"), (375, "dark")], ids=["desk", "phone"])
def opened(request: pytest.FixtureRequest, browser: Browser, page: Path) -> Iterator[Page]:
    """The page on a screen; at the end it may not have complained, asked for anything, or run what a name smuggled in."""
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    found, complaints, asked = context.new_page(), [], []
    found.on("console", lambda message: complaints.append(message.text))
    found.on("pageerror", lambda error: complaints.append(str(error)))
    found.on("request", lambda request: asked.append(request.url[:40]))
    found.goto(page.as_uri())
    yield found
    assert found.evaluate("window.hacked") is None
    context.close()
    assert complaints == []
    assert [url for url in asked if not url.startswith(("data:", "blob:", "file:"))] == []
    assert len([url for url in asked if url.startswith("file:")]) == 1


def _until(page: Page, true: str) -> None:
    """Wait; playwright's own wait_for_function evaluates text inside the page, which its policy forbids."""
    deadline = time.monotonic() + 15
    while not page.evaluate(true):
        assert time.monotonic() < deadline, true
        page.wait_for_timeout(20)


def test_videos_play_with_sound_and_the_sound_is_switched_in_place(opened: Page):
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"
    _until(opened, "[...document.querySelectorAll('video')].every(v => v.readyState >= 1 && v.videoWidth > 0)")
    film = opened.locator(".film").first
    play, choices, seek = film.locator(".play"), film.locator("input"), film.locator(".seek")
    assert [choices.nth(k).get_attribute("data-name") for k in range(6)] == [
        "ours", "truth", "retrieval", "noise", "redrawn", "silence"
    ]  # fmt: skip
    opened.evaluate(
        "document.querySelector('video').playbackRate = document.querySelector('video').defaultPlaybackRate = 0.25"
    )
    play.focus()
    opened.keyboard.press("Enter")
    expect(play).to_contain_text("Pause")
    _until(opened, "document.querySelector('video').currentTime > 0.1")
    _until(opened, "document.querySelector('video').webkitAudioDecodedByteCount > 0")
    opened.keyboard.press("Enter")
    expect(play).to_contain_text("Play")
    assert opened.evaluate("document.querySelector('video').paused")

    seek.focus()
    opened.keyboard.press("Home")
    opened.keyboard.press("ArrowRight")
    _until(opened, "document.querySelector('video').currentTime === 0.5")
    before = opened.evaluate("document.querySelector('video').src")
    choices.first.focus()
    opened.keyboard.press("ArrowRight")  # the truth
    assert opened.evaluate("document.querySelector('video').src") != before
    _until(
        opened, "document.querySelector('video').currentTime === 0.5 && document.querySelector('.film canvas').hidden"
    )
    opened.keyboard.press("ArrowLeft")
    opened.keyboard.press("ArrowLeft")  # round to silence
    _until(opened, "document.querySelector('.film input:checked').dataset.name === 'silence'")
    assert opened.evaluate("document.querySelector('video').muted")
    expect(film.locator(".label.chosen")).to_have_text("silence")


def test_a_click_in_a_spectrogram_seeks_and_the_line_follows(opened: Page):
    film = opened.locator(".film").nth(1)
    box = film.locator(".scope").first.bounding_box()
    assert box is not None
    film.locator(".scope").first.click(position={"x": box["width"] * 2 / 3, "y": 10})
    _until(opened, "Math.abs(document.querySelectorAll('video')[1].currentTime - 1) < 0.03")
    share = opened.evaluate("parseFloat(document.querySelectorAll('.film')[1].querySelector('.head').style.left)")
    assert 64 < share < 69
    last = opened.locator(".film").nth(2)
    last.locator(".play").click()
    film.locator(".play").click()
    expect(last.locator(".play")).to_contain_text("Play")
    expect(film.locator(".play")).to_contain_text("Pause")


def test_text_is_large_enough_and_nothing_overlaps(opened: Page):
    texts = "[...document.querySelectorAll('p, td, th, small, label, svg text, li')]"
    sizes = f"{texts}.map(text => parseFloat(getComputedStyle(text).fontSize))"
    assert min(opened.evaluate(sizes)) >= 11
    inside = """[...document.querySelectorAll('.film')].every(film => {
        const box = film.getBoundingClientRect();
        return [...film.querySelectorAll('.seconds, .plot, fieldset, video')].every(part => {
            const its = part.getBoundingClientRect();
            return its.left >= box.left && its.right <= box.right + 0.5 && its.bottom <= box.bottom;
        });
    })"""
    assert opened.evaluate(inside)
    apart = """[...document.querySelectorAll('.seek')].every(seek => {
        const parts = [...seek.children].map(part => part.getBoundingClientRect());
        return parts.every((part, k) => k === 0 || part.top >= parts[k - 1].bottom - 0.5);
    })"""
    assert opened.evaluate(apart)
