"""Products in partitions and optional inputs follow from other entries of the catalog."""

from types import SimpleNamespace

import pytest
from kedro.io import DataCatalog, DatasetError, MemoryDataset
from kedro.pipeline import node, pipeline

from price_fusion.data.readers.layout import Layout
from price_fusion.datasets.product_table import ProductTableDataset
from price_fusion.errors import DataError, ParameterError
from price_fusion.hooks.derived_inputs import DerivedInputsHooks
from price_fusion.parameters import ComputeParameters
from price_fusion.pipelines.ingestion.nodes import check_unlabelled
from price_fusion.runs.project_facts import ProjectFacts, current_project
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


@pytest.mark.parametrize(("partitions", "shown"), [(2, {"train_product_files"}), (None, set())])
def test_files_of_products_are_there_before_any_run_begins(tmp_path, partitions, shown):
    """For Kedro-Viz. What cannot be derived is left to the run that needs it."""
    facts = ProjectFacts(tmp_path, tmp_path, {}, SimpleNamespace(compute=ComputeParameters(partitions=partitions)))
    metadata = {"kedro-viz": {"layer": "raw"}}
    products = ProductTableDataset(filepath=str(tmp_path / "train.csv"), labelled=True, metadata=metadata)
    catalog = DataCatalog({"train_products": products, "test_products": MemoryDataset()})
    token = current_project.set(facts)
    DerivedInputsHooks().after_catalog_created(catalog)
    current_project.reset(token)
    assert set(catalog) == {"train_products", "test_products"} | shown
    assert all(catalog.get(name).metadata == metadata for name in shown)


@pytest.fixture
def comparing():
    """A node that compares products with labelled ones."""
    inputs = ["test_products", "params:ingestion", "train_samples"]
    return node(check_unlabelled, inputs=inputs, outputs="checks", name="check")


def test_what_is_only_compared_with_is_none_until_it_is_there(tmp_path, comparing):
    labelled = whole(tmp_path / "a.json")

    def loaded():
        catalog = DataCatalog({"train_samples": labelled})
        DerivedInputsHooks().before_pipeline_run(pipeline([comparing]), catalog)
        return catalog.load("train_samples")

    assert loaded() is None
    labelled.save({"a": 1})
    assert loaded() == {"a": 1}
    (tmp_path / ".a.json.sha256").unlink()
    assert loaded() is None


def test_what_another_node_needs_or_makes_is_never_none(tmp_path, comparing):
    needs = node(lambda samples: samples, inputs="train_samples", outputs="out", name="needs")
    makes = node(lambda samples: samples, inputs="in", outputs="train_samples", name="makes")
    for other in (needs, makes):
        catalog = DataCatalog({"train_samples": whole(tmp_path / "a.json")})
        DerivedInputsHooks().before_pipeline_run(pipeline([comparing, other]), catalog)
        with pytest.raises(DatasetError):
            catalog.load("train_samples")
