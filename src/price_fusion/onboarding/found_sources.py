"""Sources among the embeddings of a folder: whose they are, which files belong together, and what they are called."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from price_fusion.data.ids import are_among
from price_fusion.onboarding.found_embeddings import FoundEmbeddings, ProductsOfFile, words_in
from price_fusion.parameters.base import NAMES_OF_MODULES

KNOWN_SHARE = 0.01
"""Share of the products that a file must know to be embeddings of them."""
_PARTS = frozenset(
    ["train", "test", "training", "testing", "val", "labelled", "unlabelled", "labeled", "unlabeled", "new"]
)
_EMPTY_WORDS = frozenset(
    [
        "embeddings",
        "embedding",
        "emb",
        "vectors",
        "vector",
        "features",
        "feats",
        "array",
        "arrays",
        "data",
        "products",
        "vektoren",
        "vecteurs",
        "vectores",
    ]
)
_IMAGE = re.compile(r"im(?:a)?ge?|img|photo|picture|bild|clip|siglip|vit|dino|resnet|convnext")
_TEXT = re.compile(r"text|title|desc|name|bert|sentence|minilm|mpnet|qwen|gte|bge|e5|gemma|word")


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


def found_sources(
    folder: Path,
    embeddings: Sequence[FoundEmbeddings],
    labelled: ProductsOfFile,
    unlabelled: ProductsOfFile | None,
    taken: Sequence[str] = (),
) -> tuple[list[FoundSource], dict[Path, str]]:
    """Embeddings as sources, and why others are none.

    Args:
        folder: that all of it is in.
        embeddings: what was found.
        labelled: the labelled products.
        unlabelled: those to be predicted; None where there are none.
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
        name = _name_of(folder, one, [*taken, *(source.name for source in sources)])
        sources.append(FoundSource(name, _group_of(name), one, partner, _share(labelled, one)))
    used = [source.test for source in sources]
    left_out |= {
        one.path: "there is no such file for the labelled products"
        for one in test
        if one not in train and one not in used
    }
    return sources, left_out


def _share(products: ProductsOfFile, embeddings: FoundEmbeddings) -> float:
    """The share of products that embeddings know; in the order of one file, they are of that file alone."""
    if not len(products.ids) or embeddings.table not in (None, products.path):
        return 0.0
    return float(np.mean(are_among(products.ids, embeddings.ids)))


def _partner(one: FoundEmbeddings, others: Sequence[FoundEmbeddings]) -> FoundEmbeddings | None:
    """The same embeddings of the products to be predicted: of that width, and of that name but for train and test."""
    alike = [other for other in others if other.width == one.width]
    named = [other for other in alike if _core(other) == _core(one)]
    return named[0] if len(named) == 1 else alike[0] if len(alike) == 1 else None


def _core(one: FoundEmbeddings) -> tuple[str, ...]:
    """The words of its path that tell it from others, but for train and test."""
    label = "/".join([*one.path.parts[-3:-1], one.path.stem])
    return tuple(word for word in words_in(label) if word not in _PARTS)


def _name_of(folder: Path, one: FoundEmbeddings, taken: Sequence[str]) -> str:
    """A name that ``sources`` may have: that of the file, and of the folder that it shares with its ids.

    The given folder is named after a shop, not after what its vectors are of.
    """
    path = one.path if one.path != folder else one.files[0]
    *folders, file = path.relative_to(folder).with_suffix("").parts
    words = [*(_telling(folders[-1]) if folders and one.ids_file else []), *_telling(file)]
    words = words or next(filter(None, map(_telling, reversed(folders))), [])
    words = words or [word for word in words_in(file) if word not in _PARTS]
    name = "_".join(dict.fromkeys(words))[:48]
    if not re.match(r"[a-z]", name) or name in NAMES_OF_MODULES:
        name = f"embedding_{name}".rstrip("_")
    number, free = 2, name
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free


def _telling(name: str) -> list[str]:
    """Words of a name that say what vectors are of."""
    return [word for word in words_in(name) if word not in _PARTS | _EMPTY_WORDS]


def _group_of(name: str) -> str:
    if _IMAGE.search(name) and not re.search("text", name):
        return "image"
    return "text" if _TEXT.search(name) else name
