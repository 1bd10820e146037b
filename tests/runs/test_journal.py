"""The journal of a run: which nodes are done, and what they saved."""

from __future__ import annotations

from pathlib import Path

from kedro.io import DataCatalog

from price_fusion.runs.journal import Journal, NodeTime
from support.whole import whole


def test_an_output_that_another_process_made_again_is_not_stale(tmp_path: Path) -> None:
    made, kept = whole(tmp_path / "metrics.json"), whole(tmp_path / "kept.json")
    for dataset in (made, kept):
        dataset.save([1])
        dataset.is_stale = True  # as this process knows it; a worker of ParallelRunner has a copy
    catalog, journal = DataCatalog({"moe.metrics": made, "wide.metrics": kept}), Journal(tmp_path / "nodes.jsonl")
    journal.add(NodeTime("evaluate", ["moe.metrics"], 1.0, None))
    assert journal.outputs(catalog, [".metrics"]) == {"moe.metrics": [1]}
    assert not catalog.exists("wide.metrics")
