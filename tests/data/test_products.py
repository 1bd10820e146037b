"""The product CSV: what is read, and what each refusal says."""

import gzip
import hashlib
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.data.products import read_products
from price_fusion.data.readers.layout import Layout
from price_fusion.errors import AlignmentError, DataError, ParameterError

HEADER = "sample_id,catalog_content,image_link,price\n"


@pytest.fixture
def write(tmp_path):
    def _write(content, encoding="utf-8"):
        path = tmp_path / "train.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return _write


def refusal(path, *, labelled=True, error=DataError, **arguments):
    with pytest.raises(error) as caught:
        read_products(path, labelled=labelled, **arguments)
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
    assert products["catalog_content"].tolist() == ['Name: Käse, "hot"\nUnit: Oz'.replace("\n", newline), ""]
    assert products["image_link"].tolist() == ["http://a/1.jpg", ""]


def test_keeps_further_columns_as_text(write):
    products = read_products(write("brand,sample_id,catalog_content,image_link,code\nB,1,x,y,007\n"), labelled=False)
    assert products.iloc[0].tolist() == [1, "x", "y", "B", "007"]


def test_ignores_prices_of_unlabelled_products(write):
    assert "price" not in read_products(write(HEADER + "1,x,y,unknown\n"), labelled=False)


def test_columns_without_a_name_and_blank_lines_are_left_out(write):
    products = read_products(
        write("\n,sample_id,catalog_content,image_link,\n\n0,5,x,y,\n \n1,6,z,w,\n\n"), labelled=False
    )
    assert products.columns.tolist() == ["sample_id", "catalog_content", "image_link"]
    assert products["sample_id"].tolist() == [5, 6]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_finds_the_delimiter_in_the_header(write, delimiter):
    text = f'sample_id,catalog_content,image_link,price\n00{delimiter}7,"a,;|\tb",y,2\n'
    content = text.replace(f"00{delimiter}7", "007").replace('"a,;|\tb"', "TEXT").replace(",", delimiter)
    products = read_products(write(content.replace("TEXT", '"a,;|\tb"')), labelled=True)
    assert products.iloc[0].tolist() == ["007", "a,;|\tb", "y", 2.0]


def test_another_delimiter_is_said(write):
    path = write("sample_id#catalog_content#image_link\n1#x#y\n")
    assert "'delimiter:'" in refusal(path, labelled=False)
    assert len(read_products(path, labelled=False, layout=Layout(delimiter="#"))) == 1
    assert "lacks the column(s)" in refusal(write(HEADER + "1,x,y,2\n"), layout=Layout(delimiter=";"))
    assert "begins with 'SEP=|', which only Excel understands" in refusal(write("SEP=|\r\n" + HEADER + "1,x,y,2\n"))


@pytest.mark.parametrize(
    ("text", "decimal", "thousands", "price"),
    [
        ("1,299.99", ".", ",", 1299.99),
        ("1.299,99", ",", ".", 1299.99),
        ("1299,5", ",", None, 1299.5),
        ("1 234 567", ".", " ", 1234567.0),
        ("12,5", ",", ".", 12.5),
        (",5", ",", None, 0.5),
    ],
)
def test_reads_other_numbers_as_they_are_said_to_be(write, text, decimal, thousands, price):
    path = write(f"sample_id;catalog_content;image_link;price\n1;x;y;{text}\n")
    products = read_products(path, labelled=True, layout=Layout(decimal=decimal, thousands=thousands))
    assert products["price"].tolist() == [price]


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("1,299", Layout()),
        ("1.299,99", Layout()),
        ("1 299", Layout()),
        ("12.99", Layout(decimal=",", thousands=".")),
        ("1.299", Layout(decimal=",")),
        ("1,29,999", Layout(thousands=",")),
    ],
)
def test_never_guesses_what_separates_numbers(write, text, layout):
    message = refusal(write(f"sample_id;catalog_content;image_link;price\n1;x;y;{text}\n"), layout=layout)
    assert "1 price(s) with separators that may mean several things" in message
    assert "'decimal'" in message
    assert "'thousands'" in message


@pytest.mark.parametrize("text", ["$5", "5 €", "USD 5", "5.00 EUR", "Rs. 5", "₹5"])
def test_refuses_currency_signs_by_name(write, text):
    assert "1 price(s) with a currency sign" in refusal(write(HEADER + f"1,x,y,{text}\n"))


def test_reads_other_encodings_once_they_are_said(write):
    text = HEADER + "1,Käse,y,2\n"
    for encoding in ("cp1252", "utf-16", "utf-16-le", "utf-8"):
        path = write(text, encoding)
        if encoding != "utf-8":
            assert "encoding:" in refusal(path)
        products = read_products(path, labelled=True, layout=Layout(encoding=encoding))
        assert products["catalog_content"].tolist() == ["Käse"]
    assert "found UTF-16 (by its byte order mark)" in refusal(write(text, "utf-16"))
    assert "not ASCII at byte 46" in refusal(write(text), layout=Layout(encoding="ascii"))


@pytest.mark.parametrize(
    "arguments",
    [
        {"delimiter": ";;"},
        {"delimiter": '"'},
        {"decimal": "1"},
        {"decimal": ","} | {"thousands": ","},
        {"encoding": "utf-99"},
        {"encoding": "hex"},
    ],
)
def test_refuses_a_layout_that_cannot_be(arguments):
    with pytest.raises(ParameterError, match=r"found .* expected"):
        Layout(**arguments)


def test_the_digest_is_checked_first(write):
    path = write(b"\xff not even text")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert "not UTF-8" in refusal(path, sha256=digest.upper())
    message = refusal(path, sha256="0" * 64)
    assert digest in message
    assert "0" * 64 in message
    with pytest.raises(ParameterError, match="64 hexadecimal digits"):
        read_products(path, labelled=True, sha256="abc")
    content = HEADER + "1,x,y,2\n"
    read_products(write(content), labelled=True, sha256=hashlib.sha256(content.encode()).hexdigest())


@given(
    ids=st.lists(st.integers(-(2**63) + 1, 2**63 - 1), min_size=1, max_size=20, unique=True),
    price=st.floats(1e-30, 1e30),
)
def test_any_id_and_price_come_back_exactly(tmp_path_factory, ids, price):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text(HEADER + "".join(f"{number},x,y,{price!r}\n" for number in ids))
    products = read_products(path, labelled=True)
    assert products["sample_id"].tolist() == ids
    assert products["price"].tolist() == [price] * len(ids)


def test_refuses_files_that_hold_no_products(write, tmp_path):
    assert "No such file" in refusal(tmp_path / "absent.csv")
    assert "found a folder with no file, expected a table of products" in refusal(tmp_path)
    assert "empty file" in refusal(write(""))
    assert "no products" in refusal(write(HEADER))


def test_names_that_differ_in_capitals_alone_are_named_with_what_is_expected(write):
    message = refusal(write("Sample_ID;CATALOG CONTENT;image_link; Price\n1;x;y;2\n"))
    assert "lacks the column(s) sample_id, catalog_content, price (did you mean" in message
    assert "found 'Sample_ID', 'CATALOG CONTENT'" in message
    assert "delimiter" not in message
    for found, name in (("Sample_ID", "sample_id"), ("CATALOG CONTENT", "catalog_content"), (" Price", "price")):
        assert f"{found!r} for {name!r}" in message


def test_records_of_empty_fields_are_named(write):
    message = refusal(write(HEADER + "1,x,y,2\n,,,\n2,x,y,0\n , ,\n"))
    assert (
        "2 record(s) with only empty fields, as spreadsheets leave them below a table: record 2, 4; expected" in message
    )
    assert "record 3 (sample_id 2)" in message
    assert "another number of fields" not in message


def test_two_byte_order_marks_are_named(write):
    assert "line 1 begins with two byte order marks" in refusal(write("\ufeff\ufeff" + HEADER + "1,x,y,2\n"))


@pytest.mark.parametrize(
    ("said", "mark"), [("cp1252", "\ufeff"), ("utf-16", ""), ("utf-16-le", ""), ("utf-16-le", "\ufeff"), ("utf-32", "")]
)
def test_a_file_of_another_encoding_than_its_entry_says_is_refused(write, said, mark):
    path = write(mark + HEADER + "1,Käse,y,2\n")
    message = refusal(path, layout=Layout(encoding=said))
    assert f"in line 1, but its catalog entry says 'encoding: {said}'. Remove 'encoding:'" in message


def test_refuses_missing_columns(write):
    message = refusal(write("sample_id,catalog_contents,image_link,price\n1,x,y,2\n"))
    assert (
        "lacks the column(s) catalog_content (did you mean 'catalog_contents' for 'catalog_content'?); found" in message
    )
    assert "delimiter" not in message
    assert "price" in refusal(write("sample_id,catalog_content,image_link\n1,x,y\n"))
    assert "'sample_id catalog_content'" in refusal(write("sample_id catalog_content,image_link,price\n1,x,y,2\n"))


def test_refuses_a_column_twice(write):
    assert "more than one column 'price'" in refusal(
        write("sample_id,catalog_content,image_link,price,price\n1,x,y,2,3\n")
    )
    assert "more than one column 'brand'" in refusal(write("brand,brand," + HEADER + "b,b,1,x,y,2\n"))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("1,x,y,2,3\n", "record 1 (beginning '1,x,y,2,3') has 5"),
        ("1,x,y,2\n2,x,y,2,3\n", "record 2 "),
        ("1,x,y,2\n2,x\n", "record 2 (beginning '2,x') has 2"),
        ('1,x,y,2\n2,"x,y,2\n3,x,y,2\n', "begins in line 3 cannot be read beyond line 4"),
        ('1,"x"y,y,2\n', "begins in line 2"),
        ('1,"x\n2,"z",y,2\n', "begins in line 2"),
        ("1,x,y,2\n2,x\0y,y,2\n", "NUL byte in line 3"),
    ],
)
def test_refuses_malformed_records(write, rows, said):
    assert said in refusal(write(HEADER + rows))


def test_a_quote_that_swallows_records_is_no_giant_product(write):
    rest = "".join(f"{number},text,http://a/{number}.jpg,2\n" for number in range(3, 9000))
    assert "malformed" in refusal(write(HEADER + '1,x,y,2\n2,"x,y,2\n' + rest))
    # The inch sign of a later product closes the quote where a field may end.
    swallowed = 'sample_id,catalog_content,image_link\n1,"abc,http://a/1.jpg\n2,pipe 5",http://a/2.jpg\n'
    assert "1 record(s) hold further records in a quoted field: record 1" in refusal(write(swallowed), labelled=False)


def test_lines_within_a_text_that_look_like_records_are_text(write):
    text = '1,"see http://a/b\n12,5 oz, fresh\n3,000 mg, potent",http://a/1.jpg\n'
    products = read_products(write("sample_id,catalog_content,image_link\n" + text), labelled=False)
    assert len(products) == 1


def test_lists_all_problems_of_a_file_at_once(write):
    rows = "=a,x,y,2\nB7,x,y,free\nB7,x,y,$3\nC,x\nD,x,y,\n"
    path = write(HEADER + rows)
    with pytest.raises(DataError) as caught:
        read_products(path, labelled=True)
    problems = caught.value.problems
    assert len(problems) == 6
    assert all(problem.startswith(f"{path}: ") for problem in problems)
    assert str(caught.value).count("\n  - ") == 6
    for said in ("formula", "'B7' in records 2, 3", "record 4 (beginning", "record 5 (sample_id D): price is missing"):
        assert any(said in problem for problem in problems), said


def test_names_the_byte_that_is_not_utf8(write):
    content = (HEADER + "1,x,y,2\n" * 100_000).encode() + b"2,caf\xe9,y,2\n"
    message = refusal(write(content))
    assert f"at byte {content.index(0xE9)} (0xe9), line 100002" in message
    assert "encoding: cp1252" in message


def test_ids_that_are_no_numbers_are_text(write):
    products = read_products(write(HEADER + " 00123 ,x,y,2\nB7,x,y,2\n"), labelled=True)
    assert products["sample_id"].tolist() == ["00123", "B7"]
    assert products["sample_id"].dtype == products["catalog_content"].dtype


@pytest.mark.parametrize("value", ["", " ", "+7", "=A1"])
def test_refuses_ids_that_cannot_be(write, value):
    message = refusal(write(HEADER + f"1,x,y,2\n{value},x,y,2\n"))
    assert f"record 2: {value!r}" in message


def test_refuses_duplicate_ids(write):
    message = refusal(write(HEADER + "5,x,y,2\n1,x,y,2\n5,x,y,3\n"), error=AlignmentError)
    assert "5 in records 1, 3" in message


@pytest.mark.parametrize(
    "value", ["", " ", "0", "-1.5", "nan", "NaN", "inf", "-Infinity", "1e999", "$5", "1 000", "ten", "0x1"]
)
def test_refuses_prices_that_are_none(write, value):
    message = refusal(write(HEADER + f"7,x,y,2\n9,x,y,{value}\n"))
    assert f"record 2 (sample_id 9): price is {repr(value) if value.strip() else 'missing'}" in message
    assert "finite price above 0" in message


@pytest.mark.parametrize("value", ["1e-39", "1e39", "4.9e-324", "1e308"])
def test_refuses_prices_that_no_model_can_hold(write, value):
    message = refusal(write(HEADER + f"7,x,y,2\n9,x,y,{value}\n"))
    assert f"beyond what models can hold: record 2 (sample_id 9): price is '{value}'" in message
    assert "a price is between 1.2e-38 and 3.4e+38" in message


def test_counts_further_offenders(write):
    message = refusal(write(HEADER + "".join(f"{number},x,y,free\n" for number in range(8))))
    assert "and 3 further records" in message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            gzip.compress(b"sample_id,catalog_content,image_link\n" * 9, mtime=0)[:-9],
            "expected a file compressed with gzip",
        ),
        (gzip.compress(b"ORC\x01", mtime=0), "an ORC file, .*pandas.read_orc\\(FILE\\) and write it with .to_csv"),
        (b"PAR1\x15\x04", "expected a parquet file of products. It may be truncated or damaged"),
        (b'[{"sample_id": 5}]', "found JSON"),
        (b"<!doctype html>", "a web page"),
        (pickle.dumps([1]), "found a pickle"),
    ],
)
@pytest.mark.parametrize("encoding", [None, "cp1252"])
def test_products_in_other_formats_are_named(tmp_path, content, said, encoding):
    path = tmp_path / "train.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"{said}"):
        read_products(path, labelled=False, layout=Layout(encoding=encoding))


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("0.000", "1 price(s) of 0: record 1 (sample_id 1): price is '0.000'"),
        ("-0", "1 price(s) of 0"),
        ("-12.25", "1 price(s) below 0"),
        ("n/a", "1 price(s) missing: record 1 (sample_id 1): price is 'n/a'"),
        ("ask", "1 price(s) that are not numbers"),
        ("POA", "1 price(s) that are not numbers"),
        ("EUR 7", "1 price(s) with a currency sign"),
        ("1e999", "1 price(s) beyond what models can hold"),
    ],
)
def test_a_price_is_said_for_what_it_is(write, cell, said):
    with pytest.raises(DataError) as caught:
        read_products(write(HEADER + f"1,x,y,{cell}\n"), labelled=True)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "layout", "said"),
    [
        ("1.299,50", Layout(), "For '1.299,50': decimal: ',' and thousands: '.'."),
        ("1,299.50", Layout(decimal=","), "For '1,299.50': decimal: '.' and thousands: ','."),
        ("1 299 000", Layout(), "For '1 299 000': decimal: '.' and thousands: ' '."),
        ("1.299.000", Layout(), "For '1.299.000': decimal: ',' and thousands: '.'."),
        ("1,299", Layout(), "If '1,299' is above a thousand: decimal: '.' and thousands: ','; else decimal: ','."),
        ("12,5", Layout(), "For '12,5': decimal: ','."),
    ],
)
def test_the_example_of_separators_is_the_price_itself(write, text, layout, said):
    assert said in refusal(write(HEADER.replace(",", ";") + f"1;x;y;{text}\n"), layout=layout)
