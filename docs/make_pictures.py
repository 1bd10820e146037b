"""Take the pictures of this documentation, from a run of ``compare`` on the made-up sample.

python docs/make_pictures.py, or ``make pictures``: some three minutes, and it needs Chromium.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import Page, sync_playwright

REPOSITORY = Path(__file__).parents[1]
PICTURES = REPOSITORY / "docs/pictures"
COLOURS = 128
"""Of a picture: enough for what is drawn, a third of the size."""
SCREEN, PHONE = (1100, 1240), (390, 844)
LEADERBOARD = "data/08_reporting/leaderboard.csv"
OPTIONS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync")


def main() -> None:
    """Run, and take all pictures."""
    chromium = shutil.which("chromium") or os.environ["PRICE_FUSION_CHROMIUM"]
    with TemporaryDirectory() as scratch, sync_playwright() as playwright:
        project = Path(scratch)
        run_project(project)
        browser = playwright.chromium.launch(executable_path=chromium, args=list(OPTIONS))

        def page_of(address: str, *, size: tuple[int, int] = SCREEN, dark: bool = False) -> Page:
            scheme = "dark" if dark else "light"
            view = {"width": size[0], "height": size[1]}
            page = browser.new_context(viewport=view, color_scheme=scheme).new_page()
            page.goto(address)
            return page

        reports = project / "data/08_reporting"
        take_reports(partial(page_of, (reports / "moe/report.html").as_uri()), page_of(compared(reports)))
        with served(project / "build") as address:
            page = page_of(f"{address}?pid=compare&sid={node_id(project, 'leaderboard')}", size=(1440, 900))
            take_lineage(page, LEADERBOARD)
        browser.close()


def run_project(project: Path) -> None:
    """Fabricate, compare, and build the lineage."""
    shutil.copytree(REPOSITORY / "conf", project / "conf")
    shutil.copy(REPOSITORY / "pyproject.toml", project)
    (project / "src").mkdir()
    for words in (
        ["run", "--pipelines", "fabricate"],
        ["run", "--pipelines", "compare"],
        ["viz", "build", "--include-hooks", "--include-previews"],
    ):
        variables = os.environ | {"DO_NOT_TRACK": "1"}
        subprocess.run([sys.executable, "-m", "kedro", *words], cwd=project, env=variables, check=True)  # noqa: S603


def compared(reports: Path) -> str:
    """Address of the page of ``compare``."""
    return (reports / "report.html").as_uri()


def take_reports(page_of: partial[Page], comparison: Page) -> None:
    """The tops of both pages, one section, and a phone at night."""
    for name, page in (
        ("report", page_of()),
        ("phone", page_of(size=PHONE, dark=True)),
        ("comparison", comparison),
    ):
        page.wait_for_selector("html[data-drawn]")
        save(page.screenshot(), name)
    page = page_of()
    page.wait_for_selector("html[data-drawn]")
    figure = page.locator("figure", has_text="SMAPE and bias by price").first
    save(figure.screenshot(), "errors_by_price")


def take_lineage(page: Page, path: str) -> None:
    """The lineage with a dataset selected, without the tour that Kedro-Viz offers and the scratch folder of its path."""
    page.wait_for_selector(".preview-table td")
    page.add_style_tag(content=".feature-hints, .feature-hints__highlight { display: none }")
    shown = page.locator(".pipeline-metadata__value", has_text=path).first
    shown.evaluate("(own, path) => { own.textContent = own.textContent.slice(own.textContent.indexOf(path)) }", path)
    page.wait_for_timeout(1_000)
    save(page.screenshot(), "viz")


def save(picture: bytes, name: str) -> None:
    """Write a picture with few colours."""
    path = PICTURES / f"{name}.png"
    path.write_bytes(picture)
    with Image.open(path) as whole:
        few = whole.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(path, optimize=True)


def node_id(project: Path, dataset: str) -> str:
    """Of a dataset in Kedro-Viz."""
    nodes = json.loads((project / "build/api/pipelines/compare").read_text(encoding="utf-8"))["nodes"]
    return next(str(node["id"]) for node in nodes if node["name"] == dataset)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder while it is served on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()


if __name__ == "__main__":
    main()
