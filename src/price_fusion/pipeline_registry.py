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
from functools import partial
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
    alignment,
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
    """From raw files to the labelled products, split."""
    ingest: Pipeline
    """From raw files to products and all sources in use, checked."""
    check_leaks: Pipeline
    ingest_own: Callable[..., Pipeline]
    """What a model reads beside ``split``: its sources, of labelled products (``train``) or of those to be predicted (``test``)."""
    choose: Callable[[str, Sequence[str], str], Pipeline]
    """The choice of the products of a model."""
    of_model: Callable[[str, Pipeline], Pipeline]
    """A pipeline of a model, reading the products chosen for it."""
    train: Callable[[str, Sequence[str]], Pipeline]
    final_fit: Callable[[str, Sequence[str]], Pipeline]
    inference: Callable[..., Pipeline]


def build_pipelines(parameters: ProjectParameters) -> dict[str, Pipeline]:
    """The pipelines of a project with these sources and variants."""
    used = parameters.used_sources
    stages = _in_memory(parameters) if parameters.compute.partitions is None else _in_partitions(parameters)
    split = stages.split
    pipelines = {"fabricate": fabrication.create_pipeline(parameters.fabrication.kind)}
    pipelines |= {"split": split, "ingest": stages.ingest, "check_leaks": stages.check_leaks}
    compare = comparison.create_pipeline({name: parameters.variant(name).sources for name in parameters.variants}, used)
    for variant in parameters.variants:
        sources = parameters.variant(variant).sources
        own = _of_variant(parameters, stages, variant)
        _refuse_taken(variant, own.keys() & {*pipelines, *_JOINT})
        pipelines |= own
        described = stages.of_model(variant, comparison.create_contender_pipeline(variant, sources))
        compare += own[f"train_{variant}"] + own[f"evaluate_{variant}"] + own[f"report_{variant}"] + described
    pipelines["compare"] = compare
    for estimator in parameters.estimators_alone:
        pipelines[f"predict_{estimator}"] = split + _estimator(parameters, stages, estimator)
    if parameters.has_ensemble:
        pipelines["ensemble"] = split + _ensemble(parameters, stages)
        chosen = stages.choose(ensembling.ENSEMBLE, parameters.ensemble_sources, "train")
        effect = leaks.create_effect_pipeline(ensembling.ENSEMBLE)
        pipelines["report_ensemble"] = chosen + _report_of_ensemble(stages)
        pipelines["leak_effect_ensemble"] = chosen + stages.of_model(ensembling.ENSEMBLE, effect)
    pipelines["__default__"] = pipelines["moe" if "moe" in parameters.variants else parameters.variants[0]]
    return pipelines


def _of_variant(parameters: ProjectParameters, stages: _Stages, variant: str) -> dict[str, Pipeline]:
    """The pipelines of one variant."""
    sources, final_fit_wanted = parameters.variant(variant).sources, parameters.final_fit
    of_variant = partial(stages.of_model, variant)
    chosen, to_predict = (stages.choose(variant, sources, part) for part in ("train", "test"))
    products = stages.split + stages.ingest_own(sources, "train") + chosen
    train = products + of_variant(stages.train(variant, sources))
    evaluate = of_variant(evaluation.create_pipeline(variant, sources))
    final = chosen + of_variant(stages.final_fit(variant, sources)) if final_fit_wanted else Pipeline([])
    predict = final + of_variant(stages.inference(variant, sources, final_fit=final_fit_wanted))
    report = of_variant(reporting.create_pipeline(variant, is_variant=True))
    exported = of_variant(export.create_pipeline(variant, sources, final_fit=final_fit_wanted))
    return {
        f"train_{variant}": train,
        f"cross_validate_{variant}": products + of_variant(cross_validation.create_pipeline(variant, sources)),
        f"tune_{variant}": products + of_variant(tuning.create_pipeline(variant, sources)),
        f"ablate_{variant}": train + of_variant(ablation.create_pipeline(variant, sources)),
        f"evaluate_{variant}": chosen + evaluate,
        f"leak_effect_{variant}": chosen + of_variant(leaks.create_effect_pipeline(variant)),
        f"predict_{variant}": stages.ingest_own(sources, "test", alone=True) + to_predict + predict,
        f"report_{variant}": chosen + report,
        f"export_{variant}": chosen + final + exported,
        variant: train + evaluate + report + stages.ingest_own(sources, "test") + to_predict + predict,
    }


def _in_memory(parameters: ProjectParameters) -> _Stages:
    used = parameters.used_sources
    tuned = [name for name in used if parameters.sources[name].tuned_on_ids]
    split = _ingested(parameters, (), "train") + splitting.create_pipeline(tuned)
    ingest = _ingested(parameters, used, "train") + _ingested(parameters, used, "test")
    reports = alignment.create_report_pipeline(used, "train") + alignment.create_report_pipeline(used, "test")
    return _Stages(
        split=split,
        ingest=ingest + reports,
        check_leaks=split + ingest + leaks.create_pipeline(used),
        ingest_own=partial(_ingested, parameters),
        choose=alignment.create_pipeline,
        of_model=alignment.of_model,
        train=training.create_pipeline,
        final_fit=final_fit.create_pipeline,
        inference=inference.create_pipeline,
    )


def _ingested(parameters: ProjectParameters, sources: Sequence[str], part: str, *, alone: bool = False) -> Pipeline:
    """Products and these sources, from raw files."""
    return ingestion.create_pipeline({name: parameters.sources[name] for name in sources}, part, alone=alone)


def _in_partitions(parameters: ProjectParameters) -> _Stages:
    """Products and embeddings in partitions, of which as many are in memory as is good for what is not streamed.

    All models read the same products: policies for missing sources are applied to all sources in use.
    """
    from price_fusion.pipelines import gathering, partitions  # here, as they need pyarrow

    used = parameters.used_sources
    declared = {name: parameters.sources[name] for name in used}
    tuned = [name for name in used if parameters.sources[name].tuned_on_ids]
    ingest_test = partitions.create_ingestion(declared, "test", [])
    split = partitions.create_ingestion(declared, "train", tuned) + gathering.create_pipeline(used, "train", tuned)
    all_in_memory = split + ingest_test + gathering.create_pipeline(used, "test")
    return _Stages(
        split=split,
        ingest=split + ingest_test,
        check_leaks=all_in_memory + gathering.reading_gathered(leaks.create_pipeline(used)),
        ingest_own=lambda sources, part, alone=False: ingest_test if part == "test" else Pipeline([]),
        choose=lambda model, sources, part: Pipeline([]),
        of_model=lambda model, pipeline: gathering.reading_gathered(pipeline),
        train=partitions.create_training,
        final_fit=partitions.create_final_fit,
        inference=partitions.create_inference,
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
    """Products and members of the chosen preset, their blend, its evaluation and its prices."""
    sources = parameters.ensemble_sources
    members = {
        name: sources if name in ESTIMATOR_KINDS else parameters.variant(name).sources
        for name in parameters.ensemble.chosen.members
    }
    whole = ensembling.create_pipeline(members, sources)
    whole += evaluation.create_pipeline(ensembling.ENSEMBLE, sources, has_gate=False)
    whole += _predicting(parameters, stages, ensembling.ENSEMBLE, list(members), sources)
    return _with_products(stages, ensembling.ENSEMBLE, sources, whole) + _report_of_ensemble(stages)


def _estimator(parameters: ProjectParameters, stages: _Stages, estimator: str) -> Pipeline:
    """Products of all sources in use, an estimator of them, as the leaderboard has it, and its prices."""
    sources = parameters.used_sources
    whole = ensembling.create_alone(estimator, sources)
    whole += _predicting(parameters, stages, estimator, [estimator], sources)
    return _with_products(stages, estimator, sources, whole)


def _predicting(
    parameters: ProjectParameters, stages: _Stages, model: str, members: Sequence[str], sources: Sequence[str]
) -> Pipeline:
    """The final fit of these members, if there is one, and the prices."""
    final = parameters.ensemble.has_final_fit(wanted=parameters.final_fit)
    fitted = final_fit.create_ensemble_pipeline(model, members, sources) if final else Pipeline([])
    return fitted + stages.inference(model, sources, final_fit=final)


def _with_products(stages: _Stages, model: str, sources: Sequence[str], pipeline: Pipeline) -> Pipeline:
    """A pipeline of a model, after the choice of its products."""
    products = (stages.ingest_own(sources, part) + stages.choose(model, sources, part) for part in ("train", "test"))
    return sum(products, stages.of_model(model, pipeline))


def _report_of_ensemble(stages: _Stages) -> Pipeline:
    return stages.of_model(ensembling.ENSEMBLE, reporting.create_pipeline(ensembling.ENSEMBLE, is_variant=False))


def _read_parameters() -> ProjectParameters:
    project = find_kedro_project(Path.cwd()) or Path.cwd()
    loader = settings.CONFIG_LOADER_CLASS(
        conf_source=str(project / settings.CONF_SOURCE), env=os.environ.get("KEDRO_ENV"), **settings.CONFIG_LOADER_ARGS
    )
    return parse_parameters(loader["parameters"])
