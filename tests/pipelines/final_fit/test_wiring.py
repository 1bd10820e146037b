"""Which model predicts and is exported follows from ``final_fit``; what is evaluated does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from kedro.pipeline import Pipeline

from price_fusion.parameters import parse_project_parameters
from price_fusion.pipeline_registry import build_pipelines
from price_fusion.settings import CONFIG_LOADER_ARGS, CONFIG_LOADER_CLASS

pytestmark = pytest.mark.filterwarnings("ignore:One or more dataset names contain")
CONF = Path(__file__).parents[3] / "conf"


def pipelines(**changed: object) -> dict[str, Pipeline]:
    loader = CONFIG_LOADER_CLASS(
        conf_source=str(CONF), env="local", runtime_params=changed or None, **CONFIG_LOADER_ARGS
    )
    return build_pipelines(parse_project_parameters(loader["parameters"]))


def model_of(pipeline: Pipeline, node: str) -> list[str]:
    """Checkpoints that a node reads."""
    (found,) = (one for one in pipeline.nodes if one.name == node)
    return [name for name in found.inputs if name.endswith("checkpoint")]


PREDICTING = (
    ("__default__", "moe.price_products", "moe"),
    ("predict_two_branch", "two_branch.price_products", "two_branch"),
    ("export_moe", "moe.export", "moe"),
    ("ensemble", "ensemble.price_products", "ensemble"),
)


@pytest.mark.parametrize("wanted", [True, False])
def test_the_final_fit_predicts_unless_it_is_turned_off(wanted: bool) -> None:
    built = pipelines(final_fit=wanted)
    kind = "final_checkpoint" if wanted else "checkpoint"
    for name, node, model in PREDICTING:
        assert model_of(built[name], node) == [f"{model}.{kind}"]
        assert (f"{model}.final_checkpoint" in built[name].all_outputs()) == wanted


def test_what_measures_models_fits_and_reads_none() -> None:
    built = pipelines()
    for name in ("compare", "train_moe", "evaluate_moe", "ablate_moe", "cross_validate_moe", "check_leaks"):
        assert not any("final_" in dataset for dataset in built[name].datasets() - {"params:final_fit"})
    assert "moe.final_checkpoint" not in built["report_moe"].datasets()


def test_an_ensemble_without_refits_has_none() -> None:
    built = pipelines(ensemble={"preset": "quick", "presets": {"quick": {"members": ["moe", "ridge"], "refits": 0}}})
    assert model_of(built["ensemble"], "ensemble.price_products") == ["ensemble.checkpoint"]


def test_each_member_of_an_ensemble_has_a_folder() -> None:
    (node,) = (
        one for one in pipelines(ensemble={"preset": "quick"})["ensemble"].nodes if one.name == "ensemble.fit_final"
    )
    assert [name for name in node.inputs if name.startswith("params:")] == [
        "params:comparison",
        *(f"params:{member}.folder" for member in ("four_branch", "kernel_ridge", "neighbours")),
        "params:four_branch",
    ]
