"""The product CSV: what is read, and what each refusal says."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.errors import AlignmentError, DataError
from price_fusion.fusion.tables.products import read_products

HEADER = "sample_id,catalog_content,image_link,price\n"


@pytest.fixture
def write(tmp_path):
    def _write(content, encoding="utf-8"):
        path = tmp_path / "train.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return _write


def refusal(path, *, labelled=True, error=DataError):
    with pytest.raises(error) as caught:
        read_products(path, labelled=labelled)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_reads_products_in_file_order(write, encoding, newline):
    text = HEADER + '7,"Name: Käse, ""hot""\nUnit: Oz",http://a/1.jpg,4.890000000000001\n-3,NA,,1e2\n'
    products = read_products(write(text.replace("\n", newline), encoding), labelled=True)
    assert list(products.columns) == ["sample_id", "catalog_content", "image_link", "price"]
    assert isinstance(products.index, pd.RangeIndex)
    assert products["sample_id"].dtype == np.int64
    assert products["price"].dtype == np.float64
    assert products["sample_id"].tolist() == [7, -3]
    assert products["price"].tolist() == [4.890000000000001, 100.0]
    assert products["catalog_content"].tolist() == ['Name: Käse, "hot"\nUnit: Oz'.replace("\n", newline), "NA"]
    assert products["image_link"].tolist() == ["http://a/1.jpg", ""]


def test_keeps_further_columns_as_text(write):
    products = read_products(write("brand,sample_id,catalog_content,image_link,code\nB,1,x,y,007\n"), labelled=False)
    assert products.iloc[0].tolist() == ["B", 1, "x", "y", "007"]


def test_ignores_prices_of_unlabelled_products(write):
    assert "price" not in read_products(write(HEADER + "1,x,y,unknown\n"), labelled=False)


def test_short_records_are_missing_values(write):
    products = read_products(write("sample_id,catalog_content,image_link\n1\n2,x\n"), labelled=False)
    assert products["catalog_content"].tolist() == ["", "x"]
    assert products["image_link"].tolist() == ["", ""]


@given(
    ids=st.lists(st.integers(-(2**63) + 1, 2**63 - 1), min_size=1, max_size=20, unique=True),
    price=st.floats(1e-300, 1e300),
)
def test_any_id_and_price_come_back_exactly(tmp_path_factory, ids, price):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text(HEADER + "".join(f"{number},x,y,{price!r}\n" for number in ids))
    products = read_products(path, labelled=True)
    assert products["sample_id"].tolist() == ids
    assert products["price"].tolist() == [price] * len(ids)


def test_refuses_files_that_hold_no_products(write, tmp_path):
    assert "No such file" in refusal(tmp_path / "absent.csv")
    assert "directory" in refusal(tmp_path)
    assert "empty file" in refusal(write(""))
    assert "no products" in refusal(write(HEADER))


def test_refuses_missing_columns(write):
    message = refusal(write("sample_id,catalog_contents,image_link,price\n1,x,y,2\n"))
    assert "lacks the column(s) catalog_content;" in message
    assert "'catalog_contents' may be meant" in message
    assert "price" in refusal(write("sample_id,catalog_content,image_link\n1,x,y\n"))
    assert "separated by commas" in refusal(write(HEADER.replace(",", ";") + "1;x;y;2\n"))


def test_refuses_a_column_twice(write):
    assert "more than one column price" in refusal(
        write("sample_id,catalog_content,image_link,price,price\n1,x,y,2,3\n")
    )


@pytest.mark.parametrize("row", ["1,x,y,2,3\n", "1,x,y,2\n2,x,y,2,3\n", '1,"x,y,2\n'])
def test_refuses_malformed_records(write, row):
    assert "malformed CSV" in refusal(write(HEADER + row))


def test_names_the_byte_that_is_not_utf8(write):
    content = (HEADER + "1,x,y,2\n" * 100_000).encode() + b"2,caf\xe9,y,2\n"
    message = refusal(write(content))
    assert f"at byte {content.index(0xE9)} (0xe9), line 100002" in message
    assert "at byte 0" in refusal(write(HEADER + "1,x,y,2\n", "utf-16"))


@pytest.mark.parametrize(
    "value", ["", " ", "A7", "12.0", "1e3", "007", "+7", "9223372036854775808", "-" + "9" * 30, "1_0"]
)
def test_refuses_ids_that_are_no_int64(write, value):
    message = refusal(write(HEADER + f"1,x,y,2\n{value},x,y,2\n"))
    assert f"record 2: sample_id is {repr(value) if value.strip() else 'missing'}" in message
    assert "expected a whole number" in message


def test_refuses_duplicate_ids(write):
    message = refusal(write(HEADER + "5,x,y,2\n1,x,y,2\n5,x,y,3\n"), error=AlignmentError)
    assert "sample_id 5 is in records 1, 3" in message


@pytest.mark.parametrize(
    "value", ["", " ", "0", "-1.5", "nan", "NaN", "inf", "-Infinity", "1e999", "$5", "1 000", "ten", "0x1"]
)
def test_refuses_prices_that_are_none(write, value):
    message = refusal(write(HEADER + f"7,x,y,2\n9,x,y,{value}\n"))
    assert f"record 2 (sample_id 9): price is {repr(value) if value.strip() else 'missing'}" in message
    assert "finite price above 0 in USD" in message


def test_counts_further_offenders(write):
    message = refusal(write(HEADER + "".join(f"{number},x,y,free\n" for number in range(8))))
    assert "and 3 further records" in message
