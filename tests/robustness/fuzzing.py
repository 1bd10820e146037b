"""Random valid configurations on random small inputs: do they run, or are they refused by name?

    python -m tests.robustness.fuzzing --count 1000

Each example is a whole project: its parameters are checked as those of ``conf/`` are, and Kedro's runner takes it through the
real pipelines and catalog, from raw files to a submission. Right is a run whose prices and figures are sound, or one of our
own errors that names a parameter, file, dataset or id. The tests run the same on a small sample.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import math
import os
import re
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any
from unittest.mock import patch

import numpy as np
from benchmarks.common import REPOSITORY, Column, Goal, ResultTable, Section, parse_arguments, scratch_folder, start
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as hypothesis_seed
from hypothesis import strategies as st
from kedro.framework.context import KedroContext
from kedro.framework.hooks.manager import _create_hook_manager, _register_hooks
from kedro.io import CatalogProtocol, DatasetError
from kedro.pipeline import Pipeline
from kedro.runner import SequentialRunner
from kedro.validation.parameter_validator import ParameterValidator

from price_fusion.command_options import CommandOptions
from price_fusion.console.errors import own_error
from price_fusion.data.products import read_products
from price_fusion.errors import ParameterError, PriceFusionError
from price_fusion.hooks.input_report import InputReportHooks
from price_fusion.hooks.node_log import NodeLogHooks
from price_fusion.hooks.summary import SummaryHooks
from price_fusion.metrics.intervals import interval_columns
from price_fusion.parameters import ProjectParameters, VariantParameters, parse_project_parameters
from price_fusion.pipeline_registry import build_pipelines
from price_fusion.runs.journal import JOURNAL, Journal
from price_fusion.runs.project_facts import ProjectFacts
from price_fusion.settings import CONFIG_LOADER_ARGS, CONFIG_LOADER_CLASS

from .random_parameters import EXTRAS, Spoilt, projects, spoilt_projects
from .random_products import inputs, write_inputs

Raw = dict[str, Any]

RAN = "ran"
REFUSED = "refused"
WRONG = "wrong"
BETWEEN = 4
"""One of so many examples is taken: those that hypothesis draws next to each other are often variations of one."""
HOME = "/nowhere"
"""Stands for an example's folder in the catalog, which is read once."""


@dataclass(frozen=True)
class Example:
    """A whole project."""

    raw: Raw
    drawn: Raw
    """What its inputs are like."""
    extra: str | None
    """A pipeline beside that of the first variant."""


@dataclass(frozen=True)
class Outcome:
    """What became of an example."""

    kind: str
    """``ran``, ``refused`` or ``wrong``."""
    error: str
    """Class of the error; empty if there is none."""
    said: str
    """The message's first lines, or what is wrong with the results."""
    details: str = ""
    """The traceback, where something is wrong."""

    @property
    def label(self) -> str:
        """What it is counted as."""
        return f"{self.kind}: {self.error}" if self.error else self.kind


def examples() -> st.SearchStrategy[Example]:
    """Random projects."""
    extras = st.sampled_from([None] * 4 + list(EXTRAS))
    return projects().flatmap(
        lambda raw: st.tuples(inputs(raw), extras).map(lambda drawn: Example(raw, drawn[0], drawn[1]))
    )


# --- running --------------------------------------------------------------------------------------------------------


class _Context(KedroContext):  # type: ignore[misc]
    """A context whose parameters are those of given pipelines, whatever project is configured in this process."""

    pipelines: Mapping[str, Pipeline]

    @property
    def params(self) -> Raw:
        """Parameters as the nodes' annotations want them."""
        validated: Raw = ParameterValidator(dict(self.pipelines)).validate_raw_params(self.config_loader["parameters"])
        return validated


@cache
def _catalog_text() -> str:
    """The catalog of ``conf/base`` as JSON, in a folder of no example."""
    loader = CONFIG_LOADER_CLASS(conf_source=str(REPOSITORY / "conf"), env="base", **CONFIG_LOADER_ARGS)
    folders = {"raw": f"{HOME}/raw", "data": f"{HOME}/data", "partitions": f"{HOME}/partitions"}
    loader["globals"] = {**loader["globals"], **folders, "seed": 0}
    return json.dumps(loader["catalog"])


def _catalog(folder: Path, entries: Raw) -> Raw:
    catalog: Raw = json.loads(_catalog_text().replace(HOME, str(folder)))
    own = {name: entry for name, entry in catalog.items() if not name.endswith("_embeddings")}
    for part in ("train", "test"):
        own[f"{part}_products"]["filepath"] = str(folder / f"raw/{part}.csv")
    return own | entries


def run(example: Example, folder: Path) -> tuple[ProjectParameters, CatalogProtocol[Any, Any]]:
    """Run an example in an empty folder, as ``kedro run`` does.

    Returns:
        its parameters, and the catalog with all results.
    """
    parameters = parse_project_parameters(example.raw)
    (folder / "raw").mkdir()
    entries = write_inputs(folder / "raw", example.raw, example.drawn)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="One or more dataset names contain '.'")
        pipelines = build_pipelines(parameters)
        pipeline = sum((pipelines[name] for name in _names(example, pipelines)), Pipeline([]))
    manager = _create_hook_manager()
    _register_hooks(manager, (NodeLogHooks(), SummaryHooks(), InputReportHooks()))
    config: Raw = {"catalog": _catalog(folder, entries), "parameters": example.raw, "credentials": {}}
    context = _Context(folder, config, "base", "price_fusion", manager)
    context.pipelines = {"run": pipeline}
    catalog = context.catalog
    for name, path in ProjectFacts(folder, folder / "data", example.raw, parameters).folders.items():
        catalog[name] = path
    catalog["params:command_options"] = CommandOptions()
    catalog[JOURNAL] = Journal(folder / "nodes.jsonl")
    about: Raw = {"run_params": {"project_path": str(folder)}, "pipeline": pipeline, "catalog": catalog}
    manager.hook.before_pipeline_run(**about)
    try:
        results = SequentialRunner().run(pipeline, catalog, manager)
    except Exception as error:
        manager.hook.on_pipeline_error(error=error, **about)
        raise
    manager.hook.after_pipeline_run(run_result=results, **about)
    return parameters, catalog


def _names(example: Example, pipelines: Mapping[str, Pipeline]) -> list[str]:
    first = example.raw["variants"][0]
    extras = {
        "cross_validate": [f"cross_validate_{first}"],
        "ablate": [f"ablate_{first}"],
        "leak_effect": ["check_leaks", f"leak_effect_{first}"],
    }
    extra = [] if example.extra is None else extras.get(example.extra, [example.extra])
    return [first, *(name for name in extra if name in pipelines)]


def outcome_of(example: Example, folder: Path) -> Outcome:
    """Run an example in an empty folder, and judge what becomes of it."""
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("error")
            # Kedro asks instances of parameter models for their fields.
            warnings.filterwarnings("ignore", message="Accessing the 'model_fields' attribute on the instance")
            parameters, catalog = run(example, folder)
            problems = list(faults(example, parameters, catalog))
    except Exception as error:
        return _judged(error, example, folder)
    return Outcome(WRONG, "results", "; ".join(problems)) if problems else Outcome(RAN, "", example.extra or "")


def _judged(error: Exception, example: Example, folder: Path) -> Outcome:
    own = error if isinstance(error, PriceFusionError) else None
    if isinstance(error, DatasetError):
        own = own_error(error)
    trace = "".join(traceback.format_exception(error))
    if own is None:
        return Outcome(WRONG, type(error).__name__, str(error)[:300], trace)
    said = str(own).replace(f"{folder}/", "")
    if not names_something(str(own), example, folder):
        return Outcome(WRONG, f"{type(own).__name__} that names nothing", said[:300], trace)
    return Outcome(REFUSED, type(own).__name__.replace("DatasetFileError", "DataError"), said[:300])


def names_something(message: str, example: Example, folder: Path) -> bool:
    """Whether a message names a file, a parameter, a dataset or an id."""
    if str(folder) in message:
        return True
    words = {word.strip(".") for word in re.findall(r"[\w.]+", message)}
    raw = example.raw
    names = {*raw["sources"], *raw["variants"], "train_products", "test_products"}
    names |= {f"sources.{name}" for name in raw["sources"]}
    return bool(words & (names | _paths(raw) | _declared()))


def _paths(value: Any, path: str = "") -> set[str]:
    """Dotted paths of all fields, and their ends of at least two words; single words are too common."""
    if not isinstance(value, Mapping):
        words = path.split(".")
        return {".".join(words[start:]) for start in range(max(1, len(words) - 1))}
    return {found for name, inner in value.items() for found in _paths(inner, f"{path}.{name}" if path else str(name))}


@cache
def _declared() -> set[str]:
    """``section.field`` of all sections, those of variants included."""
    sections = {name: field.annotation for name, field in ProjectParameters.model_fields.items()}
    sections |= {name: field.annotation for name, field in VariantParameters.model_fields.items()}
    return {f"{name}.{field}" for name, of in sections.items() for field in getattr(of, "model_fields", {})}


# --- results --------------------------------------------------------------------------------------------------------


def faults(example: Example, parameters: ProjectParameters, catalog: CatalogProtocol[Any, Any]) -> Iterator[str]:
    """What is wrong with the results of a run."""
    first = parameters.variants[0]
    yield from _price_faults(first, parameters, catalog)
    yield from _not_finite(catalog.load(f"{first}.metrics"), f"{first}.metrics")
    yield from _not_finite(catalog.load(f"{first}.history"), f"{first}.history")
    if example.extra == "ensemble" and parameters.has_ensemble:
        yield from _price_faults("ensemble", parameters, catalog)
        yield from _not_finite(catalog.load("ensemble.metrics"), "ensemble.metrics")
    if example.extra == "cross_validate":
        yield from _not_finite(catalog.load(f"{first}.out_of_fold_metrics"), f"{first}.out_of_fold_metrics")
    if example.extra == "compare":
        yield from _not_finite(catalog.load("leaderboard_json"), "leaderboard_json")


def _price_faults(model: str, parameters: ProjectParameters, catalog: CatalogProtocol[Any, Any]) -> Iterator[str]:
    wanted = read_products(Path(catalog.get("test_products")._filepath), labelled=False)["sample_id"]
    for name in ("predictions", "price_intervals"):
        frame = catalog.load(f"{model}.{name}")
        if list(map(str, frame["sample_id"])) != _as_read(wanted):
            yield f"{model}.{name} has other ids, or another order, than test.csv"
        prices = frame["price"].to_numpy(np.float64)
        if not (np.isfinite(prices).all() and (prices > 0).all()):
            yield f"{model}.{name} has prices {prices[:5]}"
    for low, high in interval_columns(parameters.intervals.levels):
        if low not in frame:
            continue
        bounds = frame[[low, high]].to_numpy(np.float64)
        if not (np.isfinite(bounds).all() and (bounds > 0).all() and (bounds[:, 0] <= bounds[:, 1]).all()):
            yield f"{model}.price_intervals has bounds {bounds[:5].tolist()}"


def _as_read(ids: Any) -> list[str]:
    """Ids as they are after a CSV file: whole numbers lose their leading zeros there."""
    return [str(one) for one in ids]


def _not_finite(value: Any, path: str) -> Iterator[str]:
    """What is NaN or infinite in nested containers. ``None`` says that there is none; as does NaN, of R2 of equal prices."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _not_finite(inner, f"{path}.{name}")
    elif isinstance(value, list | tuple):
        for place, inner in enumerate(value):
            yield from _not_finite(inner, f"{path}.{place}")
    elif isinstance(value, float) and not math.isfinite(value) and not path.endswith(".r2"):
        yield f"{path} is {value}"


# --- mistakes in parameters -----------------------------------------------------------------------------------------


def fault_of_refusal(spoilt: Spoilt) -> str | None:
    """What is wrong with how a mistake in the parameters is refused."""
    try:
        parse_project_parameters(spoilt.raw)
    except ParameterError as error:
        return None if spoilt.path in str(error) else f"{spoilt.kind} of {spoilt.path} is not named: {error}"
    except Exception as error:
        return f"{spoilt.kind} of {spoilt.path}: {type(error).__name__}: {error}"
    return f"{spoilt.kind} of {spoilt.path} is accepted"


# --- the long form --------------------------------------------------------------------------------------------------


def drawn(strategy: st.SearchStrategy[Any], count: int, number: int) -> list[Any]:
    """So many examples of a strategy at a seed, without hypothesis' own judgement of them."""
    found: list[Any] = []

    @hypothesis_seed(number)
    @settings(
        max_examples=count * BETWEEN,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(one: Any) -> None:
        found.append(one)

    collect()
    return found[BETWEEN - 1 :: BETWEEN]


def outcomes(count: int, number: int, scratch: Path) -> Iterator[tuple[Example, Outcome]]:
    """So many random examples, and what becomes of each.

    Args:
        count: how many.
        number: seed.
        scratch: where temporary folders go.
    """
    for example in drawn(examples(), count, number):
        with TemporaryDirectory(dir=scratch) as folder:
            yield example, outcome_of(example, Path(folder))


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1_000, help="configurations that are run")
    parser.add_argument("--spoilt", type=int, default=1_000, help="configurations with a mistake")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tracebacks", type=Path, help="file for what is wrong, with its examples")
    options = parse_arguments(parser, {"count": 10, "spoilt": 50})
    start("Random configurations on random small inputs")
    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    began = perf_counter()
    # What is measured is not whether disks keep their promises.
    with scratch_folder(options) as scratch, patch.object(os, "fsync", lambda _descriptor: None):
        results = list(_noted(outcomes(options.count, options.seed, Path(scratch)), options.tracebacks))
    seconds = perf_counter() - began
    refusals = [fault_of_refusal(one) for one in drawn(spoilt_projects(), options.spoilt, options.seed)]
    unnamed = [fault for fault in refusals if fault]
    wrong = sum(outcome.kind == WRONG for _, outcome in results)
    Section(
        "fuzzing",
        "Random configurations on random small inputs",
        f"{len(results):,} projects of 12 to 80 labelled products, drawn at seed {options.seed}",
        tables=[_table([outcome for _, outcome in results]), _refusal_table(len(refusals), unnamed)],
        goals=[
            Goal("configurations that neither run nor are refused by name", 0, wrong, "of all", at_least=False),
            Goal("mistakes in parameters that are not refused by name", 0, len(unnamed), "of all", at_least=False),
        ],
        values={
            "configurations": len(results),
            "ran": sum(outcome.kind == RAN for _, outcome in results),
            "refused": sum(outcome.kind == REFUSED for _, outcome in results),
            "wrong": wrong,
            "seconds": seconds,
            "spoilt": len(refusals),
        },
    ).finish(options)


def _noted(results: Iterator[tuple[Example, Outcome]], path: Path | None) -> Iterator[tuple[Example, Outcome]]:
    """Write what is wrong to a file as it comes."""
    for example, outcome in results:
        if path is not None and outcome.kind != RAN:
            with path.open("a", encoding="utf-8") as file:
                file.write(f"{outcome.label}: {outcome.said}\n{outcome.details}\n{example!r}\n\n")
        yield example, outcome


def _table(results: Sequence[Outcome]) -> ResultTable:
    count = Counter(outcome.label for outcome in results)
    said = {outcome.label: outcome.said for outcome in reversed(results)}
    rows = [
        {"outcome": label, "count": found, "example": "" if label == RAN else said[label].split("\n")[0][:160]}
        for label, found in count.most_common()
    ]
    columns = [Column("outcome", "outcome"), Column("count", "count", ",d"), Column("example", "an example says")]
    return ResultTable("Outcomes of runs", columns, rows)


def _refusal_table(count: int, unnamed: Sequence[str]) -> ResultTable:
    rows = [{"outcome": "refused by name", "count": count - len(unnamed)}, {"outcome": "not", "count": len(unnamed)}]
    columns = [Column("outcome", "outcome"), Column("count", "count", ",d")]
    return ResultTable("One mistake in the parameters", columns, rows, [fault[:200] for fault in unnamed[:5]])


if __name__ == "__main__":
    main()
    sys.exit()
