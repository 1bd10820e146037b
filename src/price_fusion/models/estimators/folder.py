"""An estimator on disk: a folder with the fitted numbers in one file and ``estimator.json``.

``estimator.json`` holds the digest of that file and the seal of its own contents, so that damage of either is noticed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from price_fusion.errors import CheckpointError
from price_fusion.metrics.price_scale import BEFORE, PriceScale
from price_fusion.models.estimators.design import Design
from price_fusion.parameters.base import Parameters
from price_fusion.storage.digests import digest_of
from price_fusion.storage.files import whole_folder
from price_fusion.storage.manifests import ManifestKind
from price_fusion.version import __version__

FORMAT_VERSION = 3
RECORD = "estimator.json"
ADVICE = "Fit again, or bring the folder back from a copy."
KIND = ManifestKind("estimator", RECORD, FORMAT_VERSION, CheckpointError, "Fit it first.", ADVICE)


class Description(Parameters):
    """What every estimator knows beside its fitted numbers."""

    design: Design
    price_scale: PriceScale = BEFORE
    """Of its log prices."""
    median_log_price: float
    """Of the fit rows: the prediction for a product that no source knows."""
    settings: dict[str, JsonValue]
    """Hyper-parameters: given ones and those that the stop rows chose."""


class EstimatorRecord(Parameters):
    """The contents of ``estimator.json``."""

    package_version: str = __version__
    kind: str
    sha256: str
    """Of the file with the fitted numbers."""
    estimator: Description


def write_folder(folder: Path, kind: str, file: str, description: Description, write: Callable[[Path], None]) -> None:
    """Write an estimator; what stood in the folder before is replaced once the new one is whole on disk.

    Args:
        folder: where to; it need not be there.
        kind: of the estimator.
        file: name of the file with the fitted numbers.
        description: of the estimator.
        write: writes the fitted numbers to a path.

    Raises:
        StorageError: if it cannot be written.
    """
    with whole_folder(folder) as partial:
        write(partial / file)
        record = EstimatorRecord(kind=kind, sha256=digest_of(partial / file), estimator=description)
        (partial / RECORD).write_bytes(KIND.document(json.loads(record.model_dump_json())))


def read_record(folder: Path) -> EstimatorRecord:
    """What a folder says of its estimator.

    Raises:
        CheckpointError: if it holds none, a damaged one, or one of another format.
    """
    return KIND.read(folder, lambda fields: EstimatorRecord.model_validate_json(json.dumps(fields)))


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays as safetensors."""
    from safetensors.numpy import save

    # To bytes first: safetensors turns a full disk into an error of its own, which says nothing of disks.
    path.write_bytes(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read arrays that ``write_arrays`` wrote.

    Raises:
        ValueError: if the file is no safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays: dict[str, NDArray[Any]] = load_file(path)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    return arrays
