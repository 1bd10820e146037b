"""Inputs of a pipeline that follow from other entries of the catalog."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol, MemoryDataset
from kedro.pipeline import Pipeline

from price_fusion.errors import ParameterError
from price_fusion.pipelines.ingestion.pipeline import COMPARING

if TYPE_CHECKING:
    from price_fusion.datasets.product_table import ProductTableDataset

_FILES = "_product_files"
_EMBEDDINGS = re.compile(r".+\.(?P<part>train|test)_embeddings")


class DerivedInputsHooks:
    """Derives ``<part>_product_files`` from ``<part>_products``, and None for what a run can do without and that is not there.

    An entry ``<part>_product_files`` in the catalog goes before. Embeddings are told which products they follow, should they have
    no ids of their own.
    """

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Derive what the pipeline reads.

        Raises:
            ParameterError: if products are of a type of dataset that says no file.
        """
        for name in sorted(pipeline.inputs()):
            if name.endswith(_FILES) and name not in catalog:
                catalog[name] = _files(catalog, f"{name.removesuffix(_FILES)}_products", name)
            if match := _EMBEDDINGS.fullmatch(name):
                _let_follow(catalog.get(name), catalog.get(f"{match['part']}_products"))
        for name in sorted(_dispensable(pipeline)):
            if not catalog.exists(name):
                catalog[name] = MemoryDataset(None)


def _dispensable(pipeline: Pipeline) -> set[str]:
    """What earlier runs made, and only nodes read that merely compare with it."""
    needed = (node.inputs[:-1] if node.func in COMPARING else node.inputs for node in pipeline.nodes)
    return pipeline.inputs() - {name for names in needed for name in names}


def _files(catalog: CatalogProtocol[Any, Any], products: str, name: str) -> ProductTableDataset:
    from price_fusion.datasets.product_table import ProductTableDataset

    dataset = catalog.get(products)
    if not isinstance(dataset, ProductTableDataset):
        raise ParameterError(
            f"catalog entry {products!r}: found {type(dataset).__name__}, of which no file is known that could be read piece by "
            f"piece (compute.partitions), expected a ProductTableDataset. Write it so, or add an entry {name!r} of that type with "
            "in_pieces: true."
        )
    return dataset.read_in_pieces()


def _let_follow(embeddings: object, products: object) -> None:
    from price_fusion.datasets.embedding_files import EmbeddingFilesDataset
    from price_fusion.datasets.product_table import ProductTableDataset

    if isinstance(embeddings, EmbeddingFilesDataset) and isinstance(products, ProductTableDataset):
        embeddings.follow(products)
