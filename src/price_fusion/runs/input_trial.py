"""All that is wrong with the inputs of a pipeline, found by trying them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from kedro.io import DatasetError
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from price_fusion.console.errors import own_error
from price_fusion.data.alignment import refuse_unrelated
from price_fusion.data.checks.values import refuse_unusable
from price_fusion.data.ids import are_among, ids_of
from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.datasets.raw_files import RawFiles
from price_fusion.errors import DataError, PriceFusionError
from price_fusion.pipelines.ingestion.pipeline import ALIGNING, TAG
from price_fusion.runs.journal import Catalog


@dataclass(frozen=True)
class Problem:
    """What is wrong with an input.

    Attributes:
        dataset: its name in the catalog; empty where it is of none in particular.
        file: its file or folder, likewise.
        text: what is wrong, with the file's name.
    """

    dataset: str
    file: str
    text: str


def raw_inputs(pipeline: Pipeline, catalog: Catalog) -> dict[str, RawFiles[Any]]:
    """Datasets of users' files that a pipeline reads, by name."""
    free = {name: catalog.get(name) for name in sorted(pipeline.inputs()) if not name.startswith("params:")}
    return {name: dataset for name, dataset in free.items() if isinstance(dataset, RawFiles)}


class InputTrial:
    """Tries all inputs of a pipeline, and what its nodes ask of them.

    Args:
        pipeline: that failed.
        catalog: of the run.
        inputs: as ``raw_inputs`` gives them.
    """

    def __init__(self, pipeline: Pipeline, catalog: Catalog, inputs: dict[str, RawFiles[Any]]) -> None:
        self._nodes = [node for node in pipeline.nodes if TAG in node.tags]
        self._catalog = catalog
        self._inputs = inputs
        self._sound: dict[str, Any] = {}
        """What is kept of inputs that are sound: products, and embeddings without their matrix."""

    def problems(self) -> list[Problem]:
        """All that is wrong, product tables first."""
        from price_fusion.datasets.product_table import ProductTableDataset

        order = sorted(self._inputs, key=lambda name: not isinstance(self._inputs[name], ProductTableDataset))
        found = [problem for name in order for problem in self._problems_of(name)]
        found += [problem for node in self._nodes if node.func in ALIGNING for problem in self._unrelated(node)]
        return list({problem.text: problem for problem in found}.values())  # a file may be of two datasets

    def _problems_of(self, name: str) -> Iterator[Problem]:
        loaded: list[Any] = []
        dataset = self._inputs[name]
        if dataset.in_pieces:
            yield from self._tried(name, dataset.versions)
            return
        yield from self._tried(name, lambda: loaded.append(dataset.load()))
        if not loaded:
            return
        data = loaded.pop()
        checks = [partial(node.func, *self._arguments(node, name, data)) for node in self._readers(name)]
        if isinstance(data, RawEmbeddings):
            checks.append(partial(refuse_unusable, data))
        wrong = [problem for check in checks for problem in self._tried(name, check)]
        if not wrong:
            self._sound[name] = (
                replace(data, vectors=data.vectors[:1].copy()) if isinstance(data, RawEmbeddings) else data
            )
        yield from wrong

    def _readers(self, name: str) -> list[Node]:
        """Nodes that ask of this input alone."""
        return [
            node
            for node in self._nodes
            if name in node.inputs and all(other == name or other.startswith("params:") for other in node.inputs)
        ]

    def _arguments(self, node: Node, name: str, data: Any) -> list[Any]:
        return [data if other == name else self._catalog.load(other) for other in node.inputs]

    def _unrelated(self, node: Node) -> Iterator[Problem]:
        """The embeddings that a node checks, if they know none of their products."""
        products = self._sound.get(node.inputs[0])
        if products is None:
            return
        ids = ids_of(products["sample_id"])
        made_from = {table: maker.inputs[0] for maker in self._nodes for table in maker.outputs}
        table = node.inputs[1]  # what follows is compared with it, and of other products
        name = made_from.get(table, "")
        raw = self._sound.get(name)
        if isinstance(raw, RawEmbeddings):
            source = table.rpartition(".")[0]
            missing = {source: ids[~are_among(ids, raw.ids)]}
            check = partial(refuse_unrelated, missing, {source: raw}, node.inputs[0], ids)
            yield from self._tried(name, check)

    def _tried(self, name: str, check: Callable[[], object]) -> Iterator[Problem]:
        try:
            check()
        except (PriceFusionError, DatasetError) as error:
            own = own_error(error)
            texts = own.problems if isinstance(own, DataError) else (str(own or error),)
            for text in texts:
                yield Problem(name, str(self._inputs[name]._filepath), text)


def not_among(error: DataError, found: list[Problem]) -> list[Problem]:
    """The problems of the error that stopped the run, unless they have been found again."""
    texts = {problem.text for problem in found}
    files = tuple(f"{problem.file}" for problem in found)
    return [
        Problem("", "", text) for text in error.problems if text not in texts and not (files and text.startswith(files))
    ]


def error_of(problems: list[Problem]) -> DataError:
    """One error for all problems, which it numbers."""
    texts = [problem.text for problem in problems]
    if len(texts) == 1:
        return DataError(texts[0])
    files = len({problem.file or problem.text for problem in problems})
    listed = "\n".join(f"  {number}. {text}" for number, text in enumerate(texts, start=1))
    return DataError(f"{len(texts)} problems in {files} input(s) of this run:\n{listed}", texts)
