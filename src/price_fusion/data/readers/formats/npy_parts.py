"""Folders of numbered ``.npy`` parts with a file of ids for each, as clip-retrieval writes them.

``img_emb/img_emb_0.npy``, ``img_emb/img_emb_1.npy``, ... and ``metadata/metadata_0.parquet``, ``metadata/metadata_1.parquet``, ...
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.readers.formats.id_files import read_id_file
from price_fusion.data.readers.formats.npy_files import mapped_array
from price_fusion.data.readers.formats.spooled import spooled
from price_fusion.data.readers.rows import ID_NAMES, Asked, FoundRows, Located
from price_fusion.errors import DataError, few

_METADATA = "metadata"
_VECTORS = re.compile(r"(.+_emb)_([0-9]+)\.npy")
_IDS = re.compile(r"(metadata)_([0-9]+)\.parquet")
_USUAL = (*ID_NAMES, "image_path")
"""Columns with ids; clip-retrieval calls an image's key, its file's name without what follows the dot, ``image_path``."""
_BLOCK_ROWS = 8_192


def are_parts(folder: Path) -> bool:
    """Whether a folder holds numbered parts of vectors, or folders of such."""
    return any(True for _ in _part_folders(folder))


def locate_parts(folder: Path, asked: Asked) -> Located:
    """The parts in the order of their numbers, and the files with their ids.

    Args:
        folder: that holds the parts, or folders of parts of which ``embeddings`` names one.
        asked: names.

    Raises:
        DataError: if several folders could be meant, a number is left out, or a part has no ids.
    """
    folders = [one for one in _part_folders(folder) if asked.embeddings in (None, one.name)]
    if len(folders) != 1:
        names = ", ".join(one.name for one in _part_folders(folder))
        raise DataError(
            f"{folder}: found the folders of parts {names}, expected one{f' called {asked.embeddings!r}' if asked.embeddings else ''}. "
            "Name it in the catalog entry (embeddings: img_emb)."
        )
    vectors = _numbered(folders[0], _VECTORS)
    if asked.of_products:
        return Located("npy parts", _in_order(vectors, folders[0]), needs_products=True)
    beside = next((one for one in (folders[0], folders[0].parent / _METADATA) if _numbered(one, _IDS)), None)
    ids = _numbered(beside, _IDS) if beside else {}
    if set(ids) != set(vectors):
        lonely = sorted(set(ids) ^ set(vectors))
        raise DataError(
            f"{folder}: found {len(vectors)} part(s) of vectors and {len(ids)} of metadata, expected metadata_N.parquet for each part "
            f"N (not so for {few(lonely)}). Copy all files, or set 'ids: products' "
            "if rows are in the order of the product file."
        )
    return Located("npy parts", _in_order(vectors, folders[0]), _in_order(ids, folders[0]))


def read_parts(located: Located, asked: Asked, origin: str) -> FoundRows:
    """Ids and vectors of all parts; a block of rows is in memory at a time.

    Raises:
        DataError: if a part is damaged, has another width or type than the first, or another number of ids than of rows.
    """
    arrays = [_matrix(path) for path in located.vectors]
    ids: list[Any] | None = None
    if located.ids:
        ids = []
        for path, array in zip(located.ids, arrays, strict=True):
            found = read_id_file(path, asked.id_column or asked.ids, len(array), _USUAL)
            of_part = found.tolist() if isinstance(found, np.ndarray) else list(found)  # type: ignore[call-overload]
            if len(of_part) != len(array):
                raise DataError(
                    f"{path}: found {len(of_part):,} ids for the {len(array):,} rows of its part, expected one id a row. Write both again."
                )
            ids += of_part
    return FoundRows(ids, spooled(_blocks(arrays), origin), rows_by_file=[len(array) for array in arrays])


def _blocks(arrays: Sequence[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    return (array[start : start + _BLOCK_ROWS] for array in arrays for start in range(0, len(array), _BLOCK_ROWS))


def _matrix(path: Path) -> NDArray[Any]:
    array = mapped_array(path, "numpy.stack(vectors).astype('float32')")
    if array.ndim != 2:
        raise DataError(
            f"{path}: found an array of shape {array.shape}, expected 2-d, one vector a row. Write it again."
        )
    return array


def _part_folders(folder: Path) -> list[Path]:
    inside = sorted(one for one in folder.iterdir() if one.is_dir())
    return [one for one in (folder, *inside) if _numbered(one, _VECTORS)]


def _numbered(folder: Path, pattern: re.Pattern[str]) -> dict[int, Path]:
    if not folder.is_dir():
        return {}
    found = [(pattern.fullmatch(one.name), one) for one in folder.iterdir()]
    return {int(match[2]): path for match, path in found if match}


def _in_order(parts: dict[int, Path], folder: Path) -> list[Path]:
    if sorted(parts) != list(range(len(parts))):
        left_out = sorted(set(range(max(parts) + 1)) - set(parts))
        raise DataError(
            f"{folder}: found {len(parts)} parts up to number {max(parts)}, of which {', '.join(map(str, left_out[:5]))} "
            "are not there, expected all from 0 on. Copy them."
        )
    return [parts[number] for number in sorted(parts)]
