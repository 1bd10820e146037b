"""What each output of a run is made from, worked out from the pipeline; with it ``--only-missing-outputs`` sees what has changed.

An output counts as missing if a parameter or a raw file on the way to it is another than the one that its record names.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol, MemoryDataset
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from pydantic import BaseModel

from price_fusion.datasets.made_from import PARAMETERS, Facts, Origins, differences, merged, not_known
from price_fusion.datasets.raw_facts import raw_facts
from price_fusion.datasets.recorded import RecordedOutput
from price_fusion.parameters import VariantParameters
from price_fusion.training.recipe import WITHOUT_EFFECT

logger = logging.getLogger(__name__)

Catalog = CatalogProtocol[Any, Any]

RAW_DIGESTS = "raw_digests"
"""In the catalog: where digests of raw files are remembered."""
ELSEWHERE = ("params:engine",)
"""Parameters that say where work is done, and change no output."""
SHOWN = 6
"""Names that a message lists; the others are counted."""


class MadeFromHooks:
    """Tells the datasets of outputs what they are made from and, under ``--only-missing-outputs``, which are stale."""

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: Catalog) -> None:
        """Work it out; say what counts as missing and why."""
        if RAW_DIGESTS not in catalog:
            return
        outputs = outputs_of(pipeline, catalog)
        for output in outputs.values():
            output.dataset.origins = output.origins
        if run_params.get("only_missing_outputs"):
            mark_stale(outputs, catalog)
            _say_without_digest([name for name, output in outputs.items() if output.dataset.lacks_its_digest])
            _say_unrecorded([name for name in pipeline.all_outputs() - outputs.keys() if _is_kept(name, catalog)])


@dataclass(frozen=True)
class Output:
    """What a node saves, with a record.

    Attributes:
        dataset: of the catalog.
        origins: what its node reads.
        way: all parameters and raw files on the way to it in this pipeline.
    """

    dataset: RecordedOutput
    origins: Origins
    way: Facts


def outputs_of(pipeline: Pipeline, catalog: Catalog) -> dict[str, Output]:
    """The outputs of a pipeline that have records, by name, in the order in which they are made.

    What is passed on in memory, or kept in a dataset without a record, is looked through: who reads it is made from what
    that is made from.
    """
    facts = _facts_of_inputs(pipeline, catalog)
    recorded: dict[str, Output] = {}
    passed: dict[str, tuple[Origins, Facts]] = {}
    for node in pipeline.nodes:
        reads = [name for name in node.inputs if name in facts]
        through = [passed[name] for name in node.inputs if name in passed]
        saved = [dataset for name in node.inputs if isinstance(dataset := catalog.get(name), RecordedOutput)]
        own = merged({name: facts[name] for name in reads}, _bound(node), *(origins.own for origins, _ in through))
        inputs = [*saved, *(one for origins, _ in through for one in origins.inputs)]
        origins = Origins(own, tuple(dict.fromkeys(inputs)))
        way = merged(
            own, *(way for _, way in through), *(recorded[name].way for name in node.inputs if name in recorded)
        )
        for name in node.outputs:
            dataset = catalog.get(name)
            if isinstance(dataset, RecordedOutput):
                recorded[name] = Output(dataset, origins, way)
            else:
                passed[name] = (origins, way)
    return recorded


def mark_stale(outputs: Mapping[str, Output], catalog: Catalog) -> None:
    """Let those outputs count as missing that are made from other parameters or raw files, and say which and why.

    Args:
        outputs: by name.
        catalog: that has them.
    """
    causes: dict[str, list[str]] = {}
    unknown = []
    for name, output in outputs.items():
        record = output.dataset.made_from()
        changed = differences(record, output.way) if record is not None else []
        output.dataset.is_stale = bool(changed)
        for cause in changed:
            causes.setdefault(cause, []).append(name)
        if not changed and (record is None or not_known(record, output.way)) and catalog.exists(name):
            unknown.append(name)
    for cause, names in causes.items():
        logger.warning("%s: %s made again", cause, _listed(names, "is", "are"))
    _say_unrecorded(unknown)


def _say_unrecorded(names: Sequence[str]) -> None:
    if names:
        logger.warning(
            "%s kept, though nothing says which parameters and raw files they were made from: by an earlier release, by "
            "hand, or in a dataset without a record. If any has changed since, run without --only-missing-outputs.",
            _listed(sorted(names), "is", "are"),
        )


def _say_without_digest(names: Sequence[str]) -> None:
    if names:
        logger.warning(
            "%s there without the hidden file .<name>.sha256 that vouches for an output: counted as missing, and made again. Some "
            "copies and artifact stores leave hidden files behind; bring them along to keep what is there.",
            _listed(sorted(names), "is", "are"),
        )


def _facts_of_inputs(pipeline: Pipeline, catalog: Catalog) -> Facts:
    """Values of parameters, and what is known of raw datasets, by name."""
    found: dict[str, tuple[Any, ...]] = {}
    digests = catalog.load(RAW_DIGESTS)
    for name in sorted(pipeline.inputs()):
        if name.startswith(PARAMETERS) or name == "parameters":
            if name not in ELSEWHERE:
                found[name] = (_plain(catalog.load(name)),)
        elif (raw := raw_facts(catalog.get(name), digests)) is not None:
            found[name] = (raw,)
    return found


def _bound(node: Node) -> Facts:
    """Arguments that the pipeline gave to a node's function when it was built: they follow from parameters, too."""
    arguments = getattr(node.func, "keywords", None)
    return {f"{PARAMETERS}{node.name}": (_plain(arguments),)} if arguments else {}


def _plain(value: Any) -> Any:
    """A parameter as JSON holds it, without what changes no output."""
    if isinstance(value, VariantParameters):
        value = value.model_dump(mode="json", exclude={"train": set(WITHOUT_EFFECT)})
    return json.loads(json.dumps(value, default=_dumped))


def _dumped(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)


def _is_kept(name: str, catalog: Catalog) -> bool:
    return name in catalog and not isinstance(catalog.get(name), MemoryDataset) and catalog.exists(name)


def _listed(names: Sequence[str], one: str, several: str) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more} {one if len(names) == 1 else several}"
