"""Which choices of composition and training help: each change cross-validated on the real products, paired with the defaults.

    PRICE_FUSION_RAW=<folder of the real products> kedro run --env amazon_subset --pipelines split
    python benchmarks/choices.py --seeds 2

The changes are those of benchmarks/choices.yml. Judged on out-of-fold predictions of the rows that are not holdout, by
single models: five folds times ``--seeds`` fits each, the same folds and seeds for all. What the JSON already has is not
trained again unless the defaults, the change, the folds or the number of seeds are others.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from common import REPOSITORY, Column, ResultTable, Section, console, parse_arguments, read_yaml, scratch_folder, start
from price_fusion.data.table import EmbeddingTable
from price_fusion.metrics.bootstrap import paired_difference
from price_fusion.metrics.price_metrics import smape_per_product
from price_fusion.models.folds import FoldFolder
from price_fusion.parameters import VariantParameters
from price_fusion.selection.cross_validation import LabelledData, cross_validate_variant, out_of_fold
from price_fusion.storage.fingerprint import frame_fingerprint

DATA = REPOSITORY / "data/amazon_subset"
CHANGES = REPOSITORY / "benchmarks/choices.yml"
DEFAULTS = "defaults"
COLUMNS = [
    Column("variant", "variant", ""),
    Column("change", "change of the defaults", ""),
    Column("smape", "SMAPE of single models, %", ".2f"),
    Column("difference", "against the defaults, points", "+.2f"),
    Column("low", "low", "+.2f"),
    Column("high", "high", "+.2f"),
    Column("seconds", "training, s", ".0f"),
]

Record = dict[str, Any]


def changed(variant: str, change: dict[str, Any]) -> VariantParameters:
    """A variant of ``amazon_subset`` with some fields otherwise; keys are dotted paths."""
    own = yaml.safe_load((REPOSITORY / "conf/amazon_subset/parameters.yml").read_text(encoding="utf-8"))
    section = copy.deepcopy(read_yaml("training/parameters.yml")[variant] | own[variant])
    for path, value in change.items():
        part: Any = section
        *parents, last = path.split(".")
        for name in parents:
            part = part[name]
        part[last] = value
    return VariantParameters.model_validate(section)


def measure(variant: VariantParameters, name: str, samples: pd.DataFrame, split: pd.DataFrame, seeds: int) -> Record:
    """SMAPE of each product, averaged over the seeds' single models, and the seconds of all trainings."""
    tables = {source: EmbeddingTable(DATA / "03_primary/tables" / source / "train") for source in variant.sources}
    labelled = LabelledData(samples, split, tables)
    with scratch_folder(argparse.Namespace(scratch=None)) as folder:
        models = cross_validate_variant(variant, labelled, FoldFolder(name, Path(folder)), seeds=seeds, seed=1)
        predictions = out_of_fold(models, labelled)
    price = predictions["price"].to_numpy()
    singles = [smape_per_product(predictions[f"seed_{seed}"].to_numpy(), price) for seed in range(1, seeds + 1)]
    return {"smape": np.mean(singles, axis=0).tolist(), "seconds": models.seconds}


def cached(key: str, folder: Path, make: Any) -> Record:
    """A record from disk, or made and kept there: per-product figures stay out of the repository."""
    path = folder / f"{key}.json"
    if not path.exists():
        record = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".partial").write_text(json.dumps(record), encoding="utf-8")
        path.with_suffix(".partial").replace(path)
    found: Record = json.loads(path.read_text(encoding="utf-8"))
    return found


def row(variant: str, label: str, record: Record, base: Record, groups: Any) -> dict[str, Any]:
    """One line of the table."""
    smape = np.asarray(record["smape"])
    line = {"variant": variant, "change": label, "smape": float(smape.mean()), "seconds": record["seconds"]}
    if label == DEFAULTS:
        return line
    found = paired_difference(smape, np.asarray(base["smape"]), groups)
    return line | {"difference": found.mean, "low": found.low, "high": found.high}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1, help="models per fold")
    parser.add_argument("--variants", nargs="*", help="of choices.yml (default: all)")
    options = parse_arguments(parser, {})
    logging.getLogger("price_fusion").setLevel(logging.WARNING)
    start("choices")
    samples = pd.read_parquet(DATA / "03_primary/train_samples.parquet")
    split = pd.read_parquet(DATA / "05_model_input/split_table.parquet")
    judged = (split["fold"] >= 0).to_numpy()
    section = Section(
        "choices",
        "Choices of composition and training",
        f"{judged.sum():,} labelled real products of amazon_subset that are not holdout, out of fold, 5 folds, "
        f"{options.seeds} seed(s) each",
    )
    lines = []
    for variant, changes in yaml.safe_load(CHANGES.read_text(encoding="utf-8")).items():
        if options.variants and variant not in options.variants:
            continue
        base: Record = {}
        for label, change in {DEFAULTS: {}, **changes}.items():
            parameters = changed(variant, change)
            told = [parameters.model_dump_json(), str(options.seeds), frame_fingerprint(split)]
            key = hashlib.sha256("|".join(told).encode()).hexdigest()[:16]
            record = cached(
                key,
                DATA / "benchmarks/choices",
                lambda chosen=parameters, name=variant: measure(chosen, name, samples, split, options.seeds),
            )
            base = base or record
            lines.append(row(variant, label, record, base, samples["group_key"].to_numpy()[judged]))
            console.print(lines[-1], highlight=False)
    notes = ["differences with 95 % bootstrap intervals over groups of products; below 0 the change is better"]
    section.tables.append(ResultTable("Changes", COLUMNS, lines, notes))
    section.finish(options)


if __name__ == "__main__":
    main()
