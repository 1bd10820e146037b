"""What conf/ may say: each kind of mistake is refused by its path, with what was found or may be meant."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from price_fusion.errors import ParameterError
from price_fusion.parameters import (
    ColumnSourceParameters,
    LossName,
    ModelParameters,
    ProjectParameters,
    SourceParameters,
    SplittingParameters,
    TrainParameters,
    parse_project_parameters,
)
from price_fusion.parameters.base import NAMES_OF_MODULES
from price_fusion.pipeline_registry import build_pipelines

Raw = dict[str, Any]


@pytest.fixture
def raw() -> Raw:
    """The whole of parameters.yml, in order."""
    return {
        "seed": 41,
        "variants": ["plain", "mixed"],
        "sources": {
            "picture": {"width": 768, "group": "image"},
            "words": {"width": 1027, "group": "text", "structural_columns": 3},
            "facts": {"kind": "columns", "group": "facts", "numeric": ["weight"], "categorical": ["colour"]},
            "unused": {"width": 8, "group": "text"},
        },
        "ingestion": {},
        "splitting": {"proportions": "70/10/20"},
        "fabrication": {},
        "inference": {},
        "comparison": {},
        "intervals": {},
        "cross_validation": {},
        "ensemble": {"preset": "small", "presets": {"small": {"members": ["plain", "ridge"]}}},
        "plain": {"sources": ["words"], "model": {"fusion": {"kind": "concat"}}, "train": {"loss": "smape"}},
        "mixed": {
            "sources": ["words", "picture"],
            "model": {"fusion": {"kind": "attention", "heads": 8}, "head": {"kind": "mixture", "experts": 3}},
            "train": {},
        },
    }


def changed(raw: Raw, path: str, value: object) -> Raw:
    """A copy of the parameters with one field set."""
    result = copy.deepcopy(raw)
    *sections, field = path.split(".")
    place = result
    for section in sections:
        place = place[section]
    place[field] = value
    return result


def problems(raw: Raw) -> str:
    """What the refusal says."""
    with pytest.raises(ParameterError) as caught:
        parse_project_parameters(raw)
    return str(caught.value)


def test_reads_everything(raw: Raw) -> None:
    parameters = parse_project_parameters(raw)
    assert isinstance(parameters, ProjectParameters)
    assert parameters.variants == ("plain", "mixed")
    assert parameters.variant("mixed").model.head.kind == "mixture"
    assert parameters.variant("plain").train.loss == "smape"


def test_used_sources_are_those_of_the_variants_in_order_of_declaration(raw: Raw) -> None:
    assert parse_project_parameters(raw).used_sources == ("picture", "words")


def test_a_variant_outside_variants_is_read_and_not_used(raw: Raw) -> None:
    parameters = parse_project_parameters(changed(raw, "variants", ["plain"]))
    assert parameters.used_sources == ("words",)


def test_sections_with_an_underscore_hold_anchors(raw: Raw) -> None:
    assert "_train" not in parse_project_parameters(changed(raw, "_train", {"any": "thing"})).model_dump()


def test_embedding_width_leaves_structural_columns_out() -> None:
    assert SourceParameters(width=1027, group="text", structural_columns=3).embedding_width == 1024


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("plain.train.epoch", 3, ["plain.train.epoch: unknown parameter", "did you mean 'epochs'?"]),
        ("sources.words.widht", 3, ["sources.words.widht: unknown parameter", "did you mean 'width'?"]),
        ("mixed.model.head.mixture_weights", 1, ["mixed.model.head", "mixture_weights: unknown parameter"]),
        ("ingestion.policies", "keep", ["ingestion.policies: unknown parameter", "did you mean 'policy'?"]),
        ("plain.train.epochs", "many", ["plain.train.epochs: ", "valid integer", "or: ", "'auto'", "(found 'many')"]),
        ("plain.train.batch_size", 0, ["plain.train.batch_size: ", "greater than 0", "'auto'", "(found 0)"]),
        ("plain.train.learning_rate", 0, ["plain.train.learning_rate", "greater than 0", "found 0"]),
        ("plain.train.learning_rate", float("nan"), ["plain.train.learning_rate", "finite number", "nan"]),
        ("plain.train.loss", "smap", ["plain.train.loss", "'smape'", "found 'smap'"]),
        ("plain.train.betas", [0.9, 1.0], ["plain.train.betas.1", "less than 1", "found 1.0"]),
        ("sources.words.width", 0, ["sources.words.width", "greater than 0"]),
        ("sources.words.structural_columns", 1027, ["sources.words", "structural_columns 1027", "width 1027"]),
        ("sources.words.group", None, ["sources.words.group", "valid string", "None"]),
        ("ingestion.policy", "lenient", ["ingestion.policy", "'strict', 'intersect' or 'keep'", "found 'lenient'"]),
        ("plain.model.fusion", {"kind": "concatenate"}, ["plain.model.fusion", "concatenate", "'attention'"]),
        ("mixed.model.fusion.heads", 7, ["mixed.model", "fusion.heads 7 does not divide branch.width 512"]),
        ("mixed.model.head.experts", 1, ["mixed.model.head", "experts", "greater than or equal to 2"]),
        ("mixed.sources", ["words"], ["mixed: ", "'attention' needs at least two sources", "'concat'"]),
        (
            "mixed.model.fusion",
            {"kind": "hierarchical", "heads": 6},
            ["mixed.model", "fusion.heads 6 does not divide branch.width 512"],
        ),
        ("mixed.model.fusion", {"kind": "hierarchical", "head": 8}, ["head: unknown parameter", "mean 'heads'?"]),
        ("mixed.model.head.gate_hidden", -1, ["mixed.model.head", "gate_hidden", "greater than or equal to 0"]),
        ("mixed.sources", ["words", "words"], ["mixed.sources", "names a source twice: words, words"]),
        ("mixed.sources", [], ["mixed.sources", "at least 1 item"]),
        ("mixed.sources", ["words", "pictures"], ["mixed.sources: 'pictures'", "not declared", "mean 'picture'?"]),
        ("variants", [], ["variants", "at least 1 item"]),
        ("variants", ["plain", "mxed"], ["variants: 'mxed' has no section", "did you mean 'mixed'?"]),
        ("splittting", {}, ["splittting: neither a section nor a variant", "did you mean 'splitting'?"]),
        (
            "sources.facts",
            {"kind": "columns", "group": "facts"},
            ["sources.facts: ", "names no columns: give numeric, cat"],
        ),
        ("sources.facts.categorical", ["weight"], ["sources.facts: ", "names a column twice: weight, weight"]),
        ("sources.facts.kind", "colums", ["sources.facts.kind: ", "found 'colums'", "'embeddings', 'columns'"]),
        ("sources.facts.kind", None, ["sources.facts.kind: ", "found None", "'embeddings', 'columns'"]),
        ("mixed.model.head", {"kinds": "mlp"}, ["mixed.model.head.kind: missing", "mixed.model.head.kinds"]),
        (
            "sources.facts.numerical",
            ["price"],
            ["sources.facts.numerical: unknown parameter", "did you mean 'numeric'?"],
        ),
        ("sources.words.widh", 3, ["sources.words.widh: unknown parameter", "did you mean 'width'?"]),
        ("sources.facts.width", 2, ["sources.facts.width: unknown parameter"]),
        ("sources.words.numeric", ["weight"], ["sources.words.numeric: unknown parameter"]),
        ("sources.facts.parse", "brands", ["sources.facts.parse: ", "'quantity'", "found 'brands'"]),
        ("sources.facts.bins", 1, ["sources.facts.bins: ", "greater than or equal to 2"]),
        ("sources.facts.encoding", "linear", ["sources.facts.encoding: ", "'piecewise_linear'", "found 'linear'"]),
        ("plain.train.keep", "lst", ["plain.train.keep: ", "'best' or 'last'", "found 'lst'"]),
        ("plain.train.early_stopping_patience", 0, ["plain.train.early_stopping_patience: ", "greater than 0"]),
        ("seed", -1, ["seed", "greater than or equal to 0", "found -1"]),
        ("seed", "forty", ["seed", "valid integer", "'forty'"]),
    ],
)
def test_names_each_mistake(raw: Raw, path: str, value: object, expected: list[str]) -> None:
    message = problems(changed(raw, path, value))
    assert message.startswith("1 wrong parameter(s):")
    for part in expected:
        assert part in message
    assert "conf/" in message


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        ("sources.words.width", 0, "sources.words.width"),
        ("sources.words.structural_columns", 1027, "sources.words"),
        ("sources.facts.numeric", ["a", 3], "sources.facts.numeric.1"),
        ("sources.facts.categorical", ["weight"], "sources.facts"),
        ("mixed.model.head.experts", 1, "mixed.model.head.experts"),
        ("mixed.model.fusion.head", 8, "mixed.model.fusion.head"),
    ],
)
def test_a_path_is_that_in_the_yaml(raw: Raw, path: str, value: object, where: str) -> None:
    assert f"  - {where}: " in problems(changed(raw, path, value))


@pytest.mark.parametrize("source", ["words", "facts"])
def test_names_a_missing_field_of_a_source(raw: Raw, source: str) -> None:
    del raw["sources"][source]["group"]
    assert f"  - sources.{source}.group: missing" in problems(raw)


def test_a_source_is_of_embeddings_where_it_does_not_say(raw: Raw) -> None:
    sources = parse_project_parameters(changed(raw, "sources.picture.kind", "embeddings")).sources
    words, facts = sources["words"], sources["facts"]
    assert isinstance(words, SourceParameters)
    assert isinstance(sources["picture"], SourceParameters)
    assert isinstance(facts, ColumnSourceParameters)
    assert (words.embedding_width, words.structural_columns) == (1024, 3)
    assert (facts.width, facts.embedding_width, facts.structural_columns, facts.tuned_on_ids) == (2, 0, 2, False)


@pytest.mark.parametrize(
    ("changes", "selects"),
    [
        ({}, False),
        ({"schedule": "plateau"}, True),
        ({"keep": "best"}, True),
        ({"early_stopping_patience": 5}, True),
        ({"schedule": "constant"}, False),
    ],
)
def test_training_says_whether_validation_rows_have_a_say_in_it(changes: Raw, selects: bool) -> None:
    nothing = {"schedule": "cosine", "keep": "last", "early_stopping_patience": None}
    assert TrainParameters.model_validate(nothing | changes).selects is selects


def test_an_ensemble_of_variants_that_are_not_listed_is_none(raw: Raw) -> None:
    parameters = parse_project_parameters(changed(raw, "ensemble.presets.small.members", ["plain", "mixed", "ridge"]))
    assert parameters.has_ensemble
    assert parameters.ensemble_variants == ("plain", "mixed")
    alone = parse_project_parameters(changed(raw, "variants", ["mixed"]))
    assert not alone.has_ensemble
    message = problems(changed(raw, "ensemble.presets.small.members", ["plane", "ridge"]))
    assert "ensemble.presets.small.members: 'plane' is neither in variants nor an estimator" in message
    assert "did you mean 'plain'?" in message


def test_hierarchical_fusion_refuses_a_single_source(raw: Raw) -> None:
    message = problems(changed(raw, "plain.model.fusion", {"kind": "hierarchical"}))
    assert "plain: " in message
    assert "'hierarchical' needs at least two sources" in message
    assert "'concat'" in message


@pytest.mark.parametrize("section", ["seed", "variants", "sources", "splitting"])
def test_names_a_missing_section(raw: Raw, section: str) -> None:
    del raw[section]
    assert f"{section}: missing" in problems(raw)


def test_prices_cannot_rise_with_an_amount_that_no_source_has(raw: Raw) -> None:
    asked = changed(raw, "plain.model.monotone_in_amount", True)
    assert "plain.model.monotone_in_amount: none of its sources has amounts; name one with parse: quantity" in problems(
        asked
    )
    asked["sources"]["facts"] = {"kind": "columns", "group": "facts", "parse": "quantity"}
    asked["plain"]["sources"] = ["words", "facts"]
    parse_project_parameters(asked)


@pytest.mark.parametrize("field", ["sources", "model", "train"])
def test_names_a_missing_field_of_a_variant(raw: Raw, field: str) -> None:
    del raw["plain"][field]
    assert f"plain.{field}: missing" in problems(raw)


def test_names_a_variant_whose_section_is_misspelt(raw: Raw) -> None:
    raw["mixd"] = raw.pop("mixed")
    assert "variants: 'mixed' has no section of its own; did you mean 'mixd'?" in problems(raw)


def test_a_section_that_resembles_nothing_gets_the_known_ones_listed(raw: Raw) -> None:
    message = problems(changed(raw, "zzz", {}))
    assert "zzz: neither a section nor a variant; known: seed, variants, sources" in message
    assert "plain, mixed" in message


def test_lists_all_mistakes_at_once(raw: Raw) -> None:
    message = problems(changed(changed(raw, "plain.train.epochs", 0), "sources.words.width", "wide"))
    assert message.startswith("2 wrong parameter(s):")
    assert "plain.train.epochs" in message
    assert "sources.words.width" in message


@pytest.mark.parametrize(
    "proportions",
    ["", "70", "70/30", "70/10/10/10", "70,10,20", "a/b/c", "-70/10/20", "0/10/20", "80/0/20", "nan/1/1", "inf/1/1"],
)
def test_refuses_proportions_that_are_not_three_parts(raw: Raw, proportions: str) -> None:
    message = problems(changed(raw, "splitting.proportions", proportions))
    assert "splitting.proportions" in message
    assert repr(proportions) in message
    assert "70/10/20" in message


def test_proportions_are_in_any_unit() -> None:
    assert SplittingParameters(proportions="8/2/0").fractions == (0.8, 0.2, 0.0)
    assert SplittingParameters(proportions="0.7/0.1/0.2").fractions == pytest.approx((0.7, 0.1, 0.2))


@given(st.tuples(st.integers(1, 999), st.integers(1, 999), st.integers(0, 999)))
def test_fractions_sum_to_one(parts: tuple[int, int, int]) -> None:
    fractions = SplittingParameters(proportions="/".join(map(str, parts))).fractions
    assert sum(fractions) == pytest.approx(1)
    assert fractions == pytest.approx([part / sum(parts) for part in parts])


def test_parameters_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        TrainParameters().epochs = 3  # type: ignore[misc]


def test_parameters_survive_json() -> None:
    model = ModelParameters.model_validate(
        {"fusion": {"kind": "attention", "heads": 4}, "head": {"kind": "mixture", "experts": 5}}
    )
    assert ModelParameters.model_validate_json(model.model_dump_json()) == model


@pytest.mark.parametrize("kind", ["concat", "attention", "hierarchical"])
def test_the_kind_of_fusion_survives_json(kind: str) -> None:
    model = ModelParameters.model_validate({"fusion": {"kind": kind}})
    assert ModelParameters.model_validate_json(model.model_dump_json()).fusion.kind == kind


def test_every_reference_loss_has_a_name() -> None:
    reference = "weighted_smape smape focal_smape hybrid_focal_smape huber weighted_huber quantile_huber adaptive_huber"
    assert set(get_args(LossName)) >= {*reference.split(), "focal_huber", "mse", "mae"}


def test_importing_parameters_imports_no_torch(modules_after: Callable[[str], set[str]]) -> None:
    modules = modules_after("import price_fusion.parameters")
    assert "pydantic" in modules
    assert not modules & {"torch", "kedro", "pandas", "numpy"}


@pytest.mark.parametrize(("name", "what"), [("train", "what torch calls"), ("values", "what torch calls")])
def test_refuses_sources_named_as_parts_of_a_model(raw: Raw, name: str, what: str) -> None:
    raw["sources"][name] = {"width": 4, "group": "text"}
    assert parse_project_parameters(raw).used_sources == ("picture", "words")
    assert f"sources.{name}: is {what}" in problems(changed(raw, "plain.sources", [name]))


def test_all_parts_of_a_model_are_known() -> None:
    from torch import nn

    parts = {name for name in dir(nn.ModuleDict()) if not name.startswith("_") and name.islower()}
    assert parts <= NAMES_OF_MODULES


def test_refuses_a_source_and_a_variant_of_one_name(raw: Raw) -> None:
    raw["sources"]["plain"] = {"width": 4, "group": "text"}
    message = problems(changed(raw, "plain.sources", ["plain"]))
    assert "sources.plain: is also the name of a variant" in message


@pytest.mark.parametrize(
    ("name", "pipelines"),
    [
        ("compare", "compare"),
        ("ingest", "ingest"),
        ("train_plain", "train_plain"),
        ("evaluate_plain", "evaluate_plain"),
    ],
)
@pytest.mark.filterwarnings("ignore:One or more dataset names contain")
def test_refuses_a_variant_whose_pipelines_are_called_as_others(raw: Raw, name: str, pipelines: str) -> None:
    raw["variants"] = ["plain", name]
    raw[name] = raw["mixed"]
    with pytest.raises(ParameterError, match=f"variants: '{name}' would have the pipeline.* {pipelines}, of which"):
        build_pipelines(parse_project_parameters(raw))


def test_sections_of_added_pipelines_may_hold_anything(raw: Raw) -> None:
    raw["shelf_count"] = {"share": 0.2, "any": ["thing"]}
    assert parse_project_parameters(raw, ["shelf_count"]) == parse_project_parameters(
        {key: value for key, value in raw.items() if key != "shelf_count"}
    )
    with pytest.raises(ParameterError, match="shelf_count: neither a section nor a variant"):
        parse_project_parameters(raw)


def test_other_sections_are_refused_with_where_parameters_of_added_pipelines_go(raw: Raw) -> None:
    raw["share"] = 0.2
    with pytest.raises(ParameterError, match=r"share: neither a section.*\n.* a section of its name \(shelf_count\)"):
        parse_project_parameters(raw, ["shelf_count"])


@pytest.mark.parametrize("name", ["plain", "splitting"])
def test_an_added_pipeline_does_not_switch_checks_off(raw: Raw, name: str) -> None:
    raw[name]["nonsense"] = 1
    with pytest.raises(ParameterError, match=f"{name}.nonsense: unknown parameter"):
        parse_project_parameters(raw, [name])
