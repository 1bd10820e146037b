"""The command that makes what a run lacks."""

from __future__ import annotations

from pathlib import Path

import pytest
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from kedro_datasets.json import JSONDataset

from price_fusion.runs.missing_inputs import how_to_make


def node(inputs: list[str] | str, outputs: list[str] | str) -> Node:
    return Node(lambda *_: None, inputs, outputs, name=f"make_{'_'.join(outputs)}")


SPLIT = Pipeline([node("raw", "split")])
TRAIN = SPLIT + Pipeline([node("split", ["chosen", "model"])])
TEST = Pipeline([node("raw", "test")])
PIPELINES = {"all": TRAIN + TEST, "train": TRAIN, "split": SPLIT, "ingest": TEST}
PREDICT = Pipeline([node(["raw", "split", "chosen", "model", "test"], "prices")])


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (["raw", "split", "test"], "Missing: chosen, model. Run first: kedro run --pipelines train"),
        (["raw", "test"], "Missing: chosen, model, split. Run first: kedro run --pipelines train"),
        (["raw", "chosen", "model", "test"], "Missing: split. Run first: kedro run --pipelines split"),
        (["raw", "chosen", "model"], "Missing: split, test. Run first: kedro run --pipelines all"),
        (["split", "chosen", "model", "test"], ""),
        (["raw", "split", "chosen", "model", "test"], ""),
    ],
)
def test_the_smallest_pipeline_that_makes_everything(there: list[str], expected: str, tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.json" for name in PREDICT.inputs()}
    for name in there:
        files[name].write_text("1")
    catalog = DataCatalog({name: JSONDataset(filepath=str(path)) for name, path in files.items()})
    assert how_to_make(PREDICT, catalog, PIPELINES, None) == expected
    with_env = expected.replace("kedro run", "kedro run --env shop")
    assert how_to_make(PREDICT, catalog, PIPELINES, "shop") == with_env
