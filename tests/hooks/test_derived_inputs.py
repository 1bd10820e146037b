"""Products in partitions and optional inputs follow from other entries of the catalog."""

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import node, pipeline

from price_fusion.data.readers.layout import Layout
from price_fusion.datasets.product_table import ProductTableDataset
from price_fusion.errors import DataError, ParameterError
from price_fusion.hooks.derived_inputs import DerivedInputsHooks
from support.whole import whole

READS = pipeline([node(lambda files: files, inputs="train_product_files", outputs="out", name="read")])


def derived(**datasets):
    catalog = DataCatalog(datasets)
    DerivedInputsHooks().before_pipeline_run(READS, catalog)
    return catalog.load("train_product_files")


def test_layout_and_digest_are_those_of_the_products(tmp_path):
    path = tmp_path / "shop.txt"
    path.write_text("sample_id~catalog_content~image_link~price\n1~x~y~1.299,50\n")
    table = ProductTableDataset(
        filepath=str(path), labelled=True, delimiter="~", decimal=",", thousands=".", encoding="cp1252", sha256="0" * 64
    )
    files = derived(train_products=table)
    assert (files.url, files.labelled, files.sha256) == (str(path), True, "0" * 64)
    assert files.layout == Layout("~", "cp1252", ",", ".")
    with pytest.raises(DataError, match="sha256"):
        table.load()


def test_an_entry_of_its_own_goes_before(tmp_path):
    own = ProductTableDataset(filepath=str(tmp_path / "own.parquet"), labelled=True, in_pieces=True)
    files = derived(train_products=MemoryDataset(), train_product_files=own)
    assert files.url == str(tmp_path / "own.parquet")


def test_products_of_which_no_file_is_known():
    with pytest.raises(ParameterError, match=r"'train_products': found MemoryDataset.*with in_pieces: true"):
        derived(train_products=MemoryDataset())


def test_an_optional_input_is_none_until_it_is_there(tmp_path):
    reads = pipeline([node(lambda report: report, inputs="report_if_there", outputs="out", name="read")])
    report = whole(tmp_path / "a.json")

    def loaded():
        catalog = DataCatalog({"report": report})
        DerivedInputsHooks().before_pipeline_run(reads, catalog)
        return catalog.load("report_if_there")

    assert loaded() is None
    report.save({"a": 1})
    assert loaded() == {"a": 1}
    (tmp_path / ".a.json.sha256").unlink()
    assert loaded() is None
