"""Exporting a checkpoint, checked against ``Predictor`` on real products before anything is written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from price_fusion.data.table import TableView
from price_fusion.errors import CheckpointError
from price_fusion.models.checkpoint import Checkpoint, tensors_digest
from price_fusion.models.features import Features, SourceFeatures, features_from_tables
from price_fusion.parameters import ColumnSourceParameters, Source
from price_fusion.prediction.export.formats import (
    OPSET,
    Run,
    onnx_bytes,
    program_bytes,
    require_onnx,
    run_onnx,
    run_program,
)
from price_fusion.prediction.export.graph import PRESENT, PriceGraph
from price_fusion.prediction.predictor import Predictor
from price_fusion.storage.files import whole_folder
from price_fusion.storage.manifests import ManifestKind
from price_fusion.version import __version__

ONNX, PROGRAM, MANIFEST = "model.onnx", "model.pt2", "export.json"
EXPORT = "kedro run --pipelines export_<variant>"
KIND = ManifestKind("exported model", MANIFEST, None, CheckpointError, f"Run: {EXPORT}", f"Export again: {EXPORT}")
BATCHES = (1, 256)
"""Products a batch that are checked."""
TOLERANCE = 1e-4
"""Relative difference of prices that is let pass."""


@dataclass(frozen=True)
class Exported:
    """Files of an export by name, and what they are.

    Attributes:
        files: contents by name.
        manifest: inputs, output, versions, and the largest difference that was found.
    """

    files: Mapping[str, bytes]
    manifest: Mapping[str, Any]


def export_checkpoint(checkpoint: Checkpoint, samples: pd.DataFrame, tables: Mapping[str, TableView]) -> Exported:
    """Export a checkpoint to ONNX and torch.export, and compare both with ``Predictor``.

    Args:
        checkpoint: of a variant.
        samples: a sample table; its first products are predicted for the comparison, with and without each source.
        tables: of the checkpoint's sources.

    Raises:
        MissingPackageError: if the extra ``onnx`` is not installed.
        CheckpointError: if a price differs by more than ``TOLERANCE``.
    """
    require_onnx()
    graph = PriceGraph(checkpoint)
    files = {ONNX: onnx_bytes(graph), PROGRAM: program_bytes(graph)}
    runs = {ONNX: run_onnx(files[ONNX], graph.input_names), PROGRAM: run_program(files[PROGRAM])}
    predictor = Predictor(checkpoint)
    found = {
        f"{name}, batch {size}": max(
            largest_difference(name, run, predictor, case, samples["sample_id"].to_numpy())
            for case in _cases(features_from_tables(samples.head(size), tables, graph.sources))
        )
        for name, run in runs.items()
        for size in BATCHES
    }
    return Exported(files, _manifest(checkpoint, graph, found))


def save_export(folder: Path, exported: Exported) -> None:
    """Replace the folder, whole or not at all.

    Raises:
        StorageError: if it cannot be written.
    """
    with whole_folder(folder) as partial:
        for name, contents in exported.files.items():
            (partial / name).write_bytes(contents)
        (partial / MANIFEST).write_bytes(KIND.document(exported.manifest))


def largest_difference(name: str, run: Run, predictor: Predictor, features: Features, ids: NDArray[Any]) -> float:
    """The largest relative difference of exported prices from those of ``Predictor``.

    Raises:
        CheckpointError: if it is more than ``TOLERANCE``; with the product and both prices.
    """
    expected = predictor.price_features(features)
    prices = run(graph_inputs(features))
    difference = np.abs(prices - expected) / expected
    worst = int(np.argmax(difference))
    if not difference[worst] <= TOLERANCE:
        raise CheckpointError(
            f"{name}: exported, product {ids[worst]} costs {prices[worst]:.6g}, expected {expected[worst]:.6g} as from the "
            f"checkpoint, within {TOLERANCE:g}. Nothing was written. Other versions of torch or onnxruntime may help; "
            "the checkpoint itself can be used with Predictor."
        )
    return float(difference[worst])


def graph_inputs(features: Features) -> list[NDArray[np.generic]]:
    """Values and flags of all products as the graph takes them."""
    index = torch.arange(len(features))
    inputs = []
    for batch in features.batch(index).values():
        inputs += [torch.cat([batch.vectors.float(), batch.structural.float()], dim=1).contiguous(), batch.present]
    return [tensor.numpy() for tensor in inputs]


def _cases(features: Features) -> list[Features]:
    """The products as they are, without each source, and without any."""
    hidden = [{name} for name in features.sources] + [set(features.sources)]
    return [features, *(_without(features, names) for names in hidden)]


def _without(features: Features, names: set[str]) -> Features:
    return Features(
        {
            name: SourceFeatures(
                own.vectors, own.structural, torch.full_like(own.rows, -1) if name in names else own.rows
            )
            for name, own in features.sources.items()
        }
    )


def _manifest(checkpoint: Checkpoint, graph: PriceGraph, found: Mapping[str, float]) -> dict[str, Any]:
    header = checkpoint.header
    inputs = []
    for name, source in header.sources.items():
        inputs.append({"name": name, "shape": ["batch", source.width], "dtype": "float32", "columns": _meaning(source)})
        inputs.append(
            {"name": f"{name}{PRESENT}", "shape": ["batch"], "dtype": "bool", "columns": "whether it is known"}
        )
    return {
        "variant": header.variant,
        "inputs": inputs,
        "outputs": [{"name": "price", "shape": ["batch"], "dtype": "float32", "unit": checkpoint.header.currency}],
        "largest_relative_difference": dict(found),
        "opset": OPSET,
        "checkpoint_tensors_sha256": tensors_digest(checkpoint.weights),
        "versions": {"price-fusion": __version__, "torch": torch.__version__},
        "header": json.loads(header.model_dump_json()),
    }


def _meaning(source: Source) -> str | dict[str, Any]:
    """What the columns of an input are."""
    if isinstance(source, ColumnSourceParameters):
        return {
            "numbers, NaN where missing": list(source.numeric),
            "codes of categories, 0 where missing or unknown, else 1 + place in the list": {
                name: list(source.vocabulary[name]) for name in source.categorical
            },
            "made by": "price_fusion.data.columns.column_matrix(products, source, 'products')",
        }
    structural = f", then {source.structural_columns} structural columns" if source.structural_columns else ""
    return f"{source.embedding_width} of the embedding as the encoder gives it, not normalised{structural}"
