"""Inputs of a pipeline that follow from other entries of the catalog."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol, DatasetError, MemoryDataset
from kedro.pipeline import Pipeline

from price_fusion import datasets  # imports each type when it is asked for
from price_fusion.datasets.raw_facts import IN_PIECES, products_of
from price_fusion.errors import ParameterError
from price_fusion.pipelines.ingestion.pipeline import COMPARING
from price_fusion.runs.project_facts import current_project

_EMBEDDINGS = re.compile(r".+\.(?P<part>train|test)_embeddings")


class DerivedInputsHooks:
    """Derives ``<part>_product_files`` from ``<part>_products``, and None for what a run can do without and that is not there.

    An entry ``<part>_product_files`` in the catalog goes before. Embeddings are told which products they follow, should they have
    no ids of their own.
    """

    @hook_impl
    def after_catalog_created(self, catalog: CatalogProtocol[Any, Any]) -> None:
        """Derive the files of products for Kedro-Viz, which begins no run. A run that needs what cannot be derived says why."""
        if (project := current_project.get()) and project.parameters.compute.is_partitioned:
            for part in ("train", "test"):
                with suppress(DatasetError, ParameterError):
                    _derive(catalog, f"{part}{IN_PIECES}")

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Derive what the pipeline reads.

        Raises:
            ParameterError: if products are of a type of dataset that says no file.
        """
        for name in sorted(pipeline.inputs()):
            if name.endswith(IN_PIECES):
                _derive(catalog, name)
            if match := _EMBEDDINGS.fullmatch(name):
                _let_follow(catalog.get(name), catalog.get(f"{match['part']}_products"))
        for name in sorted(_dispensable(pipeline)):
            if not catalog.exists(name):
                catalog[name] = MemoryDataset(None)


def _dispensable(pipeline: Pipeline) -> set[str]:
    """What earlier runs made, and only nodes read that merely compare with it."""
    needed = (node.inputs[:-1] if node.func in COMPARING else node.inputs for node in pipeline.nodes)
    return pipeline.inputs() - {name for names in needed for name in names}


def _derive(catalog: CatalogProtocol[Any, Any], name: str) -> None:
    if name in catalog:
        return
    dataset = catalog.get(products := products_of(name))
    if not isinstance(dataset, datasets.ProductTableDataset):
        raise ParameterError(
            f"catalog entry {products!r}: found {type(dataset).__name__}, expected a ProductTableDataset, which can be read piece by "
            f"piece (compute.partitions). Write it so, or add an entry {name!r} of that type with in_pieces: true."
        )
    catalog[name] = dataset.read_in_pieces()


def _let_follow(embeddings: object, products: object) -> None:
    if isinstance(embeddings, datasets.EmbeddingFilesDataset) and isinstance(products, datasets.ProductTableDataset):
        embeddings.follow(products)
