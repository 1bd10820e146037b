"""What is proposed for a folder: which files are what, and the sources and variants that follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from price_fusion.data.ids import Ids, are_among, parse_ids
from price_fusion.data.quantity.amounts import AMOUNT_KIND, quantity_columns
from price_fusion.data.quantity.units import UNKNOWN
from price_fusion.errors import DataError
from price_fusion.onboarding.answers import Answers, Ask
from price_fusion.onboarding.chosen_tables import chosen_tables, words_of_either
from price_fusion.onboarding.column_roles import Roles, guess_roles
from price_fusion.onboarding.found_embeddings import ProductsOfFile, found_embeddings
from price_fusion.onboarding.found_sources import FoundSource, found_sources
from price_fusion.onboarding.found_tables import FoundTable, files_below, found_tables

ATTRIBUTES, QUANTITY = "attributes", "quantity"
"""Names of the sources of columns, and of amounts in texts."""
AMOUNTS_SAMPLE, AMOUNTS_SHARE = 2_000, 0.3
"""How many texts are read, and the share of them that must tell an amount for these to be a source."""
VARIANTS = ("moe", "two_branch")
"""Of ``conf/base``, for any number of sources from two on; the last for one, too."""


@dataclass(frozen=True)
class Proposal:
    """All that an environment says.

    Attributes:
        folder: that was looked at.
        labelled: table of the products with prices.
        unlabelled: of those to be predicted; the same where one file has both; None where there are none.
        roles: of the columns.
        sources: of embeddings.
        numeric: columns of numbers that both tables have.
        categorical: likewise, of categories.
        has_amounts: whether texts tell how much of a product there is.
        without_price: products of the labelled table that have no price, and are left out where the others have their own.
        without_embeddings: labelled products that no file of embeddings knows; 0 where there is no such file.
        left_out: why, by file or column.
        left_out_embeddings: files among them that may be embeddings.
    """

    folder: Path
    labelled: FoundTable
    unlabelled: FoundTable | None
    roles: Roles
    sources: tuple[FoundSource, ...]
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    has_amounts: bool
    without_price: int
    without_embeddings: int
    left_out: Mapping[str, str]
    left_out_embeddings: tuple[str, ...] = ()

    @property
    def one_file(self) -> bool:
        """Whether labelled products and those to be predicted are in one file."""
        return self.unlabelled is not None and self.unlabelled.path == self.labelled.path

    @property
    def source_names(self) -> tuple[str, ...]:
        """Of all sources, in the order in which variants fuse them."""
        columns = [ATTRIBUTES] if self.numeric or self.categorical else []
        return (*(source.name for source in self.sources), *columns, *([QUANTITY] if self.has_amounts else []))

    @property
    def variants(self) -> tuple[str, ...]:
        """Those that can be trained on these sources."""
        return VARIANTS if len(self.source_names) > 1 else VARIANTS[-1:]


def proposal_for(folder: Path, said: Mapping[str, str], ask: Ask) -> Proposal:
    """Look at a folder.

    Args:
        folder: with product tables and embeddings.
        said: what need not be guessed: columns by ``id``, ``price``, ``text`` (several by commas), ``image``; ``currency``;
            files by ``train`` and ``test``; the ``order`` of vectors without ids.
        ask: is asked where a guess is not sure.

    Raises:
        DataError: if there is no table with prices, a column that was named is missing, or there are no sources.
    """
    files = files_below(folder)
    tables, odd_tables = found_tables(files)
    answers = Answers(said, ask)
    labelled, unlabelled = chosen_tables(folder, tables, answers)
    roles = _roles_of(labelled, unlabelled, answers)
    rows_with_price = [bool(one) for one in labelled.values[str(roles.price.value)].texts]
    if unlabelled is None and not all(rows_with_price):
        unlabelled = labelled
    ids = _ids_of(labelled, str(roles.id.value))
    train_ids, test_ids = ids[np.array(rows_with_price)], None
    if unlabelled is not None:
        same = unlabelled is labelled
        test_ids = ids[~np.array(rows_with_price)] if same else _ids_of(unlabelled, str(roles.id.value))
    used = {labelled.path, *([unlabelled.path] if unlabelled else [])}
    to_predict = None if unlabelled is None or test_ids is None else ProductsOfFile(unlabelled.path, test_ids)
    embeddings, odd_files = found_embeddings(
        folder,
        [path for path in files if path not in used],
        _whole_files(ProductsOfFile(labelled.path, ids), to_predict),
        answers.are_in_order,
        str(roles.id.value),
    )
    sources, odd_sources = found_sources(
        folder,
        embeddings,
        ProductsOfFile(labelled.path, train_ids),
        to_predict,
        [ATTRIBUTES, QUANTITY, *VARIANTS],
    )
    both = set(labelled.columns) & set(unlabelled.columns if unlabelled else labelled.columns)
    missing = [name for name in (*roles.numeric, *roles.categorical, *roles.text) if name not in both]
    roles = replace(roles, text=tuple(name for name in roles.text if name in both))
    used |= {path for one in sources for part in (one.train, one.test) if part for path in part.files}
    odd = {path: why for path, why in odd_tables.items() if path not in used} | odd_files | odd_sources
    left_out = {str(path.relative_to(folder)): why for path, why in odd.items()}
    spare = (str(one.path.relative_to(folder)) for one in tables if one.path not in used)
    left_out |= {name: "not needed" for name in spare if name not in left_out}
    left_out |= {f"column {name}": why for name, why in roles.left_out.items()}
    left_out |= {f"column {name}": "the products to be predicted have no such column" for name in missing}
    proposal = Proposal(
        folder,
        labelled,
        unlabelled,
        roles,
        tuple(sources),
        tuple(name for name in roles.numeric if name in both),
        tuple(name for name in roles.categorical if name in both),
        _tell_amounts(labelled, roles.text),
        rows_with_price.count(False),
        _without_embeddings(train_ids, sources),
        left_out,
        tuple(str(path.relative_to(folder)) for path in odd_files | odd_sources),
    )
    if not proposal.source_names:
        raise DataError(
            f"{folder}: found {labelled.path.name}, and neither embeddings of its products nor columns that could tell a price, expected "
            f"one of them. Left out:{''.join(f'{chr(10)}  - {name}: {why}' for name, why in left_out.items()) or ' nothing.'}"
        )
    return proposal


def _whole_files(labelled: ProductsOfFile, unlabelled: ProductsOfFile | None) -> list[ProductsOfFile]:
    """The files of products, each with all that it has: one, or two that words of names tell apart."""
    if unlabelled is None or unlabelled.path == labelled.path:
        return [labelled]
    train, test = words_of_either(labelled.path, unlabelled.path)
    return [replace(labelled, words=train), replace(unlabelled, words=test)]


def _roles_of(table: FoundTable, unlabelled: FoundTable | None, answers: Answers) -> Roles:
    """The roles of its columns, asked for where they are not sure."""
    settle = answers.about(table)
    roles = guess_roles(table.values, settle, unlabelled.columns if unlabelled else ())
    texts = answers.texts(table)
    return _with_text(roles, texts) if texts else roles


def _with_text(roles: Roles, text: tuple[str, ...]) -> Roles:
    """The roles with these texts and no others."""
    rest = {name: why for name, why in roles.left_out.items() if name not in text}
    return replace(
        roles,
        text=text,
        numeric=tuple(name for name in roles.numeric if name not in text),
        categorical=tuple(name for name in roles.categorical if name not in text),
        left_out=rest | {name: "not among --text" for name in roles.text if name not in text},
    )


def _ids_of(table: FoundTable, column: str) -> Ids:
    ids, problems = parse_ids(table.columns[column], str(table.path), place="record", numbers=table.numbers)
    if problems:
        raise problems[0]
    return ids


def _without_embeddings(ids: Ids, sources: Sequence[FoundSource]) -> int:
    known = [are_among(ids, source.train.ids) for source in sources]
    return int((~np.any(known, axis=0)).sum()) if known else 0


def _tell_amounts(table: FoundTable, text: Sequence[str]) -> bool:
    if not text:
        return False
    every = max(1, table.rows // AMOUNTS_SAMPLE)
    joined = ["\n".join(row) for row in zip(*(table.columns[name][::every] for name in text), strict=True)]
    kinds = quantity_columns(np.array(joined, object))[AMOUNT_KIND]
    return float(np.mean(kinds != UNKNOWN)) >= AMOUNTS_SHARE
