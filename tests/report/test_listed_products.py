"""Best and worst products are recognised by text, link or picture."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from price_fusion.errors import DataError
from price_fusion.report.listed_products import SNIPPET, THUMBNAIL, extreme_products


@pytest.fixture
def extremes() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "extreme": ["worst", "best"],
            "sample_id": ["00x", "9"],
            "price": [1.0, 2.0],
            "predicted": [4.0, 2.0],
            "smape": [120.0, 0.0],
            "price_low": [2.0, 1.0],
            "price_high": [8.0, 3.0],
        }
    )


def products(link: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "sample_id": ["00x", "9", "7"],
            "catalog_content": ["two\n\n lines", "word " * 100, None],
            "image_link": [link] * 3,
        }
    )


def test_texts_are_one_line_and_short(extremes: pd.DataFrame) -> None:
    found = extreme_products(extremes, products("https://shop.example/a.jpg"), None)
    (worst,), (best,) = found["Largest errors"], found["Closest"]
    assert (worst.sample_id, worst.text, worst.interval) == ("00x", "two lines", (2.0, 8.0))
    assert len(best.text) <= SNIPPET
    assert best.text.endswith("…")
    assert best.link == "https://shop.example/a.jpg"


def test_unit_prices_are_shown_where_the_amount_is_known(extremes: pd.DataFrame) -> None:
    known = extremes.assign(unit=["piece", None], unit_price=[0.25, None], predicted_unit_price=[1.0, None])
    found = extreme_products(known, products(""), None)
    assert found["Largest errors"][0].unit_prices == ("piece", 0.25, 1.0)
    assert found["Closest"][0].unit_prices is None


@pytest.mark.parametrize("link", ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "", "no link"])
def test_only_links_to_the_web_are_shown(link: str, extremes: pd.DataFrame) -> None:
    (worst,) = extreme_products(extremes, products(link), None)["Largest errors"]
    assert worst.link is None


def test_products_without_intervals_text_or_row(extremes: pd.DataFrame) -> None:
    bare = extremes.drop(columns=["price_low", "price_high"]).assign(sample_id=["7", "unknown"])
    found = extreme_products(bare, products("https://shop.example/a.jpg"), None)
    assert [one.text for listed in found.values() for one in listed] == ["", ""]
    assert found["Largest errors"][0].interval is None


def test_pictures_are_made_small(extremes: pd.DataFrame, tmp_path: Path) -> None:
    Image.new("RGBA", (1000, 500), "red").save(tmp_path / "9.png")
    found = extreme_products(extremes, products("https://shop.example/a.jpg"), tmp_path)
    assert found["Largest errors"][0].picture is None
    picture = found["Closest"][0].picture
    assert picture is not None
    with Image.open(io.BytesIO(base64.b64decode(picture.removeprefix("data:image/jpeg;base64,")))) as small:
        assert small.size == (THUMBNAIL, THUMBNAIL // 2)


def test_an_id_is_no_path(extremes: pd.DataFrame, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "secret.png")
    named = extremes.assign(sample_id=["../secret", "9"])
    assert extreme_products(named, products("x"), folder)["Largest errors"][0].picture is None


def test_what_is_no_picture_is_named(extremes: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "9.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"9\.jpg: is no readable picture"):
        extreme_products(extremes, products("x"), tmp_path)
    with pytest.raises(DataError, match=r"is no folder, expected one with pictures"):
        extreme_products(extremes, products("x"), tmp_path / "none")
