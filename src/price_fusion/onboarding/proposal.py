"""What is proposed for a folder: which files are what, and the sources and variants that follow."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from price_fusion.data.ids import Ids, parse_ids
from price_fusion.data.placeholders import without_placeholders
from price_fusion.data.quantity import AMOUNT_KIND, UNKNOWN, quantity_columns
from price_fusion.data.readers.names import absent
from price_fusion.errors import DataError
from price_fusion.onboarding.column_roles import Guess, Roles, guess_roles, words_of
from price_fusion.onboarding.found_embeddings import FoundSource, found_embeddings, found_sources
from price_fusion.onboarding.found_tables import FoundTable, files_below, found_tables

ATTRIBUTES, QUANTITY = "attributes", "quantity"
"""Names of the sources of columns, and of amounts in texts."""
AMOUNTS_SHARE = 0.3
"""Share of the texts that must tell an amount for these to be a source."""
VARIANTS = ("moe", "two_branch")
"""Of ``conf/base``, for any number of sources from two on; the last for one, too."""
_TRAIN, _TEST = (
    frozenset(["train", "training", "labelled", "labeled", "sold"]),
    frozenset(["test", "unlabelled", "new", "price"]),
)
Ask = Callable[[str, Guess], str | None]
"""Gives what a guess that is not sure shall be: takes what it is of (``id``, ``price``, ...), and the guess."""


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
        left_out: why, by file or column.
    """

    folder: Path
    labelled: FoundTable
    unlabelled: FoundTable | None
    roles: Roles
    sources: tuple[FoundSource, ...]
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    has_amounts: bool
    left_out: Mapping[str, str]

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
            files by ``train`` and ``test``.
        ask: is asked where a guess is not sure.

    Raises:
        DataError: if there is no table with prices, a column that was named is missing, or there are no sources.
    """
    files = files_below(folder)
    tables, odd_tables = found_tables(files)
    labelled, unlabelled = _chosen_tables(folder, tables, said, ask)
    roles = _roles_of(labelled, said, ask, unlabelled.columns if unlabelled else ())
    rows_with_price = [bool(one) for one in without_placeholders(labelled.columns[str(roles.price.value)])]
    if unlabelled is None and not all(rows_with_price):
        unlabelled = labelled
    ids = _ids_of(labelled, str(roles.id.value))
    train_ids, test_ids = ids[np.array(rows_with_price)], None
    if unlabelled is not None:
        same = unlabelled is labelled
        test_ids = ids[~np.array(rows_with_price)] if same else _ids_of(unlabelled, str(roles.id.value))
    used = {labelled.path, *([unlabelled.path] if unlabelled else [])}
    in_order = {labelled.path: ids} if len(used) < 2 and all(rows_with_price) else {}
    if unlabelled is not None and test_ids is not None and len(used) > 1:
        in_order = {labelled.path: ids, unlabelled.path: test_ids}
    embeddings, odd_files = found_embeddings(
        [path for path in files if path not in used], in_order, str(roles.id.value)
    )
    sources, odd_sources = found_sources(embeddings, train_ids, test_ids, [ATTRIBUTES, QUANTITY, *VARIANTS])
    both = set(labelled.columns) & set(unlabelled.columns if unlabelled else labelled.columns)
    missing = [name for name in (*roles.numeric, *roles.categorical, *roles.text) if name not in both]
    roles = replace(roles, text=tuple(name for name in roles.text if name in both))
    left_out = {str(path.relative_to(folder)): why for path, why in {**odd_tables, **odd_files, **odd_sources}.items()}
    used |= {file.path for one in sources for file in (one.train, one.test) if file}
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
        left_out,
    )
    if not proposal.source_names:
        raise DataError(
            f"{folder}: found {labelled.path.name}, and neither embeddings of its products nor columns that could tell a price, expected "
            f"one of them. Left out: {'; '.join(f'{name}: {why}' for name, why in left_out.items()) or 'nothing'}."
        )
    return proposal


def _chosen_tables(
    folder: Path, tables: Sequence[FoundTable], said: Mapping[str, str], ask: Ask
) -> tuple[FoundTable, FoundTable | None]:
    """The table with prices, and the one without."""
    by_name = {str(one.path.relative_to(folder)): one for one in tables}
    for role in ("train", "test"):
        if said.get(role) and said[role] not in by_name:
            raise absent(folder, "table of products", said[role], by_name)
    with_prices = _with_prices(by_name, said)
    named_train = {name: one for name, one in with_prices.items() if set(words_of(name)) & _TRAIN}
    candidates = named_train or {
        name: one for name, one in with_prices.items() if not set(words_of(name)) & _TEST or len(with_prices) == 1
    }
    if not candidates:
        found = ", ".join(by_name) or "no CSV file"
        raise DataError(
            f"{folder}: found {found}, expected a table of products with a column of prices. Say which it is (--train FILE, "
            "--price COLUMN)."
        )
    ranked = sorted(candidates, key=lambda name: -candidates[name].rows)
    guess = Guess(ranked[0], "it has prices", sure=len(ranked) == 1, others=tuple(ranked[1:]))
    train = candidates[str(guess.value if guess.sure else ask("train", guess))]
    identity = guess_roles(train.columns, _columns_said(train, said)).id.value
    # A table of vectors shares the ids alone.
    others = [
        name
        for name, one in by_name.items()
        if one is not train
        and identity in one.columns
        and len(set(one.columns) - set(train.columns)) <= len(set(one.columns) & set(train.columns))
    ]
    named = [name for name in others if set(words_of(name)) & _TEST] or others
    if said.get("test"):
        return train, by_name[said["test"]]
    if not named:
        return train, None
    guess = Guess(named[0], "it has the same ids' column", sure=len(named) == 1, others=tuple(named[1:]))
    return train, by_name[str(guess.value if guess.sure else ask("test", guess))]


def _with_prices(tables: Mapping[str, FoundTable], said: Mapping[str, str]) -> dict[str, FoundTable]:
    """Tables with a column of prices: those where it is sure, if there are any."""
    if said.get("train"):
        return {said["train"]: tables[said["train"]]}
    guesses = {name: guess_roles(one.columns, _columns_said(one, said)).price for name, one in tables.items()}
    sure = [name for name, guess in guesses.items() if guess.value and guess.sure]
    return {name: tables[name] for name in sure or [name for name, guess in guesses.items() if guess.value]}


def _roles_of(table: FoundTable, said: Mapping[str, str], ask: Ask, unpriced: Collection[str]) -> Roles:
    """The roles of its columns, asked for where they are not sure."""
    _refuse_absent(table, said)
    known = _columns_said(table, said)
    guesses: dict[str, Guess] = {}
    for role in ("id", "price", "currency"):
        guess: Guess = getattr(guess_roles(table.columns, known, unpriced), role)
        if not guess.sure:
            answer = ask(role, guess)
            known[role] = str(answer) if role == "currency" else _existing(table, answer)
            if answer == guess.value:
                guesses[role] = replace(guess, why=f"{guess.why}; a guess")
    roles = guess_roles(table.columns, known, unpriced)
    roles = replace(
        roles,
        id=guesses.get("id", roles.id),
        price=guesses.get("price", roles.price),
        currency=guesses.get("currency", roles.currency),
    )
    return _with_text(roles, tuple(said["text"].split(","))) if said.get("text") else roles


def _refuse_absent(table: FoundTable, said: Mapping[str, str]) -> None:
    """Refuse columns that were named and that the table has not."""
    named = [said.get(role, "") for role in ("id", "price", "image")] + said.get("text", "").split(",")
    for name in filter(None, named):
        _existing(table, name)


def _existing(table: FoundTable, name: str | None) -> str:
    if name is None:
        raise DataError(
            f"{table.path}: found no column whose values are all there and all different, expected the ids of the products. Add one, or "
            "remove repeated products."
        )
    if name not in table.columns:
        raise absent(table.path, "column", name, table.columns)
    return name


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


def _columns_said(table: FoundTable, said: Mapping[str, str]) -> dict[str, str]:
    """What was said of columns that a table has."""
    columns = {role: said[role] for role in ("id", "price", "image") if said.get(role) in table.columns}
    return columns | ({"currency": said["currency"]} if said.get("currency") else {})


def _ids_of(table: FoundTable, column: str) -> Ids:
    ids, problems = parse_ids(table.columns[column], str(table.path), place="record")
    if problems:
        raise problems[0]
    return ids


def _tell_amounts(table: FoundTable, text: Sequence[str]) -> bool:
    if not text:
        return False
    joined = ["\n".join(row) for row in zip(*(table.columns[name] for name in text), strict=True)]
    kinds = quantity_columns(np.array(joined, object))[AMOUNT_KIND]
    return float(np.mean(kinds != UNKNOWN)) >= AMOUNTS_SHARE
