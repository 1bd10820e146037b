"""The stage ``leaks``: wiring, and what a run prints of it."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from rich.console import Console

from price_fusion.data.table import EmbeddingTable
from price_fusion.parameters import ComparisonParameters, LeakParameters
from price_fusion.pipelines.leaks import create_effect_pipeline, create_pipeline
from price_fusion.runs.summary import RunSummary

ROWS = 300
COMMON = {"kind": "text", "source": "", "of": "holdout", "among": "train", "rows": 259, "examples": ["4", "7"]}


def catalog(make_table: Callable[..., EmbeddingTable]) -> DataCatalog:
    generator = np.random.default_rng(2)
    ids, new = np.arange(ROWS), np.arange(1_000, 1_010)
    vectors = generator.normal(size=(ROWS + 10, 16)).astype(np.float32)
    vectors[-1] = vectors[3]
    vectors[250:260] = vectors[:10] * 1.002
    split = np.repeat(["train", "validation", "holdout"], [200, 40, 60])
    products = {
        part: pd.DataFrame(
            {"sample_id": names, "catalog_content": names.astype(str), "image_link": (names + 5_000).astype(str)}
        )
        for part, names in (("train", ids), ("test", new))
    }
    samples = products["train"][["sample_id"]].assign(place=ids, price=np.exp(2 + vectors[:ROWS, 0]), group_key=ids)
    split_table = pd.DataFrame(
        {"sample_id": ids, "split": split, "fold": np.where(split == "holdout", -1, ids % 3), "tuned_on": False}
    )
    other = generator.normal(size=(ROWS + 10, 16)).astype(np.float32)
    tables = {
        f"{source}.{part}_table": make_table(names, matrix[rows], source=source, dtype="float32")
        for source, matrix in (("words", vectors), ("sound", other))
        for part, names, rows in (("train", ids, slice(0, ROWS)), ("test", new, slice(ROWS, None)))
    }
    contents: dict[str, Any] = {
        "train_products": products["train"],
        "test_products": products["test"],
        "train_samples": samples,
        "test_samples": products["test"][["sample_id"]],
        "split_table": split_table,
        "params:leaks": LeakParameters(),
        "params:comparison": ComparisonParameters(resamples=100),
        "params:seed": 3,
        "moe.evaluation_results": pd.DataFrame(
            {"sample_id": ids[240:], "smape": np.repeat([50.0, 20.0, 50.0], [10, 10, 40])}
        ),
        **tables,
    }
    return DataCatalog({name: MemoryDataset(data, copy_mode="assign") for name, data in contents.items()})


@pytest.mark.filterwarnings("ignore:One or more dataset names contain")
def test_what_is_found_goes_from_the_tables_to_the_effect_on_smape(
    make_table: Callable[..., EmbeddingTable],
) -> None:
    pipeline = create_pipeline(["words", "sound"]) + create_effect_pipeline("moe")
    outputs = SequentialRunner().run(pipeline, catalog(make_table))
    effect = outputs["moe.leak_effect"].load()
    found = effect["by_kind"]["any"]
    assert (effect["smape"], found["products"], found["smape"], found["smape_of_others"]) == (45.0, 10, 20.0, 50.0)
    assert found["raised_points"] == 5.0
    report = outputs["leak_report"].load()
    counted = {
        (overlap["kind"], overlap["source"], overlap["of"]): overlap["products"]
        for overlap in report["overlaps"]
        if overlap["products"]
    }
    assert counted["near embedding", "words", "holdout"] == 10
    assert counted["embedding", "words", "test"] == 1
    assert {source for _, source, _ in counted} == {"words"}
    assert outputs["informed_sources"].load()["rows"] == 240


def printed(**outputs: Mapping[str, Any]) -> str:
    summary, console = RunSummary(), Console(file=io.StringIO(), width=140)
    for name, data in outputs.items():
        summary.add(name.replace("__", "."), data)
    summary.print(console)
    assert isinstance(console.file, io.StringIO)
    return " ".join(console.file.getvalue().split())


def test_a_run_prints_what_was_found_and_no_more() -> None:
    check = {
        "check": "knows what others miss", "source": "words", "effect_points": 9.2, "p_value": 1e-9,
        "where": "association 0.30", "products": 80, "is_suspect": True,
    }  # fmt: skip
    text = printed(
        leak_report={
            "overlaps": [COMMON | {"products": 2}, COMMON | {"kind": "id", "products": 0}], "left_out": {"words": 31},
        },
        informed_sources={"rows": 240, "checks": [check, check | {"source": "sound", "is_suspect": False}]},
    )  # fmt: skip
    assert "1 of 2 comparisons found some; embeddings that are common to many were left out: words 31" in text
    assert "4, 7" in text
    assert "1 of 2 checks on 240 products" in text
    assert "+9.2" in text
    assert "sound" not in text


def test_nothing_is_printed_where_nothing_was_found() -> None:
    clean = {"overlaps": [COMMON | {"products": 0}], "left_out": {"words": 0}}
    assert printed(leak_report=clean, informed_sources={"rows": 9, "checks": []}) == ""


def test_a_run_prints_the_effect() -> None:
    row = {"products": 10, "smape": 20.0, "smape_of_others": 50.0}
    ends = {"raised_points": 5.0, "raised_points_low": 3.1, "raised_points_high": 7.2}
    effect = {
        "split": "holdout", "rows": 60, "smape": 45.0,
        "by_kind": {"any": row | ends, "text": row | dict.fromkeys(ends)},
    }  # fmt: skip
    text = printed(moe__leak_effect=effect)
    assert "Leaks and the SMAPE of moe: 45.00 % on 60 holdout rows" in text
    assert "+5.00 [+3.10, +7.20]" in text
