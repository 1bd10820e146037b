"""An estimator on disk: a folder with the fitted numbers in one file and ``estimator.json``, which is written last."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue, ValidationError

from price_fusion import __version__
from price_fusion.errors import CheckpointError
from price_fusion.fusion.estimators.design import Design
from price_fusion.fusion.files import sha256, whole_file
from price_fusion.parameters.base import Parameters

FORMAT_VERSION = 1
RECORD = "estimator.json"


class Description(Parameters):
    """What every estimator knows beside its fitted numbers."""

    design: Design
    median_log_price: float
    """Of the fit rows: the prediction for a product that no source knows."""
    settings: dict[str, JsonValue]
    """Hyper-parameters: given ones and those that the stop rows chose."""


class EstimatorRecord(Parameters):
    """The contents of ``estimator.json``."""

    format_version: int = FORMAT_VERSION
    package_version: str = __version__
    kind: str
    sha256: str
    """Of the file with the fitted numbers."""
    estimator: Description


def write_folder(folder: Path, kind: str, file: str, description: Description, write: Callable[[Path], None]) -> None:
    """Write an estimator; while it is written, the folder holds none.

    Args:
        folder: where to; it need not be there.
        kind: of the estimator.
        file: name of the file with the fitted numbers.
        description: of the estimator.
        write: writes the fitted numbers to a path.
    """
    (folder / RECORD).unlink(missing_ok=True)
    with whole_file(folder / file) as temporary:
        write(temporary)
    record = EstimatorRecord(kind=kind, sha256=sha256(folder / file), estimator=description)
    with whole_file(folder / RECORD) as temporary:
        temporary.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_record(folder: Path) -> EstimatorRecord:
    """What a folder says of its estimator.

    Raises:
        CheckpointError: if it holds none, a damaged one, or one of another format.
    """
    path = folder / RECORD
    try:
        contents: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{folder}: no estimator here (no {RECORD}). Fit it first.") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: not JSON ({error}). Fit again.") from error
    if not isinstance(contents, dict):
        raise CheckpointError(f"{path}: a {type(contents).__name__}, expected an object. Fit again.")
    version = contents.get("format_version")
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: estimator format {version!r}, written by price-fusion {contents.get('package_version')!r}; this is "
            f"{__version__}, which reads format {FORMAT_VERSION}. Fit again, or use that version."
        )
    try:
        return EstimatorRecord.model_validate_json(json.dumps(contents))
    except ValidationError as error:
        raise CheckpointError(f"{path}: damaged ({error}). Fit again.") from error


def check_digest(path: Path, digest: str) -> None:
    """Refuse a file that is not the one that was written with the record.

    Raises:
        CheckpointError: if it is missing or holds other bytes.
    """
    try:
        found = sha256(path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error}). Fit again, or bring the file back.") from error
    if found != digest:
        raise CheckpointError(
            f"{path}: sha256 {found[:12]}…, expected {digest[:12]}… as {RECORD} says: damaged, or of another estimator. Fit "
            "again, or bring the file back."
        )


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays as safetensors."""
    from safetensors.numpy import save_file

    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)


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
