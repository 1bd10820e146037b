"""Kedro-Viz shows layers only if they follow each other in every pipeline, and datasets without one are in none."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_type_hints

import networkx as nx
import pytest
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.pipeline import OutputNotUniqueError
from kedro_viz.constants import ROOT_MODULAR_PIPELINE_ID
from kedro_viz.data_access.managers import DataAccessManager
from kedro_viz.models.flowchart.model_utils import GraphNodeType

from price_fusion.hooks.current_project import ParameterHooks
from price_fusion.hooks.derived_inputs import DerivedInputsHooks
from price_fusion.parameters import parse_project_parameters
from price_fusion.pipeline_registry import build_pipelines
from price_fusion.runs.project_facts import ProjectFacts, current_project
from price_fusion.settings import CONFIG_LOADER_ARGS, CONFIG_LOADER_CLASS

pytestmark = pytest.mark.filterwarnings("ignore:One or more dataset names contain")
CONF = Path(__file__).parents[1] / "conf"
LAYERS = ("raw", "primary", "model_input", "models", "model_output", "reporting")


@cache
def project(partitions: int | None = None) -> tuple[dict[str, Pipeline], DataCatalog]:
    compute = {"compute": {"partitions": partitions}}
    loader = CONFIG_LOADER_CLASS(conf_source=str(CONF), env="local", runtime_params=compute, **CONFIG_LOADER_ARGS)
    catalog = DataCatalog.from_config(loader["catalog"])
    parameters = parse_project_parameters(loader["parameters"])
    facts = ProjectFacts(CONF.parent, CONF.parent / "data", loader["parameters"], parameters)
    token = current_project.set(facts)
    ParameterHooks().after_catalog_created(catalog, load_versions=None)
    DerivedInputsHooks().after_catalog_created(catalog)
    current_project.reset(token)
    return build_pipelines(parameters), catalog


def layer_of(dataset: str, catalog: DataCatalog) -> str | None:
    if dataset not in catalog:
        return None
    metadata = getattr(catalog.get(dataset), "metadata", None) or {}
    layer: str | None = metadata.get("kedro-viz", {}).get("layer")
    return layer


def steps_between_layers(pipeline: Pipeline, catalog: DataCatalog) -> Iterator[tuple[str, str]]:
    """Pairs of layers of which one comes right before the other, datasets without a layer left out."""
    graph = nx.DiGraph()
    for node in pipeline.nodes:
        graph.add_edges_from((name, node.name) for name in node.inputs)
        graph.add_edges_from((node.name, name) for name in node.outputs)
    for dataset in pipeline.datasets():
        own = layer_of(dataset, catalog)
        ahead, seen = list(graph.successors(dataset)) if own else [], set()
        while ahead:
            place = ahead.pop()
            if place in seen:
                continue
            seen.add(place)
            layer = layer_of(place, catalog)
            if own and layer and layer != own:
                yield own, layer
            elif layer is None:
                ahead += graph.successors(place)


@pytest.mark.parametrize("partitions", [None, 3])
@pytest.mark.parametrize("stage", ["", "train_", "predict_", "cross_validate_", "tune_", "ablate_"])
def test_a_variant_reads_its_own_sources_alone(stage: str, partitions: int | None) -> None:
    pipelines, _ = project(partitions)
    read = {name.split(".")[0] for name in pipelines[f"{stage}moe"].inputs() if name.endswith("_embeddings")}
    assert read == {"clip_image", "qwen_text"}
    assert not [name for name in pipelines["split"].inputs() if name.endswith("_embeddings")]
    everything = {name.split(".")[0] for name in pipelines["compare"].inputs() if name.endswith("_embeddings")}
    assert {"siglip_image", "siglip_text"} <= everything


@pytest.mark.parametrize("partitions", [None, 3])
def test_any_two_pipelines_can_be_run_together(partitions: int | None) -> None:
    """But for ``ensemble`` and those that cross-validate a member on products of its own.

    What sums all at once sums in pairs, too.
    """
    pipelines, _ = project(partitions)
    by_name = {node.name: node for pipeline in pipelines.values() for node in pipeline.nodes}
    for pipeline in pipelines.values():
        for node in pipeline.nodes:  # Kedro does not compare functions and tags
            same = by_name[node.name]
            assert (node, node.func, node.tags) == (same, same.func, same.tags)
    apart = ["cross_validate_four_branch", "predict_kernel_ridge", "predict_neighbours"]
    for left_out in (["ensemble"], apart):
        sum((pipeline for name, pipeline in pipelines.items() if name not in left_out), Pipeline([]))
    for name in apart:
        with pytest.raises(OutputNotUniqueError, match="fold_models"):
            pipelines["ensemble"] + pipelines[name]


@pytest.mark.parametrize("partitions", [None, 3])
def test_kedro_can_resolve_the_types_of_every_node(partitions: int | None) -> None:
    """What is imported for type checkers alone switches its check of parameters off, with a warning."""
    pipelines, _ = project(partitions)
    for function in {node.func for pipeline in pipelines.values() for node in pipeline.nodes}:
        assert get_type_hints(function)


@pytest.mark.parametrize("partitions", [None, 3])
def test_layers_follow_each_other(partitions: int | None) -> None:
    pipelines, catalog = project(partitions)
    for name, pipeline in pipelines.items():
        layers = nx.DiGraph(list(steps_between_layers(pipeline, catalog)))
        assert nx.is_directed_acyclic_graph(layers), f"{name}: {list(nx.simple_cycles(layers))}"


def test_partitions_leave_no_pipeline_and_no_result_out() -> None:
    """But for the tables of products to be predicted, which are not in memory, and the files that are sorted on the disk."""
    (alone, _), (partitioned, _) = project(), project(3)
    assert set(alone) == set(partitioned)
    for name, pipeline in alone.items():
        lacking = {output.split(".")[-1] for output in pipeline.all_outputs() - partitioned[name].all_outputs()}
        assert lacking <= {"test_samples", "test_table", "test_data_checks", "predictions", "price_intervals"}, name


@pytest.mark.parametrize("partitions", [None, 3])
def test_everything_in_the_catalog_has_a_layer(partitions: int | None) -> None:
    pipelines, catalog = project(partitions)
    names = {name for pipeline in pipelines.values() for name in pipeline.datasets() if not name.startswith("params:")}
    assert {name for name in names if name in catalog and layer_of(name, catalog) not in LAYERS} == set()


@pytest.mark.parametrize("partitions", [None, 3])
def test_everything_that_pipelines_read_is_in_the_catalog(partitions: int | None) -> None:
    pipelines, catalog = project(partitions)
    read = {name for pipeline in pipelines.values() for name in pipeline.inputs() if not name.startswith("params:")}
    assert {name for name in read if name not in catalog} == set()


@pytest.mark.parametrize("part", ["train", "test"])
def test_products_of_a_model_come_with_the_tables_that_they_were_aligned_with(part: str) -> None:
    """Of each source, its entry in the catalog is where the products look for its table."""
    pipelines, catalog = project(3)
    sources = {name.split(".")[0] for name in pipelines["compare"].inputs() if name.endswith("_embeddings")}
    chosen = catalog.get(f"moe.{part}_sample_partitions")._describe()["tables"]
    for source in sources:
        assert chosen.replace("<source>", source) == catalog.get(f"{source}.{part}_partitions")._describe()["filepath"]


@pytest.mark.parametrize("partitions", [None, 3])
def test_each_variant_collapses_into_one_node(partitions: int | None) -> None:
    pipelines, _ = project(partitions)
    spaces = {node.namespace for node in pipelines["compare"].nodes if node.namespace}
    assert {"moe", "two_branch", "four_branch", "hierarchical", "ingestion", "ingestion.qwen_text"} <= spaces
    alone = [node.name for node in pipelines["compare"].nodes if not node.namespace]
    assert len(alone) <= 7, alone


@pytest.mark.parametrize("partitions", [None, 3])
def test_layers_are_shown_of_every_pipeline(partitions: int | None) -> None:
    """Boxes join what leads to any of their nodes with all that they give, so layers may be in a cycle by them alone."""
    pipelines, catalog = project(partitions)
    viz = DataAccessManager()
    viz.add_catalog(catalog, pipelines)
    viz.add_pipelines(pipelines)
    for name in pipelines:
        viz.create_modular_pipelines_tree_for_registered_pipeline(name)
        assert set(viz.get_sorted_layers_for_registered_pipeline(name)) == set(LAYERS), name


@pytest.mark.parametrize("partitions", [None, 4])
def test_a_variant_opens_readable_and_in_layers_from_raw_to_reporting(partitions: int | None) -> None:
    """What Kedro-Viz shows before a click, as its own program works it out; parameters are hidden there at first."""
    pipelines, catalog = project(partitions)
    viz = DataAccessManager()
    viz.add_catalog(catalog, {"moe": pipelines["moe"]})
    viz.add_pipelines({"moe": pipelines["moe"]})
    opened = viz.create_modular_pipelines_tree_for_registered_pipeline("moe")[ROOT_MODULAR_PIPELINE_ID].children
    shown = [viz.nodes.get_node_by_id(child.id) for child in opened]
    names = {element.name for element in shown if element.type != GraphNodeType.PARAMETERS}
    assert {"ingestion", "moe", "train_product_files" if partitions else "train_products", "moe.report"} <= names
    assert len(names) <= 27, sorted(names)
    assert viz.get_sorted_layers_for_registered_pipeline("moe") == list(LAYERS)
