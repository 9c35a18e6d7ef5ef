"""The page of a study in a real Chromium: on a phone and on a desk nothing sticks out, overlaps, or is too small to read."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from playwright.sync_api import Browser, Page

from sweeps.objective import Objective
from sweeps.opening import open_sweep
from sweeps.place import find_place
from sweeps.plan import Plan
from sweeps.report import write_page
from sweeps.space import parse_parameter
from sweeps.storage import open_storage
from tests.unit.pages import chromium

SPACE = (
    "model.name=choice(paper, residual)", "model.encoder_blocks=int(1, 6)", "model.slow=log(0.03, 1) if model.name=residual",
    "quantizer.codes=choice(64, 128, 256, 512)", "quantizer.lr_factor=log(0.1, 10)", "train.lr=log(1e-4, 1e-2)",
)  # fmt: skip
KINDS: dict[str, BaseDistribution] = {
    "model.name": CategoricalDistribution(["paper", "residual"]), "model.encoder_blocks": IntDistribution(1, 6),
    "model.slow": FloatDistribution(0.03, 1, log=True), "quantizer.codes": CategoricalDistribution([64, 128, 256, 512]),
    "quantizer.lr_factor": FloatDistribution(0.1, 10, log=True), "train.lr": FloatDistribution(1e-4, 1e-2, log=True),
}  # fmt: skip
TRIALS = 40
LONG = "RuntimeError: /" + "a_folder_without_end/" * 30 + "<b>&"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


def _trial(number: int, draws: random.Random) -> FrozenTrial:
    params: dict[str, Any] = {
        "model.name": draws.choice(["paper", "residual"]),
        "model.encoder_blocks": draws.randint(1, 6),
    }
    params |= {"quantizer.codes": draws.choice([64, 128, 256, 512]), "quantizer.lr_factor": 10 ** draws.uniform(-1, 1)}
    params["train.lr"] = 10 ** draws.uniform(-4, -2)
    params |= {"model.slow": 10 ** draws.uniform(-1.5, 0)} if params["model.name"] == "residual" else {}
    reason = {7: LONG, 8: "loss is nan"}.get(number, "")
    value = draws.uniform(10, 30)
    state = TrialState.FAIL if reason else TrialState.PRUNED if number == 9 else TrialState.COMPLETE
    return create_trial(
        state=state, value=value if state is TrialState.COMPLETE else None, params=params,
        distributions={name: KINDS[name] for name in params}, user_attrs={"reason": reason} if reason else {},
        intermediate_values={step: value * step / 150 for step in (50, 100, 150)},
    )  # fmt: skip


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 40 trials, some of them pruned, and two with long words in their reasons."""
    folder, draws = tmp_path_factory.mktemp("report"), random.Random(5)
    space = tuple(map(parse_parameter, SPACE))
    plan = Plan("vqvae", ("preset=tiny",), space, (Objective("validation/psnr", "maximize"),))
    sweep = open_sweep(open_storage(find_place(None, folder / "study.log", {})), "w" * 100, plan)
    sweep.study.add_trials([_trial(number, draws) for number in range(TRIALS)])
    write_page(sweep, folder / "report.html")
    return folder / "report.html"


@pytest.fixture(params=[1440, 375], ids=["desk", "phone"])
def opened(request: pytest.FixtureRequest, browser: Browser, page: Path) -> Iterator[Page]:
    """The page on a screen; it may not have complained, or asked for anything."""
    context = browser.new_context(viewport={"width": request.param, "height": 900}, color_scheme="light", offline=True)
    found, complaints, asked = context.new_page(), [], []
    found.on("console", lambda message: complaints.append(message.text))
    found.on("pageerror", lambda error: complaints.append(str(error)))
    found.on("request", lambda request: asked.append(request.url))
    found.goto(page.as_uri())
    yield found
    context.close()
    assert complaints == []
    assert asked == [page.as_uri()]


def test_the_page_fits_the_screen_and_its_pictures_can_be_read(opened: Page):
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
    outside = """[...document.querySelectorAll('body *')].filter(part => !part.closest('.wide > *')
        && part.getBoundingClientRect().right > innerWidth + 0.5).map(part => part.tagName)"""
    assert opened.evaluate(outside) == []
    assert LONG in opened.inner_text("ul >> nth=1")
    # A picture's own numbers are of points, of which its text has ten: what a point is on the screen.
    shown = """[...document.querySelectorAll('svg')].map(svg => ({
        point: svg.getBoundingClientRect().width / svg.viewBox.baseVal.width, height: svg.getBoundingClientRect().height}))"""
    pictures = opened.evaluate(shown)
    assert len(pictures) == 5, "history, importance, parallel coordinates, slices, intermediate values"
    assert min(picture["point"] for picture in pictures) >= 1.0, "text of less than 10 pixels"
    assert max(picture["height"] for picture in pictures) <= 650


def test_names_of_parallel_coordinates_are_apart(opened: Page):
    title = "Parallel coordinates of validation/psnr"
    ticks = f"""[...[...document.querySelectorAll('h2')].find(head => head.textContent === {title!r})
        .nextElementSibling.querySelectorAll('svg #matplotlib\\\\.axis_1 > g[id^=xtick]')]
        .map(tick => tick.getBoundingClientRect()).map(box => [box.left, box.right])"""
    found = opened.evaluate(ticks)
    assert len(found) == 1 + len(SPACE)
    assert all(right < left for (_, right), (left, _) in pairwise(found))
