"""What need not be guessed, because whoever runs ``init`` says it: by options beforehand, or when asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from price_fusion.data.readers.names import absent
from price_fusion.errors import DataError, UsageError, few
from price_fusion.onboarding.column_roles import Guess, Settle
from price_fusion.onboarding.found_embeddings import ProductsOfFile
from price_fusion.onboarding.found_tables import FoundTable
from price_fusion.parameters.project import CURRENCY

Ask = Callable[[str, Guess, Sequence[str]], str | None]
"""Gives what a guess that is not sure shall be: takes what it is of (``id``, ``price``, ...), the guess, and what it may be;
nothing of the last where it may be anything."""
_ORDERS = ("products", "none")
"""What rows of vectors without ids may be in the order of."""
_NONE = {
    "id": "no column whose values are all there and all different ({why}), expected the ids of the products. Keep one row of each product, add a "
    "column, or say which it is (--id NAME)",
    "price": "no column of numbers above 0, expected the prices of the products. Add one, or say which it is (--price COLUMN)",
}


@dataclass(frozen=True)
class Answers:
    """What was said, and who is asked for the rest.

    Attributes:
        said: columns by ``id``, ``price``, ``text`` (several by commas), ``image``; ``currency``; files by ``train`` and
            ``test``; the ``order`` of vectors without ids: ``products`` or ``none``.
        ask: is asked where a guess is not sure.

    Raises:
        UsageError: if the order is neither.
    """

    said: Mapping[str, str]
    ask: Ask

    def __post_init__(self) -> None:
        if self.said.get("order") not in (None, *_ORDERS):
            raise UsageError(f"--order: found {self.said['order']!r}, expected {' or '.join(_ORDERS)}.")

    def about(self, table: FoundTable) -> Settle:
        """Settles what the columns of a table are.

        Raises:
            DataError: when it is called, if a column that was named is not there, or there is none that can be it.
        """

        def settle(role: str, guess: Guess) -> Guess:
            if self.said.get(role):
                return Guess(self._existing(table, role, self.said[role]), "as you said")
            if guess.sure:
                return guess
            answer = self.ask(role, guess, () if role == "currency" else list(table.columns))
            if answer is None:
                raise DataError(f"{table.path}: found {_NONE[role].format(why=guess.why)}.")
            value = self._existing(table, role, answer)
            if value != guess.value:
                return Guess(value, "as you said")
            others = f"; others: {', '.join(guess.others)}" if guess.others else ""
            return replace(guess, why=f"{guess.why}; a guess{others}")

        return settle

    def known(self, role: str, table: FoundTable) -> str | None:
        """The column that was said to be it, if the table has it."""
        name = self.said.get(role)
        return name if name in table.columns else None

    def texts(self, table: FoundTable) -> tuple[str, ...]:
        """The columns of texts that were named.

        Raises:
            DataError: if one is not there.
        """
        names = [name.strip() for name in self.said.get("text", "").split(",")]
        return tuple(self._existing(table, "text", name) for name in names if name)

    def file(self, role: str, folder: Path, names: Iterable[str]) -> str | None:
        """The file that was named, of these below a folder.

        Raises:
            DataError: if it is not among them.
        """
        name, known = self.said.get(role), list(names)
        if name and name not in known:
            raise absent(folder, "table of products", name, known, f"Correct --{role}")
        return name

    def are_in_order(self, vectors: Path, products: ProductsOfFile, may_be_ids: Sequence[Path]) -> bool:
        """Whether row n of vectors without ids belongs to product n of a file with as many.

        Args:
            vectors: without ids.
            products: of the file.
            may_be_ids: files that may hold the ids, and cannot be read as such: then the order is not to be assumed.
        """
        why = f"{vectors.name} has {len(products.ids):,} rows and no ids, {products.path.name} as many products"
        best, other = _ORDERS
        if may_be_ids:
            why += f"; but {few([one.name for one in may_be_ids])} may hold the ids, and cannot be read as such"
            best, other = other, best
        guess = Guess(best, why, sure=False, others=(other,))
        return (self.said.get("order") or self.ask("order", guess, _ORDERS)) == _ORDERS[0]

    def _existing(self, table: FoundTable, role: str, name: str) -> str:
        if role == "currency":
            if not re.match(CURRENCY, name):
                raise UsageError(f"--currency: found {name!r}, expected a code such as EUR, or a sign.")
        elif name not in table.columns:
            raise absent(table.path, "column", name, table.columns, f"Correct --{role}")
        return name
