"""Products in parquet and compressed with gzip are those of the CSV."""

import datetime
import gzip
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from price_fusion.data.products import read_products
from price_fusion.data.readers.layout import Layout
from price_fusion.errors import DataError

TEXT = 'sample_id,catalog_content,image_link,price,brand,weight\n7,"Käse, hot",http://a/1,4.89,x,1.5\n-3,,,100.0,,\n'
COLUMNS = {
    "sample_id": [7, -3],
    "catalog_content": ["Käse, hot", None],
    "image_link": ["http://a/1", None],
    "price": [4.89, 100.0],
    "brand": ["x", None],
    "weight": [1.5, None],
}
WHOLE = pa.table(COLUMNS)


@pytest.fixture
def expected(tmp_path):
    (tmp_path / "train.csv").write_text(TEXT, encoding="utf-8")
    return read_products(tmp_path / "train.csv", labelled=True)


def with_column(name, values):
    return WHOLE.set_column(WHOLE.column_names.index(name), name, values)


@pytest.mark.parametrize(
    "table",
    [
        WHOLE,
        with_column("sample_id", pa.array(["7", "-3"]).dictionary_encode()),
        with_column("price", pa.array([Decimal("4.89"), Decimal("100.0")])),
        with_column("price", pa.array(["4.89", "100.0"])),
        with_column("brand", pa.array([b"x", None])),
        with_column("brand", pa.array(["x", None]).cast(pa.string_view())),
        with_column("weight", pa.array([1.5, np.nan])),
        WHOLE.append_column("embedding", pa.array([[0.5], [1.5]])).append_column("__index_level_0__", pa.array([4, 2])),
    ],
)
def test_parquet(tmp_path, table, expected):
    pq.write_table(table, tmp_path / "products")
    pd.testing.assert_frame_equal(read_products(tmp_path / "products", labelled=True), expected)


def test_gzip(tmp_path, expected):
    (tmp_path / "train.csv.gz").write_bytes(gzip.compress(TEXT.encode()))
    pd.testing.assert_frame_equal(read_products(tmp_path / "train.csv.gz", labelled=True), expected)


def test_a_folder_of_parts_is_read_in_the_order_of_their_names(tmp_path, expected):
    folder = tmp_path / "products"
    (folder / "day=1").mkdir(parents=True)
    (folder / "_SUCCESS").touch()
    pq.write_table(WHOLE.slice(0, 1), folder / "day=1/b.parquet")
    pq.write_table(WHOLE.slice(1, 1), folder / "day=1/c.parquet")
    pd.testing.assert_frame_equal(read_products(folder, labelled=True), expected)
    pq.write_table(WHOLE.drop(["brand"]), folder / "day=1/d.parquet")
    with pytest.raises(DataError, match=r"d\.parquet: found the columns .*, expected those of 'b\.parquet'"):
        read_products(folder, labelled=True)
    (folder / "e.csv").write_text(TEXT)
    with pytest.raises(DataError, match=r"found a folder with 'e\.csv', which is no parquet file"):
        read_products(folder, labelled=True)


def test_numbers_are_written_as_the_layout_says(tmp_path):
    pq.write_table(WHOLE, tmp_path / "a")
    products = read_products(tmp_path / "a", labelled=True, layout=Layout(decimal=",", thousands="."))
    assert products["price"].tolist() == [4.89, 100.0]
    assert products["weight"].tolist() == ["1,5", ""]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (WHOLE.drop(["price"]), r"a: lacks the column\(s\) price; found 'sample_id', .*; expected sample_id, "),
        (
            with_column("sample_id", pa.array([7.0, -3.0])),
            "sample_id is of type double, expected whole numbers or text",
        ),
        (WHOLE.append_column("brand", pa.array(["x", "y"])), "more than one column 'brand'"),
        (with_column("catalog_content", pa.array([["x"], ["y"]])), "column 'catalog_content': found the type list"),
        (with_column("price", pa.array([4.5, None])), "1 price.* missing"),
        (with_column("price", pa.array([4.5, np.inf])), "price"),
        (with_column("price", pa.array([datetime.date(2020, 1, 1)] * 2)), "price is '2020-01-01'"),
        (WHOLE.slice(0, 0), "found no products"),
        (
            pa.concat_tables([WHOLE, pa.table({name: [None] for name in COLUMNS}, schema=WHOLE.schema)]),
            r"1 record\(s\) with only empty fields.*record 3",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path, table, said):
    pq.write_table(table, tmp_path / "a")
    with pytest.raises(DataError, match=said):
        read_products(tmp_path / "a", labelled=True)
