"""Writing the graph as ONNX and as a program of torch.export, and running both."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec

import numpy as np
import torch
from numpy.typing import NDArray

from price_fusion.errors import MissingPackageError
from price_fusion.lazy import install_command
from price_fusion.prediction.export.graph import PriceGraph

Run = Callable[[Sequence[NDArray[np.generic]]], NDArray[np.float32]]
"""Prices of (B, W) values and (B,) flags per source, in the order of ``PriceGraph.input_names``."""

OPSET = 18
NEEDED = ("onnx", "onnxscript", "onnxruntime")
EXAMPLE_ROWS = 3
"""Products that the graph is traced with; their number stays free."""


def require_onnx() -> None:
    """Refuse before any work is done.

    Raises:
        MissingPackageError: if a package of the extra ``onnx`` is missing.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise MissingPackageError(
            f"export: {', '.join(missing)} not installed, which ONNX needs. Install it: {install_command('onnx')}."
        )


def program_bytes(graph: PriceGraph) -> bytes:
    """The graph as ``torch.export`` saves it."""
    buffer = io.BytesIO()
    torch.export.save(_program(graph), buffer)
    return buffer.getvalue()


def onnx_bytes(graph: PriceGraph) -> bytes:
    """The graph as an ONNX model with a free batch dimension, weights inside."""
    with warnings.catch_warnings(), torch.no_grad():
        # Of the exporter's own workings: its copies of nodes, and names of dimensions that it renames.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*dynamic_axes.*|.*dynamic_shapes.*|.*will be renamed.*")
        logger = logging.getLogger("torch.onnx")
        before = logger.level
        logger.setLevel(logging.ERROR)
        try:
            exported = torch.onnx.export(
                _program(graph),
                input_names=graph.input_names,
                output_names=["price"],
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
        finally:
            logger.setLevel(before)
    assert exported is not None  # noqa: S101 - for the type checker: dynamo=True gives a program
    contents: bytes = exported.model_proto.SerializeToString()
    return contents


def run_program(contents: bytes) -> Run:
    """What runs a saved program of torch.export."""
    module = torch.export.load(io.BytesIO(contents)).module()

    def run(inputs: Sequence[NDArray[np.generic]]) -> NDArray[np.float32]:
        with torch.inference_mode():
            prices: NDArray[np.float32] = module(*(torch.from_numpy(values) for values in inputs)).numpy()
        return prices

    return run


def run_onnx(contents: bytes, names: Sequence[str]) -> Run:
    """What runs an ONNX model, by onnxruntime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(contents, providers=["CPUExecutionProvider"])

    def run(inputs: Sequence[NDArray[np.generic]]) -> NDArray[np.float32]:
        prices: NDArray[np.float32] = session.run(["price"], dict(zip(names, inputs, strict=True)))[0]
        return prices

    return run


def _program(graph: PriceGraph) -> torch.export.ExportedProgram:
    batch = torch.export.Dim("batch", min=1, max=2**20)
    inputs = tuple(
        tensor
        for source in graph.sources.values()
        for tensor in (torch.rand(EXAMPLE_ROWS, source.width), torch.ones(EXAMPLE_ROWS, dtype=torch.bool))
    )
    shapes = (tuple({0: batch} for _ in inputs),)
    return torch.export.export(graph, inputs, dynamic_shapes=shapes)
