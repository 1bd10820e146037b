"""Damage of our own files is named, or changes nothing; the long form is ``python -m tests.robustness.mutations``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from price_fusion.storage import digests

from .damage import KINDS, OUTCOMES, RIGHT, Result, Subject, make_subjects, outcomes

COUNT = 150
SUBJECTS = (
    "table",
    "table, checked once",
    "checkpoint",
    "fold folder",
    "fold folder of networks",
    "estimator folder",
    "ensemble folder",
    "training states",
    "file of the catalog",
)


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Subject]:
    made = make_subjects(tmp_path_factory.mktemp("subjects"))
    return {subject.name: subject for subject in made}


def test_all_that_is_made_is_tested(subjects: dict[str, Subject]) -> None:
    assert tuple(subjects) == SUBJECTS


def test_whole_files_of_a_table_checked_once_are_not_hashed_again(
    subjects: dict[str, Subject], monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[Path] = []
    monkeypatch.setattr(digests, "_known", {})
    monkeypatch.setattr(digests, "sha256", lambda path: hashed.append(path) or "")
    subjects["table, checked once"].read(subjects["table, checked once"].folder)
    assert not hashed


@pytest.mark.parametrize("name", SUBJECTS)
def test_damage_is_named_or_changes_nothing(subjects: dict[str, Subject], name: str) -> None:
    results = list(outcomes(subjects[name], COUNT))
    wrong = [(result.mutation.kind, list(result.mutation.files), result.said) for result in results if is_wrong(result)]
    assert not wrong
    found = Counter(result.outcome for result in results)
    # Of the two states one is whole: it stands in for the other.
    assert found["right answer" if name == "training states" else "named error"] > COUNT / 2
    assert {result.mutation.kind for result in results} >= set(KINDS[:-1])
    for result in results:
        if result.outcome == "named error":
            assert str(subjects[name].folder) in result.said
            assert any(advice in result.said for advice in ("gain", "Fit it", "Train first", "Run the pipeline"))


def is_wrong(result: Result) -> bool:
    return result.outcome not in RIGHT


def test_wrong_answers_and_other_exceptions_are_told_apart(tmp_path: Path) -> None:
    """The measure itself: a reader without any check is found out."""
    (tmp_path / "numbers").write_bytes(bytes(range(64)))

    def unchecked(folder: Path) -> object:
        return [100 // (byte - 64) for byte in (folder / "numbers").read_bytes()]

    results = list(outcomes(Subject("unchecked", tmp_path, unchecked), 120))
    found = Counter(result.outcome for result in results)
    assert set(found) == {*OUTCOMES} - {"named error"}
    assert found["silently wrong"] > 30
    assert {result.said.split(":")[0] for result in results if result.outcome == "other exception"} == {
        "FileNotFoundError",
        "ZeroDivisionError",
    }
    assert (tmp_path / "numbers").read_bytes() == bytes(range(64))
