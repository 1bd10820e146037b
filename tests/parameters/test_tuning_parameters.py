"""The space of tuning: what is refused before anything runs, and how paths and sections turn into each other."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from price_fusion.errors import ParameterError
from price_fusion.parameters import (
    Dimension,
    ProjectParameters,
    TuningParameters,
    VariantParameters,
    parse_project_parameters,
)
from price_fusion.parameters.base import fields_of
from price_fusion.parameters.tuning import nested, refusals, with_fields

PLAIN: dict[str, Any] = {
    "sources": ["words"],
    "model": {"head": {"kind": "mlp", "dropout": 0.1}},
    "train": {"epochs": 5},
}
MIXED: dict[str, Any] = {
    "sources": ["words", "picture"],
    "model": {"branch": {"width": 64}, "fusion": {"kind": "attention", "heads": 8}, "head": {"kind": "mixture"}},
    "train": {},
}


def project(**space: Any) -> ProjectParameters:
    """A project with two variants and this space; dots are written as two underscores."""
    sections = ("ingestion", "splitting", "fabrication", "inference", "comparison", "intervals", "cross_validation")
    return parse_project_parameters(
        {
            **{section: {} for section in sections},
            "seed": 1,
            "variants": ["plain", "mixed"],
            "sources": {"words": {"width": 9, "group": "text"}, "picture": {"width": 5, "group": "image"}},
            "ensemble": {"preset": "small", "presets": {"small": {"members": ["ridge"]}}},
            "tuning": {"space": {path.replace("__", "."): dimension for path, dimension in space.items()}},
            "plain": PLAIN,
            "mixed": MIXED,
        }
    )


def problems(**space: Any) -> str:
    """What the refusal says."""
    with pytest.raises(ParameterError) as caught:
        project(**space)
    return str(caught.value)


def test_reads_a_space_and_leaves_out_what_is_null() -> None:
    tuning = project(train__learning_rate={"low": 0.001, "high": 0.01, "log": True}, train__epochs=None).tuning
    assert list(tuning.dimensions) == ["train.learning_rate"]
    assert tuning.judged_on == "validation"


def test_a_project_need_not_say_anything_of_tuning() -> None:
    assert TuningParameters().dimensions == {}


def test_a_path_that_is_no_field_is_refused_with_what_may_be_meant() -> None:
    assert "'train.learning_rat' is no field of a variant; did you mean 'train.learning_rate'?" in problems(
        train__learning_rat={"low": 0.1, "high": 0.2}
    )


def test_a_section_is_no_field() -> None:
    assert "'model.head' is no field of a variant" in problems(model__head={"choices": [1]})


def test_a_field_of_one_variant_alone_is_accepted() -> None:
    assert "model.head.gate_hidden" in project(model__head__gate_hidden={"low": 0, "high": 64}).tuning.dimensions


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"model__head__dropout": {"low": 0.0, "high": 1.5}}, "tuning.space.model.head.dropout: plain refuses it"),
        ({"train__epochs": {"low": 0, "high": 10}}, "(found 0)"),
        ({"train__epochs": {"low": 10, "high": 20, "step": 2.5}}, "(found 12.5)"),
        ({"train__loss": {"choices": ["mae", "smap"]}}, "(found 'smap')"),
        ({"model__head__hidden": {"choices": [[16], [8, -1]]}}, "(found [8, -1])"),
    ],
)
def test_values_that_a_field_refuses_are_named(space: dict[str, Any], said: str) -> None:
    assert said in problems(**space)


def test_what_only_fields_together_refuse_does_not_stop_other_pipelines() -> None:
    dimension = Dimension(choices=(64, 60))
    assert project(model__branch__width=dimension.model_dump()).tuning.dimensions
    mixed = VariantParameters.model_validate(MIXED)
    assert not list(refusals(mixed, "model.branch.width", dimension, field_alone=True))
    (refusal,) = refusals(mixed, "model.branch.width", dimension, field_alone=False)
    assert "heads 8 does not divide branch.width 60" in refusal


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"low": 1},
        {"low": 2, "high": 1},
        {"low": 0, "high": 1, "log": True},
        {"low": 1, "high": 2, "log": True, "step": 1},
        {"low": 10, "high": 25, "step": 10},
        {"low": 1, "high": 2, "choices": [1]},
        {"choices": []},
    ],
)
def test_what_is_no_range_and_no_choice_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Dimension.model_validate(wrong)


@pytest.mark.parametrize(
    ("dimension", "inside", "outside"),
    [
        (Dimension(low=0.001, high=0.01, log=True), [0.001, 0.002, 0.01], [0.0009, 0.02, None, True]),
        (Dimension(low=10, high=60, step=10), [10, 30, 60], [15, 70, "30"]),
        (Dimension(choices=([16], [16, 8])), [[16], [16, 8]], [[8], 16, None]),
    ],
)
def test_contains(dimension: Dimension, inside: list[object], outside: list[object]) -> None:
    assert all(dimension.contains(value) for value in inside)
    assert not any(dimension.contains(value) for value in outside)


def test_paths_and_sections_turn_into_each_other() -> None:
    plain = VariantParameters.model_validate(PLAIN)
    fields = fields_of(plain)
    assert fields["model.head.hidden"] == [512, 256, 128]
    assert VariantParameters.model_validate(nested(fields)) == plain
    changed = with_fields(plain, {"train.epochs": 7, "model.head.hidden": [4]})
    assert (changed.train.epochs, changed.model.head.hidden) == (7, (4,))
    assert changed.train.model_copy(update={"epochs": 5}) == plain.train
