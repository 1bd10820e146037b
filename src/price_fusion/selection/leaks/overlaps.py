"""Duplicates across splits: the same id, text, image link or embedding, or nearly the same embedding.

Shapes: ``N`` products, those with a price first, then those of ``test.csv``.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from price_fusion.compute.progress import tracked
from price_fusion.data.splits import NO_FOLD
from price_fusion.data.table import EmbeddingTable
from price_fusion.errors import AlignmentError
from price_fusion.lazy import pd
from price_fusion.selection.leaks.near_duplicates import Embeddings, distinct_rows, near_pairs

logger = logging.getLogger(__name__)

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]

SIDES = (("validation", "train"), ("holdout", "train"), ("holdout", "validation"), ("test", "labelled"))
"""Products of the first side that have a counterpart on the second are counted."""
FOLD, OTHER_FOLDS = "a fold", "what its models fit"
EXAMPLES = 5
_BETWEEN_WORDS = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Likeness:
    """One way in which products can be alike."""

    kind: str
    source: str
    """Empty where it is not about embeddings."""
    codes: Rows
    """(N,) products with the same number are the same; -1: like nobody."""
    pairs: Rows | None = None
    """(P, 2) numbers that are alike, the closest first; None: only the same number is."""


@dataclass(frozen=True)
class Overlaps:
    """What was found."""

    products: pd.DataFrame
    """A row a product and likeness: ``kind``, ``source``, ``of``, ``among``, ``sample_id`` and ``counterpart``, ids as text."""
    report: dict[str, Any]


def sides(
    labelled: tuple[pd.DataFrame, pd.DataFrame],
    split_table: pd.DataFrame,
    unlabelled: tuple[pd.DataFrame, pd.DataFrame],
) -> pd.DataFrame:
    """Put the products of both sample tables on one page: who they are, and on which side.

    Args:
        labelled: the products as read, and their sample table.
        split_table: in the order of that sample table.
        unlabelled: the same of ``test.csv``.

    Returns:
        (N) ``sample_id``, ``catalog_content``, ``image_link``, ``side`` (a split, or ``test``), ``fold``.

    Raises:
        AlignmentError: if a sample table has products that were not read.
    """
    known = _texts_of(*labelled, "train_products").assign(
        side=split_table["split"].to_numpy(), fold=split_table["fold"].to_numpy()
    )
    new = _texts_of(*unlabelled, "test_products").assign(side="test", fold=NO_FOLD)
    return pd.concat([known, new], ignore_index=True)


def find_overlaps(
    page: pd.DataFrame, tables: Mapping[str, tuple[EmbeddingTable, Rows, EmbeddingTable, Rows]], *, near: float
) -> Overlaps:
    """Find duplicates across splits.

    Args:
        page: all products.
        tables: per source, the table of the labelled products with each one's row in it, and the same of ``test.csv``.
            Column sources are left out: many products have the same quantity.
        near: cosine from which on different rows are near-identical.

    Returns:
        the products concerned, and a report with ``overlaps`` (a count per likeness and pair of sides), ``left_out``
        (products per source whose embedding is common to many) and ``not_searched`` (sources with too much alike).
    """
    likenesses, left_out, not_searched = _likenesses_of_texts(page), {}, []
    compared = tracked(list(tables.items()), "comparing embeddings", "sources")
    for source, (table, rows, test_table, test_rows) in compared:
        if not table.width:
            continue
        embeddings = Embeddings((table, rows), (test_table, test_rows))
        distinct = distinct_rows(embeddings)
        left_out[source] = distinct.common
        likenesses.append(Likeness("embedding", source, distinct.codes))
        pairs = near_pairs(embeddings, distinct.first, near)
        if pairs is None:
            not_searched.append(source)
        else:
            likenesses.append(Likeness("near embedding", source, distinct.codes, pairs))
    found = pd.concat([_found(page, likeness) for likeness in likenesses], ignore_index=True)
    overlaps = [count for likeness in likenesses for count in _counts(page, likeness, found)]
    return Overlaps(found, {"near": near, "overlaps": overlaps, "left_out": left_out, "not_searched": not_searched})


def warn_of_overlaps(report: Mapping[str, Any]) -> None:
    """Log a warning for each pair of sides that overlap, and for what could not be searched; or that there is none."""
    for source, count in report["left_out"].items():
        if count:
            logger.info("source %r: %d product(s) have an embedding that is common to many; left out", source, count)
    if not _by_sides(report["overlaps"]):
        logger.info("no duplicates across splits, in %d comparisons", len(report["overlaps"]))
    for (of, among), found in _by_sides(report["overlaps"]).items():
        logger.warning("products of %s have a counterpart in %s: %s", of, among, "; ".join(map(_told, found)))
    for source in report["not_searched"]:
        logger.warning(
            "source %r was not searched for near-identical embeddings: too many are alike at a cosine of %g. Raise leaks.near.",
            source,
            report["near"],
        )


def _by_sides(overlaps: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    """What was found between each pair of sides."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for overlap in overlaps:
        if overlap["products"]:
            found.setdefault((overlap["of"], overlap["among"]), []).append(overlap)
    return found


def _told(overlap: Mapping[str, Any]) -> str:
    source = f" in {overlap['source']}" if overlap["source"] else ""
    return f"{overlap['products']} with the same {overlap['kind']}{source}, such as {overlap['examples'][0]}"


def counterparts(likeness: Likeness, of: Mask, among: Mask) -> Rows:
    """The first product of one side that is like each product of another, (N,); -1 where there is none.

    Args:
        likeness: of the products.
        of: (N,) who is asked about.
        among: (N,) who may be the counterpart, none of them in ``of``.
    """
    codes = likeness.codes
    members = np.flatnonzero(among & (codes >= 0))[::-1]
    first = np.full(int(codes.max(initial=-1)) + 1, -1)
    first[codes[members]] = members
    if likeness.pairs is not None:
        first = _across(likeness.pairs, first)
    asked = np.flatnonzero(of & (codes >= 0))
    found = np.full(len(codes), -1)
    found[asked] = first[codes[asked]]
    return found


def normalised_text(text: str) -> str:
    """A text without what typing it again may change: case, width of characters, blanks, punctuation."""
    return _BETWEEN_WORDS.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


def _across(pairs: Rows, first: Rows) -> Rows:
    """The member that is nearest to each number, where ``first`` has the first member of the numbers themselves."""
    one, other = np.concatenate([pairs, pairs[:, ::-1]], axis=1).reshape(-1, 2).T
    member = first[other]
    hits = np.flatnonzero(member >= 0)[::-1]
    nearest = np.full(len(first), -1)
    nearest[one[hits]] = member[hits]
    return nearest


def _texts_of(products: pd.DataFrame, samples: pd.DataFrame, origin: str) -> pd.DataFrame:
    places = pd.Index(products["sample_id"]).get_indexer(samples["sample_id"])
    if (places < 0).any():
        lacking = samples["sample_id"].to_numpy()[places < 0]
        raise AlignmentError(
            f"{origin}: lacks {len(lacking)} product(s) of the sample table, such as {lacking[0]}; expected all of them. "
            "The sample table is of other files: run 'ingest' again."
        )
    found: pd.DataFrame = products.iloc[places][["sample_id", "catalog_content", "image_link"]]
    return found.reset_index(drop=True)


def _likenesses_of_texts(page: pd.DataFrame) -> list[Likeness]:
    texts = page["catalog_content"]
    columns = {
        "id": page["sample_id"].astype(str),
        "text": texts,
        "normalised text": texts.map(normalised_text),
        "image link": page["image_link"],
    }
    return [Likeness(kind, "", _codes(column)) for kind, column in columns.items()]


def _codes(column: pd.Series[Any]) -> Rows:
    """Number of each value, -1 of empty ones."""
    codes, _ = pd.factorize(column.where(column.astype(str).str.strip() != "", None))
    return np.asarray(codes, np.int64)


def _on(page: pd.DataFrame, name: str) -> Mask:
    """(N,) who is on a side; ``labelled`` are all but those of ``test.csv``."""
    mask: Mask = (page["side"] != "test" if name == "labelled" else page["side"] == name).to_numpy()
    return mask


def _comparisons(page: pd.DataFrame) -> Iterator[tuple[str, str, Mask, Mask]]:
    """Names of two sides, and who is on them; folds one by one under the same names."""
    for of, among in SIDES:
        yield of, among, _on(page, of), _on(page, among)
    fold, fitted = page["fold"].to_numpy(), _on(page, "labelled") & ~_on(page, "holdout")
    for number in np.unique(fold[fold != NO_FOLD]):
        yield FOLD, OTHER_FOLDS, fold == number, fitted & (fold != number)


def _found(page: pd.DataFrame, likeness: Likeness) -> pd.DataFrame:
    ids = page["sample_id"].astype(str).to_numpy()
    parts = []
    for of, among, asked, others in _comparisons(page):
        counterpart = counterparts(likeness, asked, others)
        products = np.flatnonzero(counterpart >= 0)
        parts.append(
            pd.DataFrame(
                {
                    "kind": likeness.kind,
                    "source": likeness.source,
                    "of": of,
                    "among": among,
                    "sample_id": ids[products],
                    "counterpart": ids[counterpart[products]],
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _counts(page: pd.DataFrame, likeness: Likeness, found: pd.DataFrame) -> list[dict[str, Any]]:
    own = found[(found["kind"] == likeness.kind) & (found["source"] == likeness.source)]
    names: Sequence[tuple[str, str]] = [*SIDES, (FOLD, OTHER_FOLDS)]
    return [
        {
            "kind": likeness.kind,
            "source": likeness.source,
            "of": of,
            "among": among,
            "rows": int(_on(page, of).sum()) if of != FOLD else int((page["fold"] != NO_FOLD).sum()),
            "products": len(ids),
            "examples": ids[:EXAMPLES],
        }
        for of, among in names
        for ids in [own.loc[(own["of"] == of) & (own["among"] == among), "sample_id"].tolist()]
    ]
