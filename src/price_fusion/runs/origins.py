"""What each output of a run is made from, worked out from the pipeline; with it ``--only-missing-outputs`` sees what has changed.

An output counts as missing if a parameter, a raw file or another output on the way to it is another than its record says.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from kedro.io import MemoryDataset
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from pydantic import BaseModel

from price_fusion.datasets.made_from import (
    PARAMETERS,
    ROWS_IN_MEMORY,
    Facts,
    Origins,
    differences,
    merged,
    newer,
    not_known,
    other_limit,
    other_sources,
    raw_files,
    without_limits,
)
from price_fusion.datasets.raw_facts import products_of, raw_facts
from price_fusion.datasets.recorded import RecordedOutput
from price_fusion.datasets.sidecar import Fate, fate
from price_fusion.parameters import VariantParameters
from price_fusion.runs.journal import Catalog
from price_fusion.storage.digests import CheckRecord
from price_fusion.storage.files import storage_errors
from price_fusion.storage.fingerprint import rows_of_whole
from price_fusion.training.recipe import WITHOUT_EFFECT

logger = logging.getLogger(__name__)

ELSEWHERE = ("params:compute", "params:command_options")
"""Parameters that say where work is done, and make no output stale: the commands of a page work where it was made."""
REMEMBERED = "03_primary"
"""Folder of the data folder that remembers the digests of raw files, in ``checked.json``: a note and no promise."""
SAMPLES = ("train_samples", "test_samples")
"""The products in memory, or a sample of them."""
SHOWN = 6
"""Names that a message lists; the others are counted."""


@dataclass(frozen=True)
class Output:
    """What a node saves, with a record.

    Attributes:
        dataset: of the catalog.
        origins: what its node reads.
        way: all parameters and raw files on the way to it in this pipeline.
        before: those that led to the outputs of other runs that this pipeline begins with, as their records say.
        is_traced: whether all of these have a record, so that what is on neither of both is not on the way.
        is_trained: whether its node makes a model.
    """

    dataset: RecordedOutput
    origins: Origins
    way: Facts
    before: Facts
    is_traced: bool
    is_trained: bool


def remembered_digests(data: Path) -> CheckRecord:
    """The digests of raw files that a data folder remembers.

    Raises:
        StorageError: if it cannot be written into.
    """
    folder = data / REMEMBERED
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)  # or no path begins there
    return CheckRecord(folder)


def outputs_of(pipeline: Pipeline, catalog: Catalog, digests: CheckRecord) -> dict[str, Output]:
    """The outputs of a pipeline that have records, by name, in the order in which they are made.

    What is passed on in memory, or kept in a dataset without a record, is looked through: who reads it is made from what
    that is made from.
    """
    facts = _facts_of_inputs(pipeline, catalog, digests)
    records = _records_of_inputs(pipeline, catalog)
    begins_with = {name: found for name, found in records.items() if found is not None}
    is_traced = len(begins_with) == len(records)
    recorded: dict[str, Output] = {}
    passed: dict[str, tuple[Origins, Facts, Facts]] = {}
    for node in pipeline.nodes:
        reads = [name for name in node.inputs if name in facts]
        through = [passed[name] for name in node.inputs if name in passed]
        saved: dict[str, RecordedOutput] = {
            name: dataset for name in node.inputs if isinstance(dataset := catalog.get(name), RecordedOutput)
        }
        own = merged(
            *({products_of(name): facts[name]} for name in reads),
            _bound(node),
            *(origins.own for origins, *_ in through),
        )
        for origins, *_ in through:
            saved |= origins.inputs
        origins = Origins(own, saved)
        made_here = [recorded[name] for name in node.inputs if name in recorded]
        way = merged(own, *(way for _, way, _ in through), *(one.way for one in made_here))
        before = merged(
            *(begins_with[name] for name in node.inputs if name in begins_with),
            *(before for *_, before in through),
            *(one.before for one in made_here),
        )
        made = {name: catalog.get(name) for name in node.outputs}
        is_trained = any(isinstance(dataset, RecordedOutput) and dataset.is_model for dataset in made.values())
        for name, dataset in made.items():
            if isinstance(dataset, RecordedOutput):
                recorded[name] = Output(dataset, origins, way, before, is_traced, is_trained)
            else:
                passed[name] = (origins, way, before)
    return recorded


class Cause(NamedTuple):
    """Why an output counts as missing.

    Attributes:
        text: in words.
        spares_models: whether models that follow from it are kept all the same.
    """

    text: str
    spares_models: bool = False


def mark_stale(outputs: Mapping[str, Output], catalog: Catalog) -> None:
    """Let outputs count as missing that are no longer made from what they were made from, and say which and why.

    Args:
        outputs: by name, in the order in which they are made.
        catalog: that has them.
    """
    causes_of: dict[str, list[Cause]] = {}
    records = {name: output.dataset.made_from() for name, output in outputs.items()}
    known = merged(*(record for record in records.values() if record is not None))
    now = merged(*(facts for output in outputs.values() for facts in (output.way, output.before)))
    products = _most_products(catalog) if ROWS_IN_MEMORY in {**known, **now} else None
    raw, unknown = raw_files(merged(*(output.way for output in outputs.values()))), []
    for name, output in outputs.items():
        causes = [cause for origin in output.origins.inputs for cause in causes_of.get(origin, [])]
        if (record := records[name]) is not None:
            causes += [Cause(text) for text in _changes(output, record, raw, products)]
        causes += changed_origins(output)
        causes = [cause for cause in dict.fromkeys(causes) if not (output.is_trained and cause.spares_models)]
        output.dataset.is_stale = bool(causes)
        if causes:
            causes_of[name] = causes
        elif (record is None or not_known(known, output.way)) and catalog.exists(name):
            # What only some records know led to these alone, with or without partitions; what none knows is of a later release.
            unknown.append(name)
    for cause in dict.fromkeys(cause for causes in causes_of.values() for cause in causes):
        names = [name for name, causes in causes_of.items() if cause in causes]
        logger.warning("%s: %s made again", cause.text, _listed(names, "is", "are"))
    say_unrecorded(unknown)


def _changes(output: Output, record: Facts, raw: Facts, products: int | None) -> list[str]:
    """What an output was made from that is another now, in words.

    Args:
        output: with a record.
        record: what it was made from.
        raw: all raw files of this run. Without partitions, fewer of them may be on the way to an output than with partitions.
        products: as of ``without_limits``.
    """
    record, way, before = (without_limits(facts, products) for facts in (record, output.way, output.before))
    now = merged(way, before)
    return [
        *differences(record, merged(way, raw)),
        *newer(record, before),
        *other_sources(record, now, is_whole=output.is_traced),
        *other_limit(record, now, is_whole=output.is_traced),
        *(f"{name} is not there" for name, origin in output.origins.inputs.items() if origin.lacks_prices),
    ]


def _most_products(catalog: Catalog) -> int | None:
    """How many labelled products there are, or to be predicted if these are more; None where no sample table says so."""
    there = [name for name in SAMPLES if is_kept(name, catalog)]
    return max((rows_of_whole(catalog.load(name)) for name in there), default=None)


def changed_origins(output: Output) -> list[Cause]:
    """What has become of the outputs that an output was made from; nothing where its record names none.

    Models are kept where these are gone: made again from the same parameters and raw files, they are the same.
    """
    recorded = output.dataset.origin_digests()
    causes = []
    for name, origin in output.origins.inputs.items() if recorded else ():
        file = origin.origin_file
        if file is None:
            continue
        digest = recorded.get(file.resolve())
        if digest is None:
            causes.append(Cause(f"{name} is one of the inputs now"))
        elif (found := fate(file, digest)) is Fate.REPLACED:
            causes.append(Cause(f"{name} has changed"))
        elif found is Fate.GONE:
            causes.append(Cause(f"{name} is gone or damaged", spares_models=True))
    return causes


def count_stale_as_missing(pipeline: Pipeline, outputs: Mapping[str, Output], catalog: Catalog) -> None:
    """What ``--only-missing-outputs`` makes again though it is there, and why; and what it keeps though nothing is known of it.

    Args:
        pipeline: that is to run.
        outputs: of it, as ``outputs_of`` gives them.
        catalog: that has them.
    """
    mark_stale(outputs, catalog)
    say_without_digest([name for name, output in outputs.items() if output.dataset.lacks_its_digest])
    say_unrecorded([name for name in pipeline.all_outputs() - outputs.keys() if is_kept(name, catalog)])


def say_unrecorded(names: Sequence[str]) -> None:
    """Warn of outputs that are kept though nothing is known of what they were made from."""
    if names:
        logger.warning(
            "%s kept, though nothing says which parameters and raw files they were made from: by an earlier release, by "
            "hand, or in a dataset without a record. If any has changed since, run without --only-missing-outputs.",
            _listed(sorted(names), "is", "are"),
        )


def say_without_digest(names: Sequence[str]) -> None:
    """Warn of files that count as missing, as their digests are not there."""
    if names:
        logger.warning(
            "%s there without the hidden file .<name>.sha256 that vouches for an output: counted as missing, and made again. Some "
            "copies and artifact stores leave hidden files behind; bring them along to keep what is there.",
            _listed(sorted(names), "is", "are"),
        )


def _facts_of_inputs(pipeline: Pipeline, catalog: Catalog, digests: CheckRecord) -> Facts:
    """Values of parameters, and what is known of raw datasets, by name."""
    found: dict[str, tuple[Any, ...]] = {}
    for name in sorted(pipeline.inputs()):
        if name.startswith(PARAMETERS) or name == "parameters":
            value = catalog.load(name)
            if name not in ELSEWHERE and not isinstance(value, Path):  # the project may be moved
                found[name] = (_plain(value),)
        elif (raw := raw_facts(catalog.get(name), digests)) is not None:
            found[name] = (raw,)
    return found


def _records_of_inputs(pipeline: Pipeline, catalog: Catalog) -> dict[str, Facts | None]:
    """What the outputs of other runs that the pipeline reads were made from, by name; None of those without a record."""
    datasets = {name: catalog.get(name) for name in sorted(pipeline.inputs())}
    return {name: one.made_from() for name, one in datasets.items() if isinstance(one, RecordedOutput)}


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


def is_kept(name: str, catalog: Catalog) -> bool:
    """Whether an output is there that outlasts the run."""
    return name in catalog and not isinstance(catalog.get(name), MemoryDataset) and catalog.exists(name)


def _listed(names: Sequence[str], one: str, several: str) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more} {one if len(names) == 1 else several}"
