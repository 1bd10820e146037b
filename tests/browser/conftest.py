"""A real headless Chromium that may ask nobody but this machine for anything."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LOCAL = ("file://", "data:", "blob:", "http://127.0.0.1:")
OpenPage = Callable[..., AbstractContextManager["Page"]]


def chromium() -> str | None:
    """Where a Chromium is."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("PRICE_FUSION_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = chromium()
    if path is None:
        reason = "no Chromium: apt-get install chromium, or name one in PRICE_FUSION_CHROMIUM"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=list(OPTIONS))
        yield found
        found.close()


@pytest.fixture
def open_page(browser: Browser) -> OpenPage:
    """A function that opens an address; the test fails if the page asks for anything outside, or logs an error.

    ``allowed``: what a page of others is known to ask for or to log.
    """

    @contextmanager
    def opened(address: str, *, allowed: tuple[str, ...] = (), **context: Any) -> Iterator[Page]:
        asked: list[str] = []
        said: list[str] = []
        own = browser.new_context(**context)

        def answer(route: Any) -> None:
            url = route.request.url
            if url.startswith(LOCAL):
                route.continue_()
            else:
                asked.append(url)
                route.abort()

        own.route("**/*", answer)
        page = own.new_page()
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(address)
        yield page
        own.close()
        unknown = [text for text in asked + said if not any(part in text for part in allowed)]
        assert not unknown

    return opened


@pytest.fixture(autouse=True)
def _warnings_of_others() -> Iterator[None]:
    with warnings.catch_warnings():
        # Playwright's event loop is closed by the interpreter at its end.
        warnings.filterwarnings("ignore", category=ResourceWarning)
        yield
