"""Product files with columns of a shop's own names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from price_fusion.data.checks.product_checks import suspicions_of_known, suspicions_of_products
from price_fusion.data.partitions.product_files import ProductFiles, opened
from price_fusion.data.products import ProductRows, read_products
from price_fusion.data.readers.column_names import ID, IMAGE, TEXT, ColumnNames
from price_fusion.datasets import NamedParquetDataset, SafeCSVDataset
from price_fusion.errors import DataError, ParameterError
from price_fusion.parameters import CheckParameters
from price_fusion.storage.workspace import Workspace

SHOP = {"id": "sku", "price": "price_eur", "text": ["title", "description"], "image": "photo"}
CSV = (
    "sku,title,description,photo,price_eur,price,brand\n"
    'A-1,Tea, green ,http://x/1.jpg,3.50,9,Acme\nB-2,Cup,,nan,,9,\nC-3,nan,"two\nlines",,4,9,Acme\n'
)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.csv"
    path.write_text(CSV, encoding="utf-8")
    return path


def in_partitions(path: Path, tmp_path: Path, names: ColumnNames, *, labelled: bool, rows: ProductRows) -> pd.DataFrame:
    workspace = Workspace(tmp_path / "spill", 2 << 30)
    try:
        source = opened(ProductFiles(str(path), labelled, names=names, rows=rows), workspace)
        frame = workspace.connection.sql(source.sql).order("row").df()
    finally:
        workspace.close()
    assert frame.pop("row").tolist() == list(range(len(frame)))
    return frame.set_axis(source.names, axis=1)


@pytest.mark.parametrize(
    ("columns", "texts", "links"),
    [
        (SHOP, ["Tea\ngreen", "two\nlines"], ["http://x/1.jpg", ""]),
        (SHOP | {"text": "title"}, ["Tea", ""], ["http://x/1.jpg", ""]),
        ({"id": "sku", "price": "price_eur"}, ["", ""], ["", ""]),
        (SHOP | {"template": "{title}: {description}"}, ["Tea:  green", ": two\nlines"], ["http://x/1.jpg", ""]),
    ],
)
def test_products_have_the_columns_of_inside(
    shop: Path, tmp_path: Path, columns: dict[str, Any], texts: list[str], links: list[str]
) -> None:
    names = ColumnNames.of(columns)
    products = read_products(shop, labelled=True, names=names, rows="labelled")
    assert products["sample_id"].tolist() == ["A-1", "C-3"]
    assert products["price"].tolist() == [3.5, 4.0]
    assert products["catalog_content"].tolist() == texts
    assert products["image_link"].tolist() == links
    assert products["brand"].tolist() == ["Acme", "Acme"]
    partitions = in_partitions(shop, tmp_path, names, labelled=True, rows="labelled")
    assert set(partitions) == set(products)
    for name in ("sample_id", "catalog_content", "image_link", "brand"):
        assert partitions[name].tolist() == products[name].tolist(), name


def test_rows_without_a_price_are_those_to_be_predicted(shop: Path, tmp_path: Path) -> None:
    names = ColumnNames.of(SHOP)
    products = read_products(shop, labelled=False, names=names, rows="unlabelled")
    assert products["sample_id"].tolist() == ["B-2"]
    assert "price" not in products
    assert in_partitions(shop, tmp_path, names, labelled=False, rows="unlabelled")["sample_id"].tolist() == ["B-2"]


def test_a_file_with_no_price_at_all_has_no_labelled_rows(tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    path.write_text("sku,price_eur\n1,\n2,NaN\n", encoding="utf-8")
    with pytest.raises(DataError, match="no record has a price in the column 'price_eur'"):
        read_products(path, labelled=True, names=ColumnNames("sku", "price_eur", (), None), rows="labelled")


def test_a_name_that_the_file_has_not_is_refused_with_the_nearest(shop: Path) -> None:
    with pytest.raises(DataError, match=r"lacks the column\(s\) sku_ \(did you mean 'sku' for 'sku_'"):
        read_products(shop, labelled=True, names=ColumnNames("sku_", "price_eur", (), None))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": "sku"}, "missing: price"),
        ({"id": "sku", "price": "p", "picture": "x"}, "unknown: picture"),
        ({"id": "sku", "price": "sku"}, "sku is named twice"),
        ({"id": "sku", "price": "predicted"}, "predicted is the name of another column"),
        ({"id": 5, "price": "p"}, "found 5"),
        (["sku"], "found .*sku"),
        (SHOP | {"template": "{name}"}, "expected names of columns.text in braces: {title}, {description}"),
        (SHOP | {"template": "{title!r}"}, "expected names of columns.text"),
        (SHOP | {"template": "{title"}, "columns.template"),
    ],
)
def test_columns_that_cannot_be_are_refused(columns: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        ColumnNames.of(columns)


def test_files_that_a_user_reads_back_have_the_names_of_the_shop(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    dataset = SafeCSVDataset(filepath=str(path), columns=SHOP)
    table = pd.DataFrame({"sample_id": ["007", "-8"], "price": [1.5, 2.0], "note": ["a", "=1"]})
    dataset.save(table)
    assert path.read_text(encoding="utf-8").splitlines() == ["sku,price_eur,note", "007,1.5,a", "-8,2.0,'=1"]
    loaded = dataset.load()
    assert list(loaded) == ["sample_id", "price", "note"]
    assert loaded["sample_id"].tolist() == ["007", "-8"]


def test_a_parquet_file_of_products_has_them_too(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    dataset = NamedParquetDataset(filepath=str(path), columns=SHOP)
    table = pd.DataFrame({"sample_id": ["007", "-8"], "price": [1.5, 2.0], "fold": [0, 1]})
    dataset.save(table)
    assert list(pd.read_parquet(path)) == ["sku", "price_eur", "fold"]
    pd.testing.assert_frame_equal(dataset.load(), table)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("3.50", "$3.50"), "record 1 (sku A-1): price_eur is '$3.50'"),
        (("A-1", "C-3"), "occur more than once: 'C-3'"),
        (("A-1", ""), "id(s) missing"),
        (("photo", "picture"), "lacks the column(s) photo; found 'sku'"),
    ],
)
def test_a_message_on_a_file_has_the_names_of_the_shop(shop: Path, change: tuple[str, str], said: str) -> None:
    shop.write_text(CSV.replace(*change), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_products(shop, labelled=True, names=ColumnNames.of(SHOP), rows="labelled")
    message = str(caught.value)
    assert said in message
    assert not [name for name in (ID, TEXT, IMAGE) if name in message]


def test_likely_mistakes_have_the_names_of_the_shop(tmp_path: Path) -> None:
    path, rows = tmp_path / "shop.csv", 60
    prices = np.where(np.arange(rows) == 7, 1e9, 5.0 + np.arange(rows))
    lines = [f"{row if row else 'total'},Tea,\u00e2\u20ac\u2122,http://x/1.jpg,{prices[row]}" for row in range(rows)]
    path.write_text("sku,title,description,photo,price_eur\n" + "\n".join(lines), encoding="utf-8")
    products = read_products(path, labelled=True, names=ColumnNames.of(SHOP))
    found = [*suspicions_of_products(products, CheckParameters(), "train_products")]
    found += suspicions_of_known(products, products["sample_id"].to_numpy(str), "train_products")
    assert {one.where.removeprefix("train_products, "): one.check for one in found} == {
        "sku": "labelled_product",
        "price_eur": "price_too_high",
        "title, description": "repeated_text",
        "photo": "repeated_image_link",
    }


def test_products_without_texts_are_not_suspected_of_empty_ones(shop: Path) -> None:
    products = read_products(shop, labelled=False, names=ColumnNames("sku", "price_eur", (), None))
    assert [*suspicions_of_products(products, CheckParameters(), "train_products")] == []
