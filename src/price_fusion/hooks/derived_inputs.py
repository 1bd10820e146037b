"""Inputs of a pipeline that follow from other entries of the catalog."""

from __future__ import annotations

import re
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol, MemoryDataset
from kedro.pipeline import Pipeline

from price_fusion.datasets.embedding_files import EmbeddingFilesDataset
from price_fusion.datasets.product_table import ProductTableDataset
from price_fusion.errors import ParameterError

_FILES, _IF_THERE = "_product_files", "_if_there"
_EMBEDDINGS = re.compile(r".+\.(?P<part>train|test)_embeddings")


class DerivedInputsHooks:
    """Derives ``<part>_product_files`` from ``<part>_products``, and ``<name>_if_there`` from ``<name>``.

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
            if name.endswith(_IF_THERE):
                other = name.removesuffix(_IF_THERE)
                catalog[name] = catalog.get(other) if catalog.exists(other) else MemoryDataset(None)
            if match := _EMBEDDINGS.fullmatch(name):
                _let_follow(catalog.get(name), catalog.get(f"{match['part']}_products"))


def _files(catalog: CatalogProtocol[Any, Any], products: str, name: str) -> ProductTableDataset:
    dataset = catalog.get(products)
    if not isinstance(dataset, ProductTableDataset):
        raise ParameterError(
            f"catalog entry {products!r}: found {type(dataset).__name__}, of which no file is known that could be read piece by "
            f"piece (compute.partitions), expected a ProductTableDataset. Write it so, or add an entry {name!r} of that type with "
            "in_pieces: true."
        )
    return dataset.read_in_pieces()


def _let_follow(embeddings: object, products: object) -> None:
    if isinstance(embeddings, EmbeddingFilesDataset) and isinstance(products, ProductTableDataset):
        embeddings.follow(products)
