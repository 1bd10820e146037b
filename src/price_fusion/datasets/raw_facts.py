"""What tells the raw files of a dataset from others: their digests, and how they are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kedro.io import MemoryDataset

from price_fusion.datasets.made_from import FILES, SETTINGS, WITHOUT_EFFECT
from price_fusion.datasets.recorded import RecordedOutput
from price_fusion.errors import PriceFusionError
from price_fusion.storage.digests import CheckRecord
from price_fusion.storage.store import Store

_NOT_RAW = (MemoryDataset, RecordedOutput)
PRODUCTS, IN_PIECES = "_products", "_product_files"
"""How the entry of a part's products ends, and that of the same products read piece by piece."""


def products_of(name: str) -> str:
    """The name under which a raw dataset is recorded, whichever way it is read: that of the products of ``<part>_product_files``."""
    return name.removesuffix(IN_PIECES) + PRODUCTS if name.endswith(IN_PIECES) else name


def raw_facts(dataset: Any, digests: CheckRecord) -> dict[str, Any] | None:
    """Files and settings of a dataset that pipelines read and do not write.

    Args:
        dataset: of the catalog.
        digests: of raw files.

    Returns:
        what JSON can hold; None for a dataset that is not raw, or whose files are not there.
    """
    if isinstance(dataset, _NOT_RAW) or not hasattr(dataset, "_filepath"):
        return None
    is_on_disk = getattr(dataset, "is_on_disk", True)
    try:
        files = _digests(dataset, digests) if is_on_disk else dataset.versions()
    except (PriceFusionError, OSError):
        return None  # whoever reads them will say what is wrong
    if not files:
        return None
    arguments = getattr(dataset, "_init_args", None) or {}
    settings = {name: value for name, value in arguments.items() if name not in WITHOUT_EFFECT}
    found: dict[str, Any] = json.loads(json.dumps({FILES: files, SETTINGS: settings}, default=str))
    return found


def _digests(dataset: Any, digests: CheckRecord) -> dict[str, str]:
    place = Store(str(dataset._filepath)).path
    paths = dataset.files() if hasattr(dataset, "files") else _files_at(place)
    found = digests.digests_of(paths)
    return {
        path.relative_to(place).as_posix() if place in path.parents else path.name: digest
        for path, digest in found.items()
    }


def _files_at(path: Path) -> list[Path]:
    return sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
