"""Which of the tables in a folder has the products with prices, and which those to be predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from price_fusion.errors import DataError
from price_fusion.onboarding.answers import Answers
from price_fusion.onboarding.column_headings import words_of
from price_fusion.onboarding.column_roles import Guess, guess_id, guess_price, near_miss_of_price
from price_fusion.onboarding.found_tables import FoundTable

_TRAIN = frozenset(["train", "training", "labelled", "labeled", "sold"])
_TEST = frozenset(["test", "unlabelled", "new", "price"])


def chosen_tables(folder: Path, tables: Sequence[FoundTable], answers: Answers) -> tuple[FoundTable, FoundTable | None]:
    """The table with prices, and the one without, if there is one of its own.

    Raises:
        DataError: if no table has prices, or a file that was named is not there.
    """
    by_name = {str(one.path.relative_to(folder)): one for one in tables}
    train = by_name[_labelled(folder, by_name, answers)]
    if said := answers.file("test", folder, by_name):
        return train, by_name[said]
    others = [name for name, one in by_name.items() if one is not train and _is_alike(one, train, answers)]
    named = [name for name in others if set(words_of(name)) & _TEST] or others
    if not named:
        return train, None
    guess = Guess(named[0], "it has the same ids' column", sure=len(named) == 1, others=tuple(named[1:]))
    return train, by_name[str(guess.value if guess.sure else answers.ask("test", guess, named))]


def words_of_either(labelled: Path, unlabelled: Path) -> tuple[frozenset[str], frozenset[str]]:
    """Words that names of files have if they belong to one of two tables, and not to the other."""
    train, test = _TRAIN | set(words_of(labelled.stem)), _TEST | set(words_of(unlabelled.stem))
    return train - test, test - train


def _labelled(folder: Path, by_name: Mapping[str, FoundTable], answers: Answers) -> str:
    """The name of the table with prices."""
    if said := answers.file("train", folder, by_name):
        return said
    with_prices = _with_prices(by_name, answers)
    named = [name for name in with_prices if set(words_of(name)) & _TRAIN]
    rest = [name for name in with_prices if not set(words_of(name)) & _TEST or len(with_prices) == 1]
    candidates = named or rest
    if not candidates:
        found = ", ".join(by_name) or "neither a CSV file nor parquet without vectors"
        misses = [f"in {name}, {why}" for name, table in by_name.items() if (why := near_miss_of_price(table.values))]
        near = f" ({'; '.join(misses)})" if misses else ""
        advice = "Say which it is (--train FILE, --price COLUMN)" if by_name else "Put it into the folder"
        advice = "Correct them, or remove these records" if misses else advice
        raise DataError(
            f"{folder}: found {found}, expected a table of products with a column of prices{near}. {advice}."
        )
    ranked = sorted(candidates, key=lambda name: -by_name[name].rows)
    guess = Guess(ranked[0], "it has prices", sure=len(ranked) == 1, others=tuple(ranked[1:]))
    return str(guess.value if guess.sure else answers.ask("train", guess, ranked))


def _with_prices(tables: Mapping[str, FoundTable], answers: Answers) -> list[str]:
    """Tables with a column of prices: those where it is sure, if there are any."""
    guesses = {name: _price_of(table, answers) for name, table in tables.items()}
    sure = [name for name, guess in guesses.items() if guess.value and guess.sure]
    return sure or [name for name, guess in guesses.items() if guess.value]


def _price_of(table: FoundTable, answers: Answers) -> Guess:
    if name := answers.known("price", table):
        return Guess(name, "as you said")
    return guess_price(table.values, _id_of(table, answers))


def _id_of(table: FoundTable, answers: Answers) -> str | None:
    return answers.known("id", table) or guess_id(table.values).value


def _is_alike(one: FoundTable, train: FoundTable, answers: Answers) -> bool:
    """Whether a table is of products as another: one of vectors shares the ids alone."""
    shared, further = set(one.columns) & set(train.columns), set(one.columns) - set(train.columns)
    return _id_of(train, answers) in shared and len(further) < len(shared)
