"""The lineage as Kedro-Viz shows it: a static site, loaded in a browser."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
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
    "status of 404",  # its address api/metadata, which a static site does not have
    "metadata fetch error",
)
"""What Kedro-Viz asks for or says by itself."""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        pass


@dataclass(frozen=True)
class Site:
    """A static site, served on this machine."""

    address: str
    folder: Path

    def preview_of(self, dataset: str) -> str:
        """The address of ``compare`` with a dataset selected."""
        nodes = json.loads((self.folder / "api/pipelines/compare").read_text())["nodes"]
        chosen = next(node["id"] for node in nodes if node["name"] == dataset)
        return f"{self.address}?pid=compare&sid={chosen}"


@pytest.fixture(scope="module")
def site(compared_project: Project) -> Iterator[Site]:
    compared_project.kedro("viz", "build", "--include-hooks", "--include-previews")
    folder = compared_project.path / "build"
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Site(f"http://127.0.0.1:{server.server_port}/", folder)
    server.shutdown()
    server.server_close()
    thread.join()


def test_variants_collapse_and_layers_are_shown(site: Site, open_page: OpenPage) -> None:
    with open_page(f"{site.address}?pid=compare", allowed=KNOWN, viewport={"width": 1440, "height": 900}) as page:
        page.wait_for_selector(".pipeline-layer-name")
        names = {name.strip() for name in page.locator(".pipeline-node__text").all_text_contents()}
        assert {"moe", "two_branch", "leaderboard"} <= names
        assert "moe.train" not in names
        layers = [layer.strip() for layer in page.locator(".pipeline-layer-name").all_text_contents()]
        assert layers == ["raw", "primary", "model_input", "reporting"]  # models are in the boxes of their variants


def test_tables_metrics_and_figures_are_previewed(site: Site, open_page: OpenPage) -> None:
    previews = {
        "leaderboard": ".preview-table td",
        "leaderboard_json": ".pipeline-json__object .pretty-json-container",
        "leaderboard_figure": ".pipeline-plotly__preview .main-svg",
    }
    for dataset, element in previews.items():
        with open_page(site.preview_of(dataset), allowed=KNOWN) as page:
            page.wait_for_selector(element)
