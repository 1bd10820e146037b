"""The questions of ``init``, answered at a terminal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

from price_fusion.console import init_command
from price_fusion.errors import DataError, UsageError
from price_fusion.onboarding import proposal
from price_fusion.onboarding.proposal import proposal_for

ROWS = 30


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Products with two columns that may be the price, in no currency."""
    rows = [f"A-{row},tea number {row},{row + 1},{100 - row},{('red', 'blue')[row % 2]}" for row in range(ROWS)]
    (tmp_path / "shop.csv").write_text("sku,title,shop_price,web_price,colour\n" + "\n".join(rows), encoding="utf-8")
    return tmp_path


def answer(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> Result:
    @click.command()
    def ask() -> None:
        roles = proposal_for(folder, {}, init_command._asker(yes=False)).roles
        click.echo(f"{roles.price.value} in {roles.currency.value} ({roles.price.why})")

    monkeypatch.setattr(init_command, "_is_terminal", lambda: True)
    return CliRunner().invoke(ask, input=text)


def test_a_wrong_answer_is_asked_again_with_the_nearest(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = answer(folder, "web price\nweb_price\nE U R\nEUR\n", monkeypatch)
    assert result.exit_code == 0, result.output
    assert "Candidates: shop_price, web_price" in result.output
    assert "did you mean 'web_price'?" in result.output
    assert "found 'E U R', expected a currency such as EUR" in result.output
    assert result.output.endswith("web_price in EUR (as you said)\n")


def test_an_empty_answer_is_the_best_guess(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = answer(folder, "\n\n", monkeypatch)
    assert result.output.endswith("shop_price in USD (its name, and numbers above 0; a guess; others: web_price)\n")


def test_no_answer_at_all_ends_without_a_traceback(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = answer(folder, "", monkeypatch)
    assert result.exit_code == 1
    assert "Aborted!" in result.output


def test_without_a_terminal_the_options_are_named(folder: Path) -> None:
    with pytest.raises(
        UsageError, match=r"price: not sure .*candidates: shop_price, web_price\). Say it \(--price \.\.\.\)"
    ):
        proposal_for(folder, {}, init_command._asker(yes=False))


def test_ctrl_c_ends_it_as_soon_as_the_prompt_is_there() -> None:
    asks = (
        "from price_fusion.console.init_command import _asker; from price_fusion.onboarding.column_roles import Guess; "
        "_asker(yes=False)('price', Guess('cost', 'a guess', sure=False), ['cost'])"
    )
    terminal, end = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", asks], stdin=end, stdout=end, stderr=end) as process:
        shown = b""
        while b"Which column has the prices? [cost]: " not in shown:
            shown += os.read(terminal, 1000)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == -signal.SIGINT
    os.close(terminal)
    os.close(end)


def test_ctrl_c_elsewhere_ends_it_with_the_status_of_that_signal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(proposal, "proposal_for", interrupted)
    monkeypatch.chdir(folder)
    result = CliRunner().invoke(init_command.init_command(), [str(folder), "--env", "shop"])
    assert result.exit_code == 130
    assert not (folder / "conf").exists()


def told(folder: Path, order: str | None = None) -> str:
    said = {"price": "shop_price", "currency": "EUR"} | ({"order": order} if order else {})
    return "\n".join(init_command.told(proposal_for(folder, said, init_command._asker(yes=True))))


def test_rows_without_ids_are_said_to_be_assumed_in_the_order_of_the_products(folder: Path) -> None:
    np.save(folder / "image_vectors.npy", np.ones((ROWS, 4), np.float32))
    assert "source image: image_vectors.npy, 4 columns" in told(folder)
    assert "row n of image_vectors.npy is taken for product n of shop.csv: nothing in the files says so" in told(folder)
    np.save(folder / "skus.npy", np.array([f"A-{row}" for row in range(ROWS)]))
    assert "source image: image_vectors.npy with ids in skus.npy, 4 columns" in told(folder)
    assert "taken for product n" not in told(folder)


def test_the_order_is_asked_for_with_the_counts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(folder / "image_vectors.npy", np.ones((ROWS, 4), np.float32))
    result = answer(folder, "\n\nnone\n", monkeypatch)
    assert (
        "image_vectors.npy has 30 rows and no ids, shop.csv as many products. Row n for product n (products), or leave it out (none)? "
        "[products]: "
    ) in result.output
    assert result.exit_code == 0


def test_the_order_is_not_guessed_without_a_terminal(folder: Path) -> None:
    np.save(folder / "image_vectors.npy", np.ones((ROWS, 4), np.float32))
    said = {"price": "shop_price", "currency": "EUR"}
    with pytest.raises(
        UsageError, match=r"order: not sure \(image_vectors.npy has 30 rows .*Say it \(--order \.\.\.\)"
    ):
        proposal_for(folder, said, init_command._asker(yes=False))


def warned(folder: Path) -> str:
    return init_command._warned_of_columns_alone(proposal_for(folder, {}, init_command._asker(yes=True)))


def test_without_embeddings_a_warning_names_what_was_left_out(folder: Path) -> None:
    assert warned(folder) == (
        "Warning: no embeddings are used; models see columns of the products alone (attributes).\n"
        f"There are none in {folder.name} (docs/your-own-embeddings.md)."
    )
    np.save(folder / "image_vectors.npy", np.ones((ROWS - 1, 4), np.float32))
    assert (
        "Left out:\n  image_vectors.npy: it has 29 rows and no ids, and there are 30 products in shop.csv."
        in warned(folder)
    )


def test_products_that_are_neither_trained_on_nor_predicted_are_counted(folder: Path) -> None:
    rows = (folder / "shop.csv").read_text(encoding="utf-8").splitlines()
    rows[3] = "A-2,tea number 2,,98,red"
    (folder / "shop.csv").write_text("\n".join(rows), encoding="utf-8")
    (folder / "test.csv").write_text(
        "sku,title,web_price,colour\nB-1,a cup,98,red\nB-2,a cup,98,blue\n", encoding="utf-8"
    )
    assert (
        "  without a price: 1 of shop.csv; they are left out of training, and predicted only where test.csv has them, too\n"
    ) in told(folder)


@pytest.fixture
def in_project(folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to run the command in, whose runs are refused."""

    @click.command()
    @click.argument("options", nargs=-1, type=click.UNPROCESSED)
    def run(options: tuple[str, ...]) -> None:
        raise DataError("train.csv: 3 problems")

    project = tmp_path_factory.mktemp("project")
    monkeypatch.chdir(project)
    monkeypatch.setattr(sys, "argv", [])
    run.ignore_unknown_options = True
    monkeypatch.setattr(init_command, "run_command", lambda: run)
    return project


def test_where_the_data_cannot_be_ingested_the_way_on_is_named(folder: Path, in_project: Path) -> None:
    options = [str(folder), "--env", "shop", "--yes"]
    result = CliRunner().invoke(init_command.init_command(), options)
    assert isinstance(result.exception, DataError)
    assert (
        "conf/shop is written, but not all can be ingested. Fix what is named below, then run kedro run --pipelines split --env shop, or "
        "init again with --replace.\n"
    ) in result.output
    assert isinstance(CliRunner().invoke(init_command.init_command(), options).exception, UsageError)
    result = CliRunner().invoke(init_command.init_command(), [*options, "--replace"])
    assert "The one before is in conf/shop.1; what differs: diff -r conf/shop.1 conf/shop\n" in result.output
