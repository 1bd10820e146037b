"""``--only-missing-outputs`` makes again what was made from other parameters or raw files, says why, and nothing else."""

from __future__ import annotations

import logging
import os
from functools import partial, update_wrapper
from pathlib import Path
from typing import Any

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner
from kedro_datasets.json import JSONDataset

from price_fusion.datasets.raw_digests import RawDigestsDataset
from price_fusion.datasets.whole_files import WholeJSONDataset
from price_fusion.hooks.made_from import MadeFromHooks
from price_fusion.parameters import TrainParameters, VariantParameters
from price_fusion.parameters.models import MlpHead, ModelParameters
from price_fusion.storage import digests

PARAMETERS: dict[str, Any] = {"params:seed": 41, "params:rate": {"first": 0.5, "last": 0.1}, "params:engine": "local"}
SAVED = ("table", "model", "scores")


class Small:
    """Products to a table, in memory and then saved; the table to a model; both to scores."""

    def __init__(self, folder: Path, saved: type[Any] = WholeJSONDataset) -> None:
        self.folder = folder
        self.saved = saved
        self.products = folder / "raw/products.json"
        self.products.parent.mkdir()
        self.products.write_text("[1, 2]")

    def catalog(self, **parameters: Any) -> DataCatalog:
        given = PARAMETERS | {f"params:{name}": value for name, value in parameters.items()}
        return DataCatalog(
            {
                "raw_digests": RawDigestsDataset(filepath=str(self.folder / "primary")),
                "products": JSONDataset(filepath=str(self.products)),
                **{name: WholeJSONDataset(filepath=str(self.folder / f"{name}.json")) for name in ("table", "scores")},
                "model": self.saved(filepath=str(self.folder / "model.json")),
                **{name: MemoryDataset(value) for name, value in given.items()},
            }
        )

    def run(self, *nodes: str, only_missing: bool = False, **parameters: Any) -> list[str]:
        """Names of the nodes that ran, of those named or of all."""
        ran: list[str] = []

        def node(name: str, inputs: list[str], output: str) -> Node:
            def note(*values: Any) -> Any:
                ran.append(name)
                return [str(value) for value in values]

            return Node(note, inputs, output, name=name)

        pipeline = Pipeline(
            [
                node("draw", ["products", "params:seed", "params:engine"], "drawn"),
                node("keep", ["drawn"], "table"),
                node("fit", ["table", "params:rate"], "model"),
                node("score", ["table", "model"], "scores"),
            ]
        )
        pipeline = pipeline.filter(node_names=nodes) if nodes else pipeline
        catalog = self.catalog(**parameters)
        MadeFromHooks().before_pipeline_run({"only_missing_outputs": only_missing}, pipeline, catalog)
        SequentialRunner().run(pipeline, catalog, only_missing_outputs=only_missing)
        return ran


@pytest.fixture
def small(tmp_path: Path) -> Small:
    return Small(tmp_path)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Warnings since the last call."""
    found = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    caplog.clear()
    return found


def test_nothing_is_made_again_while_nothing_has_changed(small: Small, caplog: pytest.LogCaptureFixture) -> None:
    assert small.run() == ["draw", "keep", "fit", "score"]
    assert small.run(only_missing=True) == []
    assert small.run(only_missing=True, engine="another") == []
    later = small.products.stat().st_mtime_ns + 10**12
    os.utime(small.products, ns=(later, later))
    assert small.run(only_missing=True) == []
    assert not said(caplog)


def test_a_changed_parameter_makes_again_what_follows_from_it(small: Small, caplog: pytest.LogCaptureFixture) -> None:
    small.run()
    rate = {"first": 0.5, "last": 0.2}
    assert small.run(only_missing=True, rate=rate) == ["fit", "score"]
    assert said(caplog) == ["rate.last is 0.2, was 0.1: model, scores are made again"]
    assert small.run(only_missing=True, rate=rate, seed=5) == ["draw", "keep", "fit", "score"]
    assert said(caplog) == ["seed is 5, was 41: table, model, scores are made again"]
    assert small.run(only_missing=True, rate=rate, seed=5) == []


def test_a_changed_raw_file_makes_again_what_follows_from_it(small: Small, caplog: pytest.LogCaptureFixture) -> None:
    small.run()
    small.products.write_text("[1, 2, 3]")
    assert small.run(only_missing=True) == ["draw", "keep", "fit", "score"]
    assert said(caplog) == ["products (products.json) has changed: table, model, scores are made again"]
    assert small.run(only_missing=True) == []


def test_an_output_remembers_the_way_to_it_through_earlier_runs(small: Small) -> None:
    """The model is of another seed than the table that it is scored on, whatever the last run was given."""
    small.run()
    assert small.run("draw", "keep", seed=5) == ["draw", "keep"]
    assert small.run("score", seed=5) == ["score"]
    assert small.run(only_missing=True, seed=5) == ["fit", "score"]
    assert small.run(only_missing=True, seed=5) == []
    assert small.run(only_missing=True) == ["draw", "keep", "fit", "score"]


def test_what_is_between_may_be_gone(small: Small) -> None:
    small.run()
    (small.folder / "table.json").unlink()
    assert small.run(only_missing=True) == ["draw", "keep"]
    assert small.run(only_missing=True) == []


def test_raw_files_may_be_gone(small: Small) -> None:
    small.run()
    small.products.unlink()
    assert small.run(only_missing=True) == []


def test_outputs_without_a_record_are_kept_and_named(small: Small, caplog: pytest.LogCaptureFixture) -> None:
    small.run()
    sidecar = small.folder / ".model.json.sha256"
    lines = sidecar.read_text().splitlines(keepends=True)
    sidecar.write_text(lines[0])  # as the release before wrote it
    assert small.run(only_missing=True) == []
    (warning,) = said(caplog)
    assert warning.startswith("model is kept, though nothing says which parameters and raw files")


def test_a_dataset_of_kedro_is_named_and_what_is_made_from_it_still_knows_the_way(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    small = Small(tmp_path, saved=JSONDataset)
    small.run()
    assert small.run(only_missing=True, rate=3) == ["score"]
    assert any(warning.startswith("model is kept, though nothing says") for warning in said(caplog))


def test_each_version_of_a_raw_file_is_hashed_once(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[Path] = []
    original = digests.sha256
    monkeypatch.setattr(digests, "sha256", lambda path: hashed.append(path) or original(path))
    past = small.products.stat().st_mtime_ns - 10**10
    os.utime(small.products, ns=(past, past))
    for _ in range(2):
        monkeypatch.setattr(digests, "_known", {})  # as in another process
        small.run()
    assert [path.name for path in hashed].count("products.json") == 1


def test_what_the_pipeline_gives_a_node_counts_too(tmp_path: Path) -> None:
    def sources(given: list[str]) -> bool:
        """Whether the table is made again for these."""
        catalog = DataCatalog(
            {
                "raw_digests": RawDigestsDataset(filepath=str(tmp_path)),
                "table": WholeJSONDataset(filepath=str(tmp_path / "table.json")),
                "params:seed": MemoryDataset(3),
            }
        )
        node = Node(
            update_wrapper(partial(given_sources, sources=given), given_sources), "params:seed", "table", name="make"
        )
        MadeFromHooks().before_pipeline_run({"only_missing_outputs": True}, Pipeline([node]), catalog)
        is_missing = not catalog.exists("table")
        SequentialRunner().run(Pipeline([node]), catalog)
        return is_missing

    assert [sources(["a"]), sources(["a"]), sources(["a", "b"])] == [True, False, True]


def given_sources(seed: int, *, sources: list[str]) -> list[str]:
    return sources


def test_what_only_says_how_training_goes_on_changes_no_output(small: Small) -> None:
    def variant(**train: Any) -> VariantParameters:
        model = ModelParameters(head=MlpHead(hidden=(8,)))
        return VariantParameters(sources=("a",), model=model, train=TrainParameters(**train))

    small.run(rate=variant())
    assert small.run(only_missing=True, rate=variant(resume=True, device="cpu", state_every=5)) == []
    assert small.run(only_missing=True, rate=variant(epochs=3)) == ["fit", "score"]


def test_outputs_that_lost_their_hidden_files_are_named(small: Small, caplog: pytest.LogCaptureFixture) -> None:
    small.run()
    for hidden in small.folder.glob(".*.sha256"):
        hidden.unlink()
    (small.folder / "scores.json").unlink()  # missing is no surprise
    assert small.run(only_missing=True) == ["draw", "keep", "fit", "score"]
    (said,) = [record.getMessage() for record in caplog.records if "hidden file" in record.getMessage()]
    assert said.startswith("model, table are there without the hidden file .<name>.sha256")
    caplog.clear()
    assert small.run(only_missing=True) == []
    assert "hidden file" not in caplog.text
