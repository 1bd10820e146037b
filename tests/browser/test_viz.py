"""The lineage as Kedro-Viz shows it: a static site, loaded in a browser."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from support.projects import Project

from .conftest import OpenPage

KNOWN = (
    "heap",  # Kedro-Viz's own telemetry, which asks for a script from outside
    "ERR_FAILED",  # that request, refused
    "githubusercontent.com",  # news about its versions
    "fonts.g",  # its font
)
"""What Kedro-Viz asks for or says by itself."""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        pass


@pytest.fixture(scope="module")
def site(compared_project: Project) -> Iterator[str]:
    compared_project.kedro("viz", "build", "--include-previews")
    folder = compared_project.path / "build"
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()
    assert (folder / "api/main").is_file()
    assert isinstance(folder, Path)


def test_variants_collapse_and_layers_are_shown(site: str, open_page: OpenPage) -> None:
    with open_page(f"{site}?pid=compare", allowed=KNOWN, viewport={"width": 1440, "height": 900}) as page:
        page.wait_for_selector(".pipeline-node")
        names = page.locator(".pipeline-node__text").all_inner_texts()
        assert {"moe", "two_branch"} <= {name.strip().lower().replace(" ", "_") for name in names}
        layers = page.locator(".pipeline-layer-name").all_inner_texts()
        assert {"raw", "primary", "models", "reporting"} <= {layer.strip().lower() for layer in layers}


def test_a_metric_can_be_previewed(site: str, open_page: OpenPage) -> None:
    with open_page(f"{site}?pid=compare&sn=leaderboard", allowed=KNOWN) as page:
        page.wait_for_selector(".pipeline-node")
        leaderboard = page.locator(".pipeline-node", has_text="leaderboard").first
        leaderboard.click(force=True)
        page.wait_for_selector(
            ".preview-table, .pipeline-metadata__preview, .preview-table__header-wrapper", timeout=10_000
        )
