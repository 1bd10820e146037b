"""Runs that tests step through by hand, each in a thread of its own, as a session runs them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kedro.framework.hooks.manager import _create_hook_manager, _register_hooks
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro_datasets.json import JSONDataset

from price_fusion.hooks.active_runs import ActiveRuns, RunHooks
from price_fusion.hooks.node_log import NodeLogHooks
from price_fusion.parameters import TrackingParameters
from price_fusion.runs.journal import JOURNAL
from price_fusion.runs.project_facts import ProjectFacts, current_project

HANGS = 120
"""Seconds after which a hook that has not returned counts as hanging: on a busy machine MLflow's own set-up alone takes 20."""


def evaluate(number: int) -> dict[str, Any]:
    return {"smape": float(number), "split": "holdout", "rows": number}


PIPELINE = Pipeline([Node(evaluate, inputs="moe.number", outputs="moe.metrics", name="evaluate", namespace="moe")])


class SteppedRun:
    """One run, whose hooks are called one by one in a thread of its own.

    Args:
        runs: of the process.
        data: folder that it writes.
        run_id: that Kedro would give it.
        hooks: beside those that every run has.
        tracking: of the project's parameters.
    """

    def __init__(self, runs: ActiveRuns, data: Path, run_id: str, *hooks: Any, **tracking: Any) -> None:
        self.data = data
        parameters = SimpleNamespace(tracking=TrackingParameters(**tracking))
        self.facts = ProjectFacts(data.parent, data, {"seed": run_id}, parameters)  # type: ignore[arg-type]
        self.params = {"run_id": run_id, "pipeline_names": ["moe"], "project_path": str(data.parent)}
        self.catalog = DataCatalog(
            {
                "moe.number": MemoryDataset(int(run_id)),
                "moe.metrics": JSONDataset(filepath=str(data / f"{run_id}.json")),
            }
        )
        self._hooks = _create_hook_manager()
        _register_hooks(self._hooks, (RunHooks(runs), NodeLogHooks(), *hooks))
        self._thread = ThreadPoolExecutor(1)

    def begin(self, *, wait: bool = True) -> Any:
        """Load the project, and begin."""

        def begin() -> None:
            current_project.set(self.facts)
            self._hooks.hook.before_pipeline_run(run_params=self.params, pipeline=PIPELINE, catalog=self.catalog)

        done = self._thread.submit(begin)
        return done.result(timeout=HANGS) if wait else done

    def load(self) -> None:
        """Load the input of the node."""
        (node,) = PIPELINE.nodes
        self._call(self._hooks.hook.before_dataset_loaded, dataset_name="moe.number", node=node)

    def compute(self) -> None:
        """Run the node and save its output."""
        (node,) = PIPELINE.nodes
        common = {"node": node, "catalog": self.catalog, "is_async": False, "run_id": self.params["run_id"]}
        number = self.catalog.load("moe.number")
        self._call(self._hooks.hook.before_node_run, inputs={"moe.number": number}, **common)
        found = evaluate(number)
        self._call(
            self._hooks.hook.after_node_run, inputs={"moe.number": number}, outputs={"moe.metrics": found}, **common
        )
        self.catalog.save("moe.metrics", found)
        self._call(self._hooks.hook.after_dataset_saved, dataset_name="moe.metrics", data=found, node=node)

    def end(self) -> None:
        """End well."""
        self._call(
            self._hooks.hook.after_pipeline_run,
            run_params=self.params,
            run_result={},
            pipeline=PIPELINE,
            catalog=self.catalog,
        )

    def fail(self, error: Exception) -> None:
        """End with an error."""
        self._call(
            self._hooks.hook.on_pipeline_error,
            error=error,
            run_params=self.params,
            pipeline=PIPELINE,
            catalog=self.catalog,
        )

    def forget(self) -> None:
        """Let the thread end without a word."""
        self._thread.shutdown()

    @property
    def is_begun(self) -> bool:
        """Whether it has the folder."""
        return JOURNAL in self.catalog

    @property
    def records(self) -> list[dict[str, Any]]:
        """Of all runs of the data folder, the oldest first."""
        paths = (self.data / "08_reporting/runs").glob("*/run.json")
        return sorted((json.loads(path.read_text()) for path in paths), key=lambda one: str(one["run_id"]))

    def _call(self, hook: Callable[..., Any], **arguments: Any) -> None:
        self._thread.submit(lambda: hook(**arguments)).result(timeout=HANGS)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> ActiveRuns:
    monkeypatch.setattr("atexit.register", lambda *_: None)
    return ActiveRuns()


@pytest.fixture
def stepped(runs: ActiveRuns, tmp_path: Path) -> Iterator[Callable[..., SteppedRun]]:
    """A function that makes a run of an id, in a data folder of that name."""
    made: list[SteppedRun] = []

    def make(run_id: str, *hooks: Any, data: str = "data", **tracking: Any) -> SteppedRun:
        made.append(SteppedRun(runs, tmp_path / data, run_id, *hooks, **tracking))
        return made[-1]

    yield make
    for one in made:
        one.forget()
