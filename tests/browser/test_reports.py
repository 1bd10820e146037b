"""The pages as a person meets them: on a screen and on a phone, by day and by night, with a keyboard alone."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from support.projects import Project

from .conftest import OpenPage

PAGES = {"moe": "08_reporting/moe/report.html", "compare": "08_reporting/report.html"}
DRAWN = "html[data-drawn]"
"""What is there once all figures are drawn."""
PHONE = {"viewport": {"width": 390, "height": 844}}


@pytest.fixture(params=PAGES)
def address(request: pytest.FixtureRequest, compared_project: Project) -> str:
    return (compared_project.path / "data" / PAGES[request.param]).as_uri()


def violations(page: Page) -> list[tuple[str, list[str]]]:
    """What axe-core finds wrong with all that can be unfolded."""
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    found = Axe().run(page).response["violations"]
    return [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found]


def test_by_day_and_by_night_all_can_be_read(address: str, open_page: OpenPage) -> None:
    with open_page(address, color_scheme="light") as page:
        page.wait_for_selector(DRAWN)
        figures = page.locator(".figure")
        assert figures.count() == page.locator(".figure svg.main-svg:first-of-type").count() >= 2
        assert page.locator("#no-figures").is_hidden()
        assert violations(page) == []
        tick = page.locator(".figure .xtick text").first
        before = tick.evaluate("own => getComputedStyle(own).fill")
        page.emulate_media(color_scheme="dark")
        expect(tick).not_to_have_css("fill", before)
        assert violations(page) == []


def test_on_a_phone_nothing_is_cut_off(address: str, open_page: OpenPage) -> None:
    with open_page(address, **PHONE) as page:
        page.wait_for_selector(DRAWN)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert violations(page) == []


def test_a_keyboard_reaches_contents_and_tables(address: str, open_page: OpenPage) -> None:
    with open_page(address) as page:
        page.wait_for_selector(DRAWN)
        reached = []
        for _ in range(60):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.className || document.activeElement.tagName"))
            if page.evaluate("document.activeElement.matches(':focus-visible')"):
                assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
        assert reached[:2] == ["skip", "A"]
        assert "SUMMARY" in reached
        assert page.locator("h1").count() == 1
        assert page.locator("img:not([alt])").count() == 0
        assert page.title()
        links = page.locator("main a[href]").evaluate_all("all => all.map(one => one.getAttribute('href'))")
        assert all(link.startswith(("https://", "http://")) or link.endswith("/report.html") for link in links)
