"""The pipeline of docs/extending.md, written as the page says, is found and run."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

from price_fusion import pipelines
from price_fusion.own_pipelines import own_pipelines

PAGE = Path(__file__).parents[2] / "docs/extending.md"


@pytest.mark.filterwarnings("ignore:One or more dataset names contain")
def test_the_pipeline_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = dict(re.findall(r"^```\w+\n# (\S+)\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL))
    folder = tmp_path / "shop_margin"
    folder.mkdir()
    (folder / "__init__.py").write_text("from .pipeline import create_pipeline\n")  # as Kedro's template has it
    for name in ("nodes.py", "pipeline.py"):
        (folder / name).write_text(files[name])
    monkeypatch.setattr(pipelines, "__path__", [*pipelines.__path__, str(tmp_path)])
    pipeline = own_pipelines(taken=[])["shop_margin"]
    share = yaml.safe_load(files["parameters_shop_margin.yml"])["shop_margin"]["share"]
    (output,) = yaml.safe_load(files["catalog.yml"])
    prices = pd.DataFrame({"sample_id": ["a", "b"], "price": [10.0, 25.0]})
    catalog = DataCatalog({"moe.predictions": MemoryDataset(prices), "params:shop_margin.share": MemoryDataset(share)})
    found = SequentialRunner().run(pipeline, catalog)[output].load()
    assert found["margin"].tolist() == [2.0, 5.0]
