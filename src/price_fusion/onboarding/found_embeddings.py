"""Stored embeddings in a folder: what can be read, whose they are, and which files belong together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.ids import Ids, are_among
from price_fusion.data.readers.embedding_files import locate_embeddings, read_embeddings
from price_fusion.data.readers.file_kinds import kind_of
from price_fusion.data.readers.formats.arrow_files import is_saved_dataset
from price_fusion.data.readers.formats.npy_parts import are_parts
from price_fusion.data.readers.gzip_files import head_inside
from price_fusion.data.readers.rows import OF_PRODUCTS, Asked
from price_fusion.errors import PriceFusionError
from price_fusion.parameters.base import NAMES_OF_MODULES

_KINDS = ("npz", "pickle", "torch", "safetensors", "parquet", "arrow", "arrow stream")
"""Formats of single files that may hold embeddings."""
KNOWN_SHARE = 0.01
"""Share of the products that a file must know to be embeddings of them."""
_PARTS = frozenset(
    ["train", "test", "training", "testing", "val", "labelled", "unlabelled", "labeled", "unlabeled", "new"]
)
_EMPTY_WORDS = frozenset(
    ["embeddings", "embedding", "emb", "vectors", "vector", "features", "feats", "array", "arrays", "data", "products"]
)
_IMAGE = re.compile(r"im(?:a)?ge?|img|photo|picture|bild|clip|siglip|vit|dino|resnet|convnext")
_TEXT = re.compile(r"text|title|desc|name|bert|sentence|minilm|mpnet|qwen|gte|bge|e5|gemma|word")


@dataclass(frozen=True)
class FoundEmbeddings:
    """Embeddings that can be read.

    Attributes:
        path: of the file or folder.
        ids: (N,) of their products.
        width: columns.
        entry: what its catalog entry says beside the path.
        files: that they are read from, those with the ids among them.
    """

    path: Path
    ids: Ids
    width: int
    entry: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class FoundSource:
    """Embeddings of the labelled products, and of those to be predicted.

    Attributes:
        name: of the source.
        group: ``image``, ``text`` or its own name.
        train: of the labelled products.
        test: of the others; None where there are no products to be predicted.
        known: share of the labelled products that it knows.
    """

    name: str
    group: str
    train: FoundEmbeddings
    test: FoundEmbeddings | None
    known: float


def found_embeddings(
    files: Sequence[Path], tables: Mapping[Path, Ids], identity: str = ""
) -> tuple[list[FoundEmbeddings], dict[Path, str]]:
    """Embeddings among files, and why other files of their formats are left out.

    Args:
        files: that may hold some; folders of parts are found by their files.
        tables: ids of products in the order of their file, for vectors without ids.
        identity: what the products' tables call an id; files of embeddings may do so, too, also in the plural.
    """
    kinds = {path: kind for path in files if (kind := _kind_inside(path))}
    found: list[FoundEmbeddings] = []
    left_out: dict[Path, str] = {}
    own = [Asked(), *(Asked(ids=name) for name in (identity, f"{identity}s") if identity)]
    for folder in dict.fromkeys(path.parent for path in kinds):
        arrays = [path for path, kind in kinds.items() if path.parent == folder and kind == "npy"]
        others = [path for path, kind in kinds.items() if path.parent == folder and kind in _KINDS]
        if _is_one(folder, others):
            _take(folder, own, found, left_out)
            continue
        lists = [path for path in files if path.parent == folder and path not in arrays and path not in others]
        beside = [one for name in lists for one in _of_a_list(name, identity)]
        for path in others:
            _take(path, [*own, *beside], found, left_out)
        _take_arrays(folder, arrays, beside, tables, found, left_out)
    read = {path for one in found for path in one.files}
    return found, {path: why for path, why in left_out.items() if path not in read}


def _kind_inside(path: Path) -> str:
    """The format of a file, or of what gzip has compressed in it; nothing where it is not known."""
    try:
        kind = kind_of(head_inside(path))
    except PriceFusionError:
        return ""
    return "" if kind is None else kind.name


def _is_one(folder: Path, files: Sequence[Path]) -> bool:
    """Whether files of a folder are parts of one set of embeddings: as Spark, clip-retrieval and Hugging Face write them."""
    parts = len(files) > 1 and all(path.name.startswith("part-") for path in files)
    return parts or is_saved_dataset(folder) or are_parts(folder)


def _take(
    path: Path,
    ways: Sequence[Asked],
    found: list[FoundEmbeddings],
    left_out: dict[Path, str],
    ids: tuple[Ids, str] | None = None,
) -> None:
    """Read embeddings in the first way that succeeds, or note why the very first does not."""
    reasons = []
    for asked in ways:
        try:
            raw = read_embeddings(path, asked=asked, products=None if ids is None else lambda: ids)
            files = locate_embeddings(path, asked=asked).files
        except PriceFusionError as error:
            reasons.append(str(error).removeprefix(f"{path}: "))
            continue
        said = (("embeddings", asked.embeddings), ("ids", asked.ids), ("id_column", asked.id_column))
        entry = {name: value for name, value in said if value}
        found.append(FoundEmbeddings(path, raw.ids, raw.vectors.shape[1], entry, tuple(files)))
        return
    left_out[path] = reasons[0]


def found_sources(
    embeddings: Sequence[FoundEmbeddings], labelled: Ids, unlabelled: Ids | None, taken: Sequence[str] = ()
) -> tuple[list[FoundSource], dict[Path, str]]:
    """Embeddings as sources, and why others are none.

    Args:
        embeddings: what was found.
        labelled: ids of the labelled products.
        unlabelled: of those to be predicted; None where there are none.
        taken: names that a source cannot have.
    """
    train = [one for one in embeddings if _share(labelled, one) >= KNOWN_SHARE]
    test = [one for one in embeddings if unlabelled is not None and _share(unlabelled, one) >= KNOWN_SHARE]
    left_out = {
        one.path: f"none of its ids is a product's; they begin with {', '.join(map(repr, one.ids[:3].tolist()))}"
        for one in embeddings
        if one not in train and one not in test
    }
    sources: list[FoundSource] = []
    for one in train:
        partner = one if one in test else _partner(one, [other for other in test if other not in train])
        if unlabelled is not None and partner is None:
            left_out[one.path] = "there is no such file for the products to be predicted"
            continue
        name = _name_of(one, [*taken, *(source.name for source in sources)])
        sources.append(FoundSource(name, _group_of(name), one, partner, _share(labelled, one)))
    used = [source.test for source in sources]
    left_out |= {
        one.path: "there is no such file for the labelled products"
        for one in test
        if one not in train and one not in used
    }
    return sources, left_out


def _take_arrays(
    folder: Path,
    paths: Sequence[Path],
    beside: Sequence[Asked],
    tables: Mapping[Path, Ids],
    found: list[FoundEmbeddings],
    left_out: dict[Path, str],
) -> None:
    """Matrices of a folder, each with the ids of as many rows whose name is most alike; or in the order of the products."""
    loaded = {path: _array(path) for path in paths}
    for path, matrix in loaded.items():
        if matrix is None or matrix.ndim != 2:
            continue
        ids = [one for one, array in loaded.items() if array is not None and array.shape == (len(matrix),)]
        in_order = [(table, of_table) for table, of_table in tables.items() if len(of_table) == len(matrix)]
        if ids:
            own = max(ids, key=lambda one: len(set(_words(one.stem)) & set(_words(path.stem))))
            _take(folder, [Asked(embeddings=path.name, ids=own.name)], found, left_out)
        elif any(_takes(folder, replace(asked, embeddings=path.name), found) for asked in beside):
            continue
        elif len(in_order) == 1:
            table, of_table = in_order[0]
            _take(path, [Asked(ids=OF_PRODUCTS)], found, left_out, (of_table, str(table)))
        else:
            left_out[path] = (
                f"there are no ids beside it: a .npy, JSON, CSV or parquet file of {len(matrix):,} ids in the same folder"
            )


def _takes(path: Path, asked: Asked, found: list[FoundEmbeddings]) -> bool:
    """Whether embeddings can be read so; then they are found."""
    left_out: dict[Path, str] = {}
    _take(path, [asked], found, left_out)
    return not left_out


def _of_a_list(path: Path, identity: str) -> list[Asked]:
    """How ids may be read from a file: by a usual name, or by the one that products' tables have for them."""
    return [Asked(ids=path.name), *([Asked(ids=path.name, id_column=identity)] if identity else [])]


def _array(path: Path) -> NDArray[Any] | None:
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return None
    return array


def _share(ids: Ids, embeddings: FoundEmbeddings) -> float:
    return float(np.mean(are_among(ids, embeddings.ids))) if len(ids) else 0.0


def _partner(one: FoundEmbeddings, others: Sequence[FoundEmbeddings]) -> FoundEmbeddings | None:
    """The same embeddings of the products to be predicted: of that width, and of that name but for train and test."""
    alike = [other for other in others if other.width == one.width]
    named = [other for other in alike if _core(other) == _core(one)]
    return named[0] if len(named) == 1 else alike[0] if len(alike) == 1 else None


def _label(one: FoundEmbeddings) -> str:
    """The part of its path that tells it from others."""
    inside = str(one.entry.get("embeddings", ""))
    return f"{one.path.parent.name}/{one.path.stem}/{Path(inside).stem}"


def _core(one: FoundEmbeddings) -> tuple[str, ...]:
    return tuple(word for word in _words(_label(one)) if word not in _PARTS)


def _words(text: str) -> Iterator[str]:
    yield from re.findall(r"[a-z]+[0-9]*|[0-9]+", text.casefold())


def _name_of(one: FoundEmbeddings, taken: Sequence[str]) -> str:
    """A name that ``sources`` may have."""
    stem = [*_words(one.path.stem), *_words(Path(str(one.entry.get("embeddings", ""))).stem)]
    words = [word for word in stem if word not in _PARTS | _EMPTY_WORDS]
    words = words or [word for word in _words(one.path.parent.name) if word not in _PARTS | _EMPTY_WORDS]
    name = "_".join(dict.fromkeys(words))[:48]
    if not re.match(r"[a-z]", name) or name in NAMES_OF_MODULES:
        name = f"embedding_{name}".rstrip("_")
    number, free = 2, name
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free


def _group_of(name: str) -> str:
    if _IMAGE.search(name) and not re.search("text", name):
        return "image"
    return "text" if _TEXT.search(name) else name
