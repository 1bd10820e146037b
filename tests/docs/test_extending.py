"""What docs/extending.md shows runs as the page says."""

from __future__ import annotations

import re
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline
from kedro.runner import SequentialRunner

from price_fusion import pipelines
from price_fusion.models.estimators import Estimator, fit_estimator, load_estimator, refit_estimator, registry
from price_fusion.models.features import features_from_arrays
from price_fusion.own_pipelines import own_pipelines
from price_fusion.parameters import Source, SourceParameters
from price_fusion.pipelines import evaluation
from support.prices import SAVED

PAGE = Path(__file__).parents[2] / "docs/extending.md"
FILES = dict(re.findall(r"^```\w+\n# (\S+)\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL))
"""Code of the page by the name in its first line."""


def found_pipeline(folder: Path, nodes: str, pipeline: str, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """The pipeline of a folder with such files, as the registry finds it."""
    folder.mkdir()
    (folder / "__init__.py").write_text("from .pipeline import create_pipeline\n")  # as Kedro's template has it
    (folder / "nodes.py").write_text(FILES[nodes])
    (folder / "pipeline.py").write_text(FILES[pipeline])
    monkeypatch.setattr(pipelines, "__path__", [*pipelines.__path__, str(folder.parent)])
    return own_pipelines(taken=[])[folder.name]


def run(pipeline: Pipeline, **inputs: Any) -> Any:
    """What the only output of a pipeline is."""
    catalog = DataCatalog({name.replace("__", "."): MemoryDataset(data) for name, data in inputs.items()})
    (output,) = SequentialRunner().run(pipeline, catalog).values()
    return output.load()


@pytest.mark.filterwarnings("ignore:One or more dataset names contain")
def test_the_pipeline_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = found_pipeline(tmp_path / "shop_margin", "nodes.py", "pipeline.py", monkeypatch)
    share = yaml.safe_load(FILES["parameters_shop_margin.yml"])["shop_margin"]["share"]
    assert set(yaml.safe_load(FILES["catalog.yml"])) == pipeline.outputs()
    prices = pd.DataFrame({"sample_id": ["a", "b"], "price": [10.0, 25.0]})
    found = run(pipeline, **{"moe.predictions": prices, "params:shop_margin.share": share})
    assert found["margin"].tolist() == [2.0, 5.0]


@pytest.mark.filterwarnings("ignore:One or more dataset names contain")
def test_the_metric_of_the_page_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = found_pipeline(tmp_path / "shop_hits", "metric_nodes.py", "metric_pipeline.py", monkeypatch)
    assert set(yaml.safe_load(FILES["metric_catalog.yml"])) == pipeline.outputs() == {"shop_margin.metrics"}
    results = pd.DataFrame({"price": [10.0, 10.0, 10.0, 10.0], "predicted": [9.0, 12.0, 13.0, 4.0]})
    found = run(pipeline, **{"moe.evaluation_results": results, "params:shop_margin.factor": 1.25})
    assert found == {"hits": 0.5}


def test_the_estimator_of_the_page_is_fitted_saved_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    defined: dict[str, Any] = {"__name__": "linear"}
    exec(FILES["linear.py"], defined)  # noqa: S102 - the code of the page
    estimator: type[Estimator] = defined["Linear"]
    monkeypatch.setattr(registry, "ESTIMATORS", MappingProxyType({"linear": estimator}))
    generator = np.random.default_rng(3)
    vectors = generator.normal(size=(400, 8)).astype(np.float32)
    log_prices = 2 + vectors[:, 0] / np.linalg.norm(vectors, axis=1) + generator.normal(0, 0.05, 400)
    sources: dict[str, Source] = {"text": SourceParameters(width=8, group="text")}
    features = features_from_arrays({"text": vectors}, sources, {"text": "float32"})
    fitted = fit_estimator("linear", features, sources, log_prices, np.arange(250), np.arange(250, 300))
    rows = np.arange(300, 400)
    predicted = fitted.log_prices(features, rows)
    assert np.abs(predicted - log_prices[rows]).mean() < 0.5 * np.abs(log_prices[rows] - log_prices[:250].mean()).mean()
    fitted.save(tmp_path / "linear")
    read = load_estimator(tmp_path / "linear")
    assert read.log_prices(features, rows).tobytes() == predicted.tobytes()
    assert read.log_prices(features, rows[7:8])[0] == predicted[7]
    again = refit_estimator(read, features, log_prices, np.arange(250))
    assert again.log_prices(features, rows).tobytes() == predicted.tobytes()


@pytest.mark.filterwarnings("ignore:One or more dataset names contain")
def test_a_node_is_run_as_the_page_says() -> None:
    results = pd.DataFrame({"sample_id": [1, 2], "split": "holdout", "tuned_on": False, "price": [4.0, 8.0]})
    results = results.assign(predicted=[4.0, 6.0], absolute_error=[0.0, 2.0], smape=[0.0, 28.6])
    defined: dict[str, Any] = {
        "pipelines": {"evaluate_moe": evaluation.create_pipeline("moe", ["qwen_text"])},
        "catalog": DataCatalog(
            {"moe.evaluation_results": MemoryDataset(results), "price_groups": MemoryDataset(SAVED)}
        ),
    }
    exec(FILES["notebook.py"], defined)  # noqa: S102 - likewise
    assert defined["outputs"]["moe.metrics"]["mae"] == 1.0
