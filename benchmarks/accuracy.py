"""How accurate each model is on real products that nothing of it has seen.

    PRICE_FUSION_RAW=<folder of the real products> kedro run --env amazon_subset --pipelines ingest
    python benchmarks/accuracy.py
    python benchmarks/accuracy.py --models variants --seeds 5
    python benchmarks/accuracy.py --models RealMLP TabM --outer-folds 0
    kedro run --pipelines fabricate && kedro run --pipelines ingest
    python benchmarks/accuracy.py --environment base --data data --models median ridge --output <folder>

The labelled products are dealt to five outer folds. The rows of each are predicted by models that were fitted, stopped and
blended on the other four alone. What is predicted is kept in <data>/benchmarks/accuracy and not done again, unless the data
or the settings are others; the JSON is of all that is there. Processes may run side by side, but not the two ensembles of
one outer fold: they share models.

RealMLP and TabM are pytabkit's: pip install pytabkit.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence

from accuracy_records import jobs_of, train_what_is_missing
from accuracy_tables import fill
from bench import VARIANTS, add_bench_arguments, opened_bench
from common import console, parse_arguments, start
from contenders import FAMILIES, PACKAGES, Model, known_models
from outer_folds import OUTER_FOLDS

SMOKE = {
    "models": ["median", "ridge", "variants", "reference", "ensemble_quick"],
    "variants": ["two_branch", "moe"],
    "outer_folds": [0, 1],
    "seeds": 2,
    "epochs": 1,
}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=FAMILIES, default=list(FAMILIES), metavar="MODEL")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="VARIANT")
    parser.add_argument("--outer-folds", nargs="+", type=int, choices=range(OUTER_FOLDS), default=range(OUTER_FOLDS))
    parser.add_argument("--seeds", type=int, default=1, help="models of each variant and fold")
    parser.add_argument("--name", default="accuracy", help="of the JSON")
    parser.add_argument("--title", default="Accuracy", help="of the section")
    parser.add_argument("--report-only", action="store_true", help="train nothing, write the JSON of what is there")
    add_bench_arguments(parser)
    return parse_arguments(parser, SMOKE)


def wanted_models(models: Sequence[Model], options: argparse.Namespace) -> list[Model]:
    """The models that the options name, less those whose package is not installed."""
    variants = {name for chosen in options.variants for name in (chosen, f"reference {chosen}")}
    chosen = [model for model in models if model.family in options.models]
    chosen = [model for model in chosen if model.family not in ("variants", "reference") or model.name in variants]
    for model in chosen:
        if not model.is_available:
            console.print(f"{model.name} is left out: {PACKAGES[model.family]} is not installed", style="yellow")
    return [model for model in chosen if model.is_available]


def show_progress_of_ensembles() -> None:
    """A line per fold model."""
    logging.basicConfig(format="  %(message)s")
    logging.getLogger("price_fusion.selection.cross_validation").setLevel(logging.INFO)


def main() -> None:
    options = parse()
    start("accuracy")
    show_progress_of_ensembles()
    with opened_bench(options, "accuracy", options.title) as (bench, section):
        section.name = options.name
        if not options.report_only:
            models = wanted_models(known_models(bench, options.seeds), options)
            train_what_is_missing(bench, jobs_of(bench, models, options.outer_folds))
        fill(section, bench, known_models(bench, max(options.seeds, 5)))
        section.finish(options)


if __name__ == "__main__":
    main()
