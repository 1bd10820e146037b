"""Mistakes in catalog entries are named with the nearest class and argument; Kedro raises the real errors."""

from __future__ import annotations

from typing import Any

import pytest
from kedro.io import DataCatalog, DatasetError

from price_fusion import datasets
from price_fusion.configuration.catalog_entries import explained
from price_fusion.datasets import MODULES
from price_fusion.errors import MissingPackageError, ParameterError

PRODUCTS = "price_fusion.datasets.product_table.ProductTableDataset"


def said_of(entry: dict[str, Any], name: str = "goods") -> str:
    with pytest.raises((DatasetError, KeyError)) as raised:
        DataCatalog.from_config({name: entry}, credentials={}).get(name)
    found = explained(raised.value)
    assert isinstance(found, ParameterError | MissingPackageError), raised.value
    return str(found)


@pytest.mark.parametrize(
    ("kind", "near"),
    [
        ("pandas.ParqetDataset", "pandas.ParquetDataset"),
        ("panda.CSVDataset", "pandas.CSVDataset"),
        ("CSVDataset", "pandas.CSVDataset"),
        ("json.JsonDataset", "json.JSONDataset"),
        ("MemoryDatset", "kedro.io.MemoryDataset"),
        ("price_fusion.datasets.id_lists.IdListDataset", "price_fusion.datasets.id_list.IdListDataset"),
        ("price_fusion.datasets.checkpoint.ChekpointDataset", "price_fusion.datasets.checkpoint.CheckpointDataset"),
    ],
)
def test_the_nearest_class_is_said(kind: str, near: str) -> None:
    said = said_of({"type": kind, "filepath": "a.csv"})
    assert said.startswith("catalog, goods: type is")
    assert f"did you mean {near!r}?" in said


@pytest.mark.parametrize(
    ("kind", "instead"),
    [
        ("whole_files.WholeCSVDataset", "type: price_fusion.datasets.SafeCSVDataset"),
        ("whole_files.WholeJSONDataset", "type: json.JSONDataset"),
        ("plotly_figure.WholePlotlyDataset", "type: plotly.JSONDataset"),
        ("raw_digests.RawDigestsDataset", "Remove the entry"),
        ("RunFolderDataset", "Remove the entry"),
        ("BucketsDataset", "price_fusion.datasets.PartitionsDataset"),
        ("buckets.TableBucketsDataset", "price_fusion.datasets.PartitionsDataset"),
        ("EnsembleDataset", "has become price_fusion.datasets.CheckpointDataset."),
        ("ParquetEmbeddingsDataset", "price_fusion.datasets.EmbeddingFilesDataset, with in_pieces: true. Write that."),
        (
            "raw_files.ProductFilesDataset",
            "price_fusion.datasets.ProductTableDataset, with in_pieces: true. Write that.",
        ),
        ("LeaderboardDataset", "has become price_fusion.datasets.SafeCSVDataset, without models"),
    ],
)
def test_a_former_class_names_its_successor(kind: str, instead: str) -> None:
    said = said_of({"type": f"price_fusion.datasets.{kind}", "filepath": "a.csv"})
    assert said.startswith(f"catalog, goods: type is 'price_fusion.datasets.{kind}', which")
    assert instead in said


def test_a_mistake_within_a_wrapped_dataset_is_said_of_the_entry() -> None:
    def said_within(**dataset: Any) -> str:
        return said_of({"type": "price_fusion.datasets.WholeFileDataset", "dataset": dataset})

    assert "goods: type is 'json.JsonDataset'" in said_within(type="json.JsonDataset", filepath="a.json")
    said = said_within(type="json.JSONDataset", filepath="a.json", save_arg={})
    assert said == "catalog, goods: JSONDataset takes no argument 'save_arg'; did you mean 'save_args'?"
    assert "goods: JSONDataset needs 'filepath' as well" in said_within(type="json.JSONDataset")
    assert "has 'fs_args' in the catalog" in said_within(type="json.JSONDataset", filepath="a.json", fs_args={"a": 1})


def test_every_type_has_a_short_name() -> None:
    for name, module in MODULES.items():
        assert getattr(datasets, name).__module__ == f"price_fusion.datasets.{module}"
    with pytest.raises(AttributeError, match="Nothing"):
        _ = datasets.Nothing


def test_a_class_that_is_like_none_gets_examples() -> None:
    assert "such as pandas.CSVDataset" in said_of({"type": "zzz.Qqq"})


def test_a_class_whose_package_is_missing_gets_the_command() -> None:
    assert "pip install 'kedro-datasets[ibis-tabledataset]'" in said_of({"type": "ibis.TableDataset"})


def test_arguments_are_said_with_the_nearest() -> None:
    said = said_of({"type": PRODUCTS, "filepath": "a.csv", "labelled": True, "delimeter": ";"})
    assert said == "catalog, goods: ProductTableDataset takes no argument 'delimeter'; did you mean 'delimiter'?"
    assert (
        said_of({"type": PRODUCTS, "filepath": "a.csv"})
        == "catalog, goods: ProductTableDataset needs 'labelled' as well."
    )


def test_credentials_and_patterns() -> None:
    assert "names the credentials 'shop'" in said_of(
        {"type": "pandas.CSVDataset", "filepath": "a", "credentials": "shop"}
    )
    said = said_of({"type": "pandas.CSVDataset", "filepath": "{shp}.csv"}, name="{shop}.goods")
    assert "uses '{shp}', which its own name does not have" in said


def test_other_errors_are_not_ours_to_explain() -> None:
    assert explained(DatasetError("Failed while loading data from dataset")) is None
    assert explained(KeyError("a")) is None
