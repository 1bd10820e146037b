"""The product CSV in the catalog: its arguments, and what its errors carry."""

from typing import Any

import pytest
from kedro.io import DatasetError

from price_fusion.datasets.errors import DatasetFileError
from price_fusion.datasets.product_table import ProductTableDataset


def test_passes_its_arguments_on(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text("sample_id#catalog_content#image_link#price\nB7#Käse#y#1.299,50\n", encoding="cp1252")
    dataset = ProductTableDataset(
        filepath=str(path), labelled=True, delimiter="#", decimal=",", thousands=".", encoding="cp1252"
    )
    assert dataset.load().iloc[0].tolist() == ["B7", "Käse", "y", 1299.5]
    with pytest.raises(DatasetFileError, match="sha256"):
        ProductTableDataset(filepath=str(path), labelled=True, sha256="0" * 64).load()


def test_errors_carry_all_problems(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text("sample_id,catalog_content,image_link,price\n=1,x,y,free\n")
    with pytest.raises(DatasetFileError, match="2 problems") as caught:
        ProductTableDataset(filepath=str(path), labelled=True).load()
    assert len(caught.value.problems) == 2


def test_refuses_a_layout_that_cannot_be_when_the_catalog_is_read():
    with pytest.raises(DatasetError, match="decimal and thousands"):
        ProductTableDataset(filepath="a.csv", labelled=True, decimal=",", thousands=",")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"labelled": "false"}, "labelled is 'false', expected true or false"),
        ({"labelled": True, "decimal": 0}, "decimal: found 0, expected one character"),
    ],
)
def test_arguments_of_another_type_are_named(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        ProductTableDataset(filepath="a.csv", **arguments)
