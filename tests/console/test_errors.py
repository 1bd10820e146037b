"""Errors end in a message with a place in the documentation."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from kedro.io import AbstractDataset, DatasetError

import price_fusion.datasets.errors  # noqa: F401 - defines one
from price_fusion.console import errors as error_display
from price_fusion.console.errors import DOCUMENTATION, NODE_NOTE, own_error, section_of, show_own_errors_plainly
from price_fusion.errors import DataError, PriceFusionError, TrainingError

REPOSITORY = Path(__file__).parents[2]


def all_errors(of: type[PriceFusionError] = PriceFusionError) -> set[type[PriceFusionError]]:
    return {one for own in of.__subclasses__() for one in (own, *all_errors(own))}


def test_every_error_has_a_section() -> None:
    text = (REPOSITORY / DOCUMENTATION).read_text(encoding="utf-8")
    sections = {heading.lower() for heading in re.findall(r"^## (\w+)$", text, flags=re.MULTILINE)}
    own = [one for one in all_errors() if one.__module__.startswith("price_fusion.")]
    assert len(own) >= 12
    assert {section_of(one("")).partition("#")[2] for one in own} == sections


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> object:
    monkeypatch.setattr(sys, "excepthook", lambda *_: None)
    monkeypatch.delenv(error_display.TRACEBACK_VARIABLE, raising=False)
    show_own_errors_plainly()

    def show(error: BaseException) -> str:
        sys.excepthook(type(error), error, error.__traceback__)
        return capsys.readouterr().err

    return show


def test_a_message_names_the_node_and_how_to_go_on(shown: object) -> None:
    error = TrainingError("moe: it did not work")
    error.add_note(f"{NODE_NOTE}moe.train")
    error.add_note("go on with: kedro run")
    assert callable(shown)
    assert shown(error).splitlines() == [
        "TrainingError: moe: it did not work",
        "go on with: kedro run",
        "More: docs/errors.md#trainingerror. Raised in node moe.train. (PRICE_FUSION_TRACEBACK=1 shows the traceback.)",
    ]


def test_notes_of_the_error_that_another_took_the_place_of_are_kept(shown: object) -> None:
    first = DataError("one of them")
    first.add_note(f"{NODE_NOTE}align_train")
    second = DataError("all of them")
    second.__cause__ = first
    assert callable(shown)
    assert "Raised in node align_train." in shown(second)
    assert own_error(second) is second


def test_other_errors_keep_their_traceback(shown: object) -> None:
    assert callable(shown)
    assert shown(ValueError("a fault of ours")) == ""


def test_an_entry_that_refuses_its_arguments_is_named_before_the_message(shown: object) -> None:
    entry = {"type": "price_fusion.datasets.product_table.ProductTableDataset", "filepath": "gs://shop/a.csv"}
    with pytest.raises(DatasetError) as raised:
        AbstractDataset.from_config("test_products", entry | {"labelled": False})
    assert callable(shown)
    first = shown(raised.value).splitlines()[0]
    assert first.startswith("DatasetFileError: catalog, test_products: gs://shop/a.csv: the address of a store")
