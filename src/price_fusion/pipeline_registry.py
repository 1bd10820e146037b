"""The pipelines that a user can name.

Which sources and variants there are is configuration, and Kedro builds pipelines without it: ``hooks/current_project.py``
hands over the parameters of the run. Where no run has begun (``kedro registry list``), they are read from ``conf/`` here.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedro.framework.project import pipelines as kedro_pipelines
from kedro.framework.project import settings
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from kedro.utils import find_kedro_project

from price_fusion.errors import ParameterError
from price_fusion.own_pipelines import own_names, own_pipelines
from price_fusion.parameters import ESTIMATOR_KINDS, ProjectParameters, parse_project_parameters
from price_fusion.pipelines import (
    ablation,
    comparison,
    cross_validation,
    ensembling,
    evaluation,
    export,
    fabrication,
    final_fit,
    inference,
    ingestion,
    leaks,
    reporting,
    splitting,
    training,
    tuning,
)

_JOINT = ("compare", "ensemble", "leak_effect_ensemble", "report_ensemble")
"""Pipelines of all variants together."""
MOST_NAMES = 5
"""Of pipelines, that a message lists."""
_parameters: ProjectParameters | None = None
_of_server: ProjectParameters | None = None
_lock = threading.Lock()


def use_parameters(parameters: ProjectParameters) -> None:
    """Have the pipelines of these parameters from now on."""
    global _parameters
    with _lock:
        if _parameters is None or different_pipelines(_parameters, parameters):
            _parameters = parameters
            kedro_pipelines.configure(__name__)


def use_of_server(parameters: ProjectParameters, configured: Callable[[], ProjectParameters]) -> None:
    """See that the pipelines of a server, which all its runs share, are those of these parameters.

    Args:
        parameters: of a run.
        configured: gives those of ``conf/`` alone, which decide what pipelines the server has.

    Raises:
        ParameterError: if the run would need others.
    """
    global _parameters, _of_server
    with _lock:
        if _of_server is None:
            _parameters = _of_server = configured()
            kedro_pipelines.configure(__name__)
    different = different_pipelines(_of_server, parameters)
    if different:
        changed = [name for name, value in parameters if getattr(_of_server, name, None) != value]
        shown = ", ".join(different[:MOST_NAMES]) + ("" if len(different) <= MOST_NAMES else ", ...")
        raise ParameterError(
            f"the parameters of this request would change pipelines ({shown}), and a server keeps those that it started "
            f"with. Leave what you set of {', '.join(changed)} as conf/ has it, or set it there and start the server anew."
        )


def different_pipelines(before: ProjectParameters, after: ProjectParameters) -> list[str]:
    """Names of the pipelines that are not the same with other parameters."""
    if before == after:
        return []
    old, new = _quietly_built(before), _quietly_built(after)
    return [name for name in {**old, **new} if _nodes(old.get(name)) != _nodes(new.get(name))]


def _nodes(pipeline: Pipeline | None) -> set[Node] | None:
    return None if pipeline is None else set(pipeline.nodes)


def register_pipelines() -> dict[str, Pipeline]:
    """All pipelines by name.

    Raises:
        PipelineError: if one that was added to ``pipelines/`` cannot be built.
    """
    built = _quietly_built(_parameters or _read_parameters())
    return built | own_pipelines(taken={*built, *ProjectParameters.model_fields})


def parse_parameters(raw: Mapping[str, Any]) -> ProjectParameters:
    """Check the parameters of the project and its built-in pipelines; sections of added pipelines may hold anything.

    Raises:
        ParameterError: as ``parse_project_parameters``.
    """
    return parse_project_parameters(raw, own_names())


def _quietly_built(parameters: ProjectParameters) -> dict[str, Pipeline]:
    with warnings.catch_warnings():
        # Sources and variants have namespaces of their own, and what joins them (alignment, training, the leaderboard)
        # reads from several: that is what the dots are for.
        warnings.filterwarnings("ignore", message="One or more dataset names contain '.'")
        return build_pipelines(parameters)


@dataclass(frozen=True)
class _Stages:
    """What is another pipeline with ``compute.partitions`` than without."""

    split: Pipeline
    """From raw files to the labelled products in memory, split."""
    ingest_test: Pipeline
    """From raw files to the products to be predicted, beside ``split``."""
    test_in_memory: Pipeline
    """What brings these into memory, where ``ingest_test`` does not."""
    ingest_test_alone: Pipeline
    """The former, without ``split``."""
    train: Callable[[str, Sequence[str]], Pipeline]
    final_fit: Callable[[str, Sequence[str]], Pipeline]
    inference: Callable[..., Pipeline]
    reading: Callable[[Pipeline], Pipeline]
    """A pipeline that reads products, reading those in memory."""


def build_pipelines(parameters: ProjectParameters) -> dict[str, Pipeline]:
    """The pipelines of a project with these sources and variants."""
    used = parameters.used_sources
    stages = _in_memory(parameters) if parameters.compute.partitions is None else _in_partitions(parameters)
    split, ingest_test = stages.split, stages.ingest_test
    pipelines = {"fabricate": fabrication.create_pipeline(parameters.fabrication.kind), "split": split}
    pipelines["ingest"] = (split if parameters.compute.partitions else _ingest_train(parameters)) + ingest_test
    pipelines["check_leaks"] = split + ingest_test + stages.test_in_memory + stages.reading(leaks.create_pipeline(used))
    measured = Pipeline([])
    for variant in parameters.variants:
        sources = parameters.variant(variant).sources
        train = split + stages.train(variant, sources)
        evaluate = evaluation.create_pipeline(variant, sources)
        final = stages.final_fit(variant, sources) if parameters.final_fit else Pipeline([])
        predict = final + stages.inference(variant, sources, final_fit=parameters.final_fit)
        report = stages.reading(reporting.create_pipeline(variant, is_variant=True))
        own = {
            f"cross_validate_{variant}": split + cross_validation.create_pipeline(variant, sources),
            f"tune_{variant}": split + tuning.create_pipeline(variant, sources),
            f"train_{variant}": train,
            f"ablate_{variant}": train + ablation.create_pipeline(variant, sources),
            f"evaluate_{variant}": evaluate,
            f"leak_effect_{variant}": leaks.create_effect_pipeline(variant),
            f"predict_{variant}": stages.ingest_test_alone + predict,
            f"report_{variant}": report,
            f"export_{variant}": final + export.create_pipeline(variant, sources, final_fit=parameters.final_fit),
            variant: train + evaluate + report + ingest_test + predict,
        }
        _refuse_taken(variant, own.keys() & {*pipelines, *_JOINT})
        pipelines |= own
        measured += train + evaluate + report
    fused = {variant: parameters.variant(variant).sources for variant in parameters.variants}
    pipelines["compare"] = measured + comparison.create_pipeline(fused, used)
    for estimator in parameters.estimators_alone:
        pipelines[f"predict_{estimator}"] = split + ingest_test + _estimator(parameters, stages, estimator)
    if parameters.has_ensemble:
        pipelines["ensemble"] = split + ingest_test + _ensemble(parameters, stages)
        pipelines["report_ensemble"] = _report_of_ensemble(stages)
        pipelines["leak_effect_ensemble"] = leaks.create_effect_pipeline(ensembling.ENSEMBLE)
    if parameters.compute.partitions:
        from price_fusion.pipelines import partitions  # here, as it needs pyarrow

        pipelines |= {
            "tables_to_partitions": partitions.create_conversion(used, to_partitions=True),
            "partitions_to_tables": partitions.create_conversion(used, to_partitions=False),
        }
    pipelines["__default__"] = pipelines["moe" if "moe" in parameters.variants else parameters.variants[0]]
    return pipelines


def _in_memory(parameters: ProjectParameters) -> _Stages:
    used = parameters.used_sources
    declared = {name: parameters.sources[name] for name in used}
    return _Stages(
        split=_ingest_train(parameters)
        + splitting.create_pipeline([name for name in used if parameters.sources[name].tuned_on_ids]),
        ingest_test=ingestion.create_pipeline(declared, "test"),
        test_in_memory=Pipeline([]),
        ingest_test_alone=ingestion.create_pipeline(declared, "test", alone=True),
        train=training.create_pipeline,
        final_fit=final_fit.create_pipeline,
        inference=inference.create_pipeline,
        reading=lambda pipeline: pipeline,
    )


def _ingest_train(parameters: ProjectParameters) -> Pipeline:
    return ingestion.create_pipeline({name: parameters.sources[name] for name in parameters.used_sources}, "train")


def _in_partitions(parameters: ProjectParameters) -> _Stages:
    """Products and embeddings in partitions, of which as many are in memory as is good for what is not streamed."""
    from price_fusion.pipelines import gathering, partitions  # here, as they need pyarrow

    used = parameters.used_sources
    declared = {name: parameters.sources[name] for name in used}
    tuned = [name for name in used if parameters.sources[name].tuned_on_ids]
    ingest_test = partitions.create_ingestion(declared, "test", [])
    return _Stages(
        split=partitions.create_ingestion(declared, "train", tuned) + gathering.create_pipeline(used, "train", tuned),
        ingest_test=ingest_test,
        test_in_memory=gathering.create_pipeline(used, "test"),
        ingest_test_alone=ingest_test,
        train=partitions.create_training,
        final_fit=partitions.create_final_fit,
        inference=partitions.create_inference,
        reading=gathering.reading_gathered,
    )


def _refuse_taken(variant: str, taken: Set[str]) -> None:
    """Refuse a variant whose pipelines would be called as others are.

    Raises:
        ParameterError: if there are any.
    """
    if taken:
        raise ParameterError(
            f"variants: {variant!r} would have the pipeline(s) {', '.join(sorted(taken))}, of which there are others of that "
            "name. Call the variant otherwise in 'variants' and in its own section."
        )


def _ensemble(parameters: ProjectParameters, stages: _Stages) -> Pipeline:
    """Members of the chosen preset, their blend, its evaluation and its prices."""
    sources = parameters.ensemble_sources
    members = {
        name: sources if name in ESTIMATOR_KINDS else parameters.variant(name).sources
        for name in parameters.ensemble.chosen.members
    }
    final = parameters.ensemble.has_final_fit(wanted=parameters.final_fit)
    return (
        ensembling.create_pipeline(members, sources)
        + evaluation.create_pipeline(ensembling.ENSEMBLE, sources, has_gate=False)
        + (final_fit.create_ensemble_pipeline(ensembling.ENSEMBLE, list(members), sources) if final else Pipeline([]))
        + stages.inference(ensembling.ENSEMBLE, sources, final_fit=final)
        + _report_of_ensemble(stages)
    )


def _estimator(parameters: ProjectParameters, stages: _Stages, estimator: str) -> Pipeline:
    """An estimator of all sources in use, as the leaderboard has it, and its prices."""
    sources = parameters.used_sources
    final = parameters.ensemble.has_final_fit(wanted=parameters.final_fit)
    return (
        ensembling.create_alone(estimator, sources)
        + (final_fit.create_ensemble_pipeline(estimator, [estimator], sources) if final else Pipeline([]))
        + stages.inference(estimator, sources, final_fit=final)
    )


def _report_of_ensemble(stages: _Stages) -> Pipeline:
    return stages.reading(reporting.create_pipeline(ensembling.ENSEMBLE, is_variant=False))


def _read_parameters() -> ProjectParameters:
    project = find_kedro_project(Path.cwd()) or Path.cwd()
    loader = settings.CONFIG_LOADER_CLASS(
        conf_source=str(project / settings.CONF_SOURCE), env=os.environ.get("KEDRO_ENV"), **settings.CONFIG_LOADER_ARGS
    )
    return parse_parameters(loader["parameters"])
