"""Outputs of an earlier model than the one that is there: no run may join the two.

An evaluation, and whatever was made from it, has the digest of its model in its record. Where the model has been trained again
since, a report would describe the one and give the figures of the other. This is the one place that refuses it: at the start of
a run for all that it reads, and before each node for what the run itself has replaced.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from kedro.pipeline import Pipeline

from price_fusion.console.commands import shown_path
from price_fusion.datasets.checkpoint import is_model_file
from price_fusion.datasets.recorded import RecordedOutput
from price_fusion.datasets.sidecar import Fate, Sidecar, fate
from price_fusion.errors import ComparisonError, few
from price_fusion.runs.journal import Catalog
from price_fusion.runs.missing_inputs import pipelines_making
from price_fusion.storage.digests import SHOWN, digest_of


class Replaced(NamedTuple):
    """A file that another was made from, and that has been replaced since.

    Attributes:
        file: where it is.
        was: sha256 of the one that the other was made from.
    """

    file: Path
    was: str


def refuse_stale_inputs(names: Iterable[str], catalog: Catalog, pipelines: Mapping[str, Pipeline]) -> None:
    """Refuse outputs of another model than the one that is there, or made from such outputs.

    Args:
        names: of the datasets that are to be read.
        catalog: that has them.
        pipelines: of the project, by name: one of them makes what is stale again.

    Raises:
        ComparisonError: naming the outputs, both models by their digests, and the command to run first.
    """
    stale: dict[Replaced, list[str]] = {}
    for name in sorted(names):
        dataset = catalog.get(name)
        # A model is stale by another rule: it may predict after its split has gone, and a final fit says itself what it repeats.
        if isinstance(dataset, RecordedOutput) and not dataset.is_model:
            found = replaced_model(dataset.origin_digests())
            if found is not None:
                stale.setdefault(found, []).append(name)
    if not stale:
        return
    said = "; ".join(
        f"{few(names)} {'is' if len(names) == 1 else 'are'} of {shown_path(one.file)} with sha256 {one.was[:SHOWN]}, and there is "
        f"another now, {digest_of(one.file)[:SHOWN]}"
        for one, names in stale.items()
    )
    again = {name for names in stale.values() for name in names}
    raise ComparisonError(
        f"{said}. What is made from both would give the figures of one model for those of another. {_how(again, catalog, pipelines)}"
    )


def replaced_model(origins: Mapping[Path, str]) -> Replaced | None:
    """The model on the way to an output that has been replaced, or what was made from it; None: all are still there, or gone.

    Only that way is followed: a sample table, which is made again with each run, is no reason to evaluate a model again, and a
    new split is one to train it (``roles.rows_to_report``).

    Args:
        origins: digests of the files that the output was made from, by their paths.
    """
    for file, digest in origins.items():
        if not _is_of_a_model(file):
            continue
        if fate(file, digest) is Fate.REPLACED:
            return Replaced(file, digest)
        if not is_model_file(file) and (further := replaced_model(Sidecar(file).origins())):
            return further
    return None


def _is_of_a_model(file: Path) -> bool:
    return is_model_file(file) or any(map(_is_of_a_model, Sidecar(file).origins()))


def _how(names: set[str], catalog: Catalog, pipelines: Mapping[str, Pipeline]) -> str:
    chosen = pipelines_making(names, names, pipelines)
    if not chosen:
        return "Run the pipeline that makes it first."
    made = {name for one in chosen for name in pipelines[one].all_outputs()}
    trains = any(getattr(catalog.get(name), "is_model", False) for name in made)
    # The model that is there stays, where the pipeline would train it, too.
    return f"Run first: kedro run --pipelines {','.join(chosen)}{' --only-missing-outputs' if trains else ''}"
