"""Lists of ids: one a line, numbers or text."""

import numpy as np
import pytest

from price_fusion.datasets.errors import DatasetFileError
from price_fusion.datasets.id_list import IdListDataset


def read(path, text):
    path.write_text(text, encoding="utf-8")
    return IdListDataset(filepath=str(path)).load()


def test_reads_numbers_and_text_once_each(tmp_path):
    numbers = read(tmp_path / "ids.csv", "\ufeffsample_id\r\n7\n\n -3 \n7\n")
    assert numbers.dtype == np.int64
    assert numbers.tolist() == [-3, 7]
    text = read(tmp_path / "ids.csv", "B7\n007\nsample_id\nB7\n")
    assert text.dtype.kind == "U"
    assert text.tolist() == ["007", "B7", "sample_id"]
    assert read(tmp_path / "ids.csv", "").tolist() == []


def test_the_heading_is_what_the_shop_calls_its_ids(tmp_path):
    path = tmp_path / "ids.csv"
    path.write_text("sku\nA-1\n", encoding="utf-8")
    assert IdListDataset(filepath=str(path), columns={"id": "sku", "price": "eur"}).load().tolist() == ["A-1"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1\n=2\n", "formula.*line 2: '=2'"),
        ("1\n2 3\n4, 5\n", "line 2 and 1 more hold several numbers"),
        ("a\x07", "seen"),
        ("[5, 7]", "found JSON, expected one product id a line"),
        ("PK\x03\x04", "found a zip archive"),
    ],
)
def test_names_what_is_no_id(tmp_path, text, said):
    with pytest.raises(DatasetFileError, match=said):
        read(tmp_path / "ids.csv", text)
