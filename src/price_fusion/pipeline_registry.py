"""The pipelines that a user can name.

Which sources and variants there are is configuration, and Kedro builds pipelines without it: ``hooks/current_project.py``
hands over the parameters of the run. Where no run has begun (``kedro registry list``), they are read from ``conf/`` here.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence, Set
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


def build_pipelines(parameters: ProjectParameters) -> dict[str, Pipeline]:
    """The pipelines of a project with these sources and variants."""
    used = parameters.used_sources
    split = _split(parameters)
    pipelines = {"fabricate": fabrication.create_pipeline(parameters.fabrication.kind)}
    pipelines |= {"split": split, "ingest": _ingest(parameters), "check_leaks": _check_leaks(parameters, split)}
    compared = [
        comparison.create_pipeline({name: parameters.variant(name).sources for name in parameters.variants}, used)
    ]
    for variant in parameters.variants:
        sources = parameters.variant(variant).sources
        own = _of_variant(parameters, variant, split)
        _refuse_taken(variant, own.keys() & {*pipelines, *_JOINT})
        pipelines |= own
        described = _of_model(parameters, variant, comparison.create_contender_pipeline(variant, sources))
        compared += [own[f"train_{variant}"], own[f"evaluate_{variant}"], own[f"report_{variant}"], described]
    pipelines["compare"] = _joined(*compared)
    for estimator in parameters.estimators_alone:
        pipelines[f"predict_{estimator}"] = _joined(split, *_estimator(parameters, estimator))
    if parameters.has_ensemble:
        pipelines["ensemble"] = _joined(split, *_ensemble(parameters))
        chosen = _choice(parameters, ensembling.ENSEMBLE, parameters.ensemble_sources, "train")
        effect = leaks.create_effect_pipeline(ensembling.ENSEMBLE)
        pipelines["report_ensemble"] = _joined(chosen, _report_of_ensemble(parameters))
        pipelines["leak_effect_ensemble"] = _joined(chosen, _of_model(parameters, ensembling.ENSEMBLE, effect))
    pipelines["__default__"] = pipelines["moe" if "moe" in parameters.variants else parameters.variants[0]]
    return pipelines


def _joined(*parts: Pipeline) -> Pipeline:
    """All nodes of these, checked and sorted once; a chain of ``+`` does so at each one, which each command waits for."""
    return Pipeline({node for part in parts for node in part.nodes})


def _of_variant(parameters: ProjectParameters, variant: str, split: Pipeline) -> dict[str, Pipeline]:
    """The pipelines of one variant."""
    sources, final_fit_wanted = parameters.variant(variant).sources, parameters.final_fit
    partitioned = parameters.compute.is_partitioned
    of_variant = partial(_of_model, parameters, variant)
    chosen, to_predict = (_choice(parameters, variant, sources, part) for part in ("train", "test"))
    products = _joined(split, _ingested(parameters, sources, "train"), chosen)
    train = _joined(products, of_variant(training.create_pipeline(variant, sources, partitioned=partitioned)))
    evaluate = of_variant(evaluation.create_pipeline(variant, sources))
    fitted = of_variant(final_fit.create_pipeline(variant, sources, partitioned=partitioned))
    final = [chosen, fitted] if final_fit_wanted else []
    priced = _inference(parameters, variant, sources, final=final_fit_wanted)
    predict = [_ingested(parameters, sources, "test"), to_predict, *final, priced]
    report = of_variant(reporting.create_pipeline(variant, is_variant=True))
    exported = of_variant(export.create_pipeline(variant, sources, final_fit=final_fit_wanted))
    return {
        f"train_{variant}": train,
        f"cross_validate_{variant}": _joined(products, of_variant(cross_validation.create_pipeline(variant, sources))),
        f"tune_{variant}": _joined(products, of_variant(tuning.create_pipeline(variant, sources))),
        f"ablate_{variant}": _joined(train, of_variant(ablation.create_pipeline(variant, sources))),
        f"evaluate_{variant}": _joined(chosen, evaluate),
        f"leak_effect_{variant}": _joined(chosen, of_variant(leaks.create_effect_pipeline(variant))),
        f"predict_{variant}": _joined(*predict),
        f"report_{variant}": _joined(chosen, report),
        f"export_{variant}": _joined(chosen, *final, exported),
        variant: _joined(train, evaluate, report, *predict),
    }


def _ingested(parameters: ProjectParameters, sources: Sequence[str], part: str, *, gathered: bool = False) -> Pipeline:
    """Products and these sources, from raw files.

    Args:
        parameters: of the project.
        sources: their names.
        part: ``train`` or ``test``.
        gathered: whether products to be predicted are brought into memory, too, from partitions.
    """
    declared = {name: parameters.sources[name] for name in sources}
    if parameters.compute.is_partitioned:
        gathered = gathered or part == "train"
        return ingestion.create_partitioned(declared, part, _tuned_sources(parameters), gathered=gathered)
    return ingestion.create_pipeline(declared, part)


def _split(parameters: ProjectParameters) -> Pipeline:
    """From raw files to the labelled products, split."""
    drawn = splitting.create_pipeline(_tuned_sources(parameters), partitioned=parameters.compute.is_partitioned)
    return _joined(_ingested(parameters, (), "train"), drawn)


def _ingest(parameters: ProjectParameters) -> Pipeline:
    """From raw files to products and all sources in use, checked."""
    used, partitioned = parameters.used_sources, parameters.compute.is_partitioned
    parts = ("train", "test")
    reports = (alignment.create_report_pipeline(used, part, partitioned=partitioned) for part in parts)
    return _joined(*(_ingested(parameters, used, part) for part in parts), *reports)


def _check_leaks(parameters: ProjectParameters, split: Pipeline) -> Pipeline:
    used = parameters.used_sources
    products = [_ingested(parameters, used, "train"), _ingested(parameters, used, "test", gathered=True)]
    return _joined(split, *products, _on_gathered(parameters, leaks.create_pipeline(used)))


def _tuned_sources(parameters: ProjectParameters) -> list[str]:
    """Sources in use that list the ids their encoder was tuned on."""
    return [name for name in parameters.used_sources if parameters.sources[name].tuned_on_ids]


def _choice(parameters: ProjectParameters, model: str, sources: Sequence[str], part: str) -> Pipeline:
    """The choice of the products of a model."""
    return alignment.create_pipeline(model, sources, part, partitioned=parameters.compute.is_partitioned)


def _of_model(parameters: ProjectParameters, model: str, pipeline: Pipeline) -> Pipeline:
    """A pipeline of a model, reading the products chosen for it."""
    return alignment.of_model(model, _on_gathered(parameters, pipeline))


def _on_gathered(parameters: ProjectParameters, pipeline: Pipeline) -> Pipeline:
    return ingestion.reading_gathered(pipeline) if parameters.compute.is_partitioned else pipeline


def _inference(parameters: ProjectParameters, model: str, sources: Sequence[str], *, final: bool) -> Pipeline:
    """The prices of a model."""
    partitioned = parameters.compute.is_partitioned
    priced = inference.create_pipeline(model, sources, final_fit=final, partitioned=partitioned)
    return _of_model(parameters, model, priced)


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


def _ensemble(parameters: ProjectParameters) -> list[Pipeline]:
    """Products and members of the chosen preset, their blend, its evaluation and its prices."""
    sources = parameters.ensemble_sources
    members = {
        name: sources if name in ESTIMATOR_KINDS else parameters.variant(name).sources
        for name in parameters.ensemble.chosen.members
    }
    fitted = [
        ensembling.create_pipeline(members, sources),
        evaluation.create_pipeline(ensembling.ENSEMBLE, sources, has_gate=False),
    ]
    predicting = _predicting(parameters, ensembling.ENSEMBLE, list(members), sources, fitted)
    return [*predicting, _report_of_ensemble(parameters)]


def _estimator(parameters: ProjectParameters, estimator: str) -> list[Pipeline]:
    """Products of all sources in use, an estimator of them, as the leaderboard has it, and its prices."""
    sources = parameters.used_sources
    return _predicting(parameters, estimator, [estimator], sources, [ensembling.create_alone(estimator, sources)])


def _predicting(
    parameters: ProjectParameters, model: str, members: Sequence[str], sources: Sequence[str], fitted: list[Pipeline]
) -> list[Pipeline]:
    """The products of a model of these members, how it is fitted, its final fit, if there is one, and its prices."""
    final = parameters.ensemble.has_final_fit(wanted=parameters.final_fit)
    if final:
        fitted = [*fitted, final_fit.create_ensemble_pipeline(model, members, sources)]
    products = [
        made
        for part in ("train", "test")
        for made in (_ingested(parameters, sources, part), _choice(parameters, model, sources, part))
    ]
    priced = _inference(parameters, model, sources, final=final)
    return [*products, _of_model(parameters, model, _joined(*fitted)), priced]


def _report_of_ensemble(parameters: ProjectParameters) -> Pipeline:
    report = reporting.create_pipeline(ensembling.ENSEMBLE, is_variant=False)
    return _of_model(parameters, ensembling.ENSEMBLE, report)


def _read_parameters() -> ProjectParameters:
    project = find_kedro_project(Path.cwd()) or Path.cwd()
    loader = settings.CONFIG_LOADER_CLASS(
        conf_source=str(project / settings.CONF_SOURCE), env=os.environ.get("KEDRO_ENV"), **settings.CONFIG_LOADER_ARGS
    )
    return parse_parameters(loader["parameters"])
