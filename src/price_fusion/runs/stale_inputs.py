"""Figures of another model than the one that is there: no run may join the two.

The record of an evaluation, and of whatever was made from it, has the digest of its model by the model's name. Where the catalog has
another model of that name, or the run is to make one, a report would describe the one and give the figures of the other. This is
the one place that refuses it, before the first node.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Set
from pathlib import Path

from kedro.pipeline import Pipeline

from price_fusion.datasets.made_from import models
from price_fusion.datasets.recorded import RecordedOutput
from price_fusion.datasets.sidecar import Fate, fate
from price_fusion.errors import ComparisonError, few
from price_fusion.runs.journal import Catalog, path_of
from price_fusion.runs.missing_inputs import pipelines_making
from price_fusion.storage.digests import SHOWN, digest_of

logger = logging.getLogger(__name__)

MIXED = "Figures of one model would stand for those of another."
Figures = dict[str, list[str]]
"""Names of outputs, by the model that they are of."""


def refuse_stale_inputs(
    pipeline: Pipeline, catalog: Catalog, pipelines: Mapping[str, Pipeline], *, only_missing: bool
) -> None:
    """Refuse figures of another model than the one that will be there; warn of those whose model no record names.

    Args:
        pipeline: that is to run.
        catalog: that has its datasets, those marked that count as missing.
        pipelines: of the project, by name: they say what is made from which model, and one of them makes it again.
        only_missing: whether outputs that are there are kept.

    Raises:
        ComparisonError: naming the figures, the models, and what to run.
    """
    anew = set(_models_made(pipeline, catalog, only_missing=only_missing))
    joined, stale, unknown = _judged(pipeline, catalog, _inputs_of_makers(pipelines), anew)
    if joined:
        again, _ = _how_to_make(joined, pipelines)
        said = "; ".join(
            f"this run makes {model}, but not what it reads of it ({few(names)})" for model, names in joined.items()
        )
        raise ComparisonError(f"{said}. {MIXED} Add to --pipelines: {','.join(again) or 'what makes the rest'}")
    if stale:
        said = "; ".join(
            f"{model} has been replaced (sha256 is {digest_of(file)[:SHOWN]} now) since it made {few(names)}"
            for model, names in stale.items()
            if (file := _file_of_model(model, catalog)) is not None
        )
        raise ComparisonError(f"{said}. {MIXED} {_advice(stale, pipelines)}")
    if unknown:
        said = "; ".join(f"{few(names)} of {model}" for model, names in unknown.items())
        logger.warning(
            "no record says whether the model that is there made these: %s. Some copies leave the hidden files .<name>.sha256 "
            "behind, and earlier releases wrote no such record. %s",
            said,
            _advice(unknown, pipelines),
        )


def _judged(
    pipeline: Pipeline, catalog: Catalog, makers: Mapping[str, Set[str]], anew: Set[str]
) -> tuple[Figures, Figures, Figures]:
    """What a pipeline reads of models that the run makes, of models that have been replaced, and of models that no record names."""
    joined: Figures = {}
    stale: Figures = {}
    unknown: Figures = {}
    for name in sorted(pipeline.inputs()):
        dataset = catalog.get(name)
        # A model is stale by another rule: it may predict after its split has gone, and a final fit says itself what it repeats.
        if not isinstance(dataset, RecordedOutput) or dataset.is_model:
            continue
        recorded = models(dataset.made_from() or {})
        for model in sorted(_models_of(name, makers, catalog) | recorded.keys()):
            if model in anew:
                joined.setdefault(model, []).append(name)
            elif model not in recorded:
                if (path := path_of(catalog, name)) is not None and path.exists():
                    unknown.setdefault(model, []).append(name)
            elif _is_replaced(model, recorded[model], catalog):
                stale.setdefault(model, []).append(name)
    return joined, stale, unknown


def _models_made(pipeline: Pipeline, catalog: Catalog, *, only_missing: bool) -> Iterator[str]:
    """The models that a run makes."""
    for node in pipeline.nodes:
        made = [name for name in node.outputs if _file_of_model(name, catalog)]
        if made and not (only_missing and all(map(catalog.exists, node.outputs))):
            yield from made


def _inputs_of_makers(pipelines: Mapping[str, Pipeline]) -> dict[str, set[str]]:
    """What each output is made from, by its name."""
    found: dict[str, set[str]] = {}
    for node in {node for one in pipelines.values() for node in one.nodes}:
        for name in node.outputs:
            found.setdefault(name, set()).update(node.inputs)
    return found


def _models_of(name: str, makers: Mapping[str, Set[str]], catalog: Catalog) -> set[str]:
    """The models that an output is made from, directly or through outputs that are none."""
    found, seen, ahead = set(), {name}, [name]
    while ahead:
        for origin in (makers.get(ahead.pop(), set()) & makers.keys()) - seen:
            seen.add(origin)
            if _file_of_model(origin, catalog):
                found.add(origin)
            else:
                ahead.append(origin)
    return found


def _file_of_model(name: str, catalog: Catalog) -> Path | None:
    """The file whose digest stands for a model; None for what is no model, or has no such file."""
    dataset = catalog.get(name)
    return dataset.origin_file if isinstance(dataset, RecordedOutput) and dataset.is_model else None


def _is_replaced(model: str, digests: tuple[str, ...], catalog: Catalog) -> bool:
    """Whether there is another model than the one of these digests. One that is gone or damaged may be made as it was."""
    file = _file_of_model(model, catalog)
    return file is not None and any(fate(file, digest) is Fate.REPLACED for digest in digests)


def _advice(figures: Figures, pipelines: Mapping[str, Pipeline]) -> str:
    again, keeps = _how_to_make(figures, pipelines)
    if not again:
        return "Run the pipeline that makes them first."
    command = f"kedro run --pipelines {','.join(again)}"
    if keeps:
        return f"Run first: {command}"
    return f"Run first, with the --params that the model was made with, or it is made anew: {command} --only-missing-outputs"


def _how_to_make(figures: Figures, pipelines: Mapping[str, Pipeline]) -> tuple[list[str], bool]:
    """The pipelines that make figures again, and whether they keep the models: others are chosen only where none does."""
    names = {name for names in figures.values() for name in names}
    keeping = {name: one for name, one in pipelines.items() if not figures.keys() & one.all_outputs()}
    for some in (keeping, pipelines):
        chosen = pipelines_making(names, names, some)
        if names <= {name for one in chosen for name in some[one].all_outputs()}:
            return chosen, some is keeping
    return [], False
