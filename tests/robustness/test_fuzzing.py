"""Random configurations on random small inputs run or are refused by name; the long form is ``python -m tests.robustness.fuzzing``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from price_fusion.errors import DataError
from price_fusion.parameters import parse_project_parameters

from . import fuzzing
from .fuzzing import (
    RAN,
    REFUSED,
    WRONG,
    Example,
    Outcome,
    drawn,
    examples,
    fault_of_refusal,
    names_something,
    outcome_of,
)
from .random_parameters import MISTAKES, projects, spoilt_projects

COUNT = 16
SEED = 3


@pytest.mark.parametrize(
    ("count", "seed"), [(COUNT, SEED), *(pytest.param(100, seed, marks=pytest.mark.slow) for seed in (11, 12))]
)
def test_projects_run_or_are_refused_by_name(count: int, seed: int, tmp_path: Path) -> None:
    found: Counter[str] = Counter()
    for example in drawn(examples(), count, seed):
        with TemporaryDirectory(dir=tmp_path) as folder:
            outcome = outcome_of(example, Path(folder))
        found[outcome.kind] += 1
        assert outcome.kind != WRONG, f"{outcome.label}: {outcome.said}\n{outcome.details}\n{example!r}"
    assert found[RAN] >= count // 4
    assert found[RAN] + found[REFUSED] == count


@pytest.mark.parametrize("kind", MISTAKES)
def test_mistakes_in_parameters_are_refused_by_name(kind: str) -> None:
    mistakes = drawn(spoilt_projects(kind), 8, SEED)
    assert {one.kind for one in mistakes} == {kind}
    assert not [fault for one in mistakes if (fault := fault_of_refusal(one))]


def simplest(**changes: object) -> Example:
    raw = {
        "seed": 1,
        "variants": ["small"],
        "sources": {"words": {"width": 4, "group": "text"}},
        "ingestion": {},
        "splitting": {},
        "fabrication": {},
        "inference": {},
        "comparison": {"resamples": 100},
        "intervals": {},
        "report": {},
        "model_card": {},
        "cross_validation": {},
        "currency": "USD",
        "price_groups": {},
        "ensemble": {"preset": "some", "presets": {"some": {"members": ["small"]}}},
        "final_fit": True,
        "small": {
            "sources": ["words"],
            "model": {"branch": {"width": 4}, "head": {"kind": "mlp", "hidden": [4]}},
            "train": {"epochs": 1, "device": "cpu", **changes},
        },
    }
    embeddings = {"present": "all", "dtype": "float32", "format": "npy", "values": "usual", "structural": "usual"}
    drawn = dict.fromkeys(("texts", "links"), "own") | dict.fromkeys(("ids", "prices", "numbers"), "usual")
    return Example(
        raw, drawn | {"rows": 60, "tests": 3, "seed": 1, "tuned_on": "none", "sources": {"words": embeddings}}, None
    )


def test_the_simplest_project_runs(tmp_path: Path) -> None:
    assert outcome_of(simplest(), tmp_path) == Outcome(RAN, "", "")


def test_weights_that_grow_too_large_end_the_training(tmp_path: Path) -> None:
    outcome = outcome_of(simplest(weight_decay=1e67, schedule="constant"), tmp_path)
    assert (outcome.kind, outcome.error) == (REFUSED, "TrainingError")
    assert "small.train.weight_decay (now 1e+67)" in outcome.said


@pytest.mark.parametrize("error", [ValueError("no"), DataError("no")])
def test_errors_of_others_and_errors_that_name_nothing_are_found_out(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(fuzzing, "run", fail)
    assert outcome_of(simplest(), tmp_path).kind == WRONG


def test_what_counts_as_named(tmp_path: Path) -> None:
    assert names_something("splitting.folds is 1", simplest(), tmp_path)
    assert names_something(f"{tmp_path}/raw/train.csv: empty", simplest(), tmp_path)
    assert not names_something("something is wrong with the data", simplest(), tmp_path)


def test_most_random_projects_are_valid() -> None:
    found = drawn(projects(), 10, SEED)
    valid = [raw for raw in found if not {"small", "train_small"} <= {*raw["variants"]}]
    assert len(valid) > len(found) // 2
    for raw in valid:
        assert parse_project_parameters(raw).variants == tuple(raw["variants"])
