"""``--only-missing-outputs`` makes again what was made from other parameters or raw files, says why, and nothing else."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import partial, update_wrapper
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner
from kedro_datasets.json import JSONDataset

from price_fusion.datasets.product_table import ProductTableDataset
from price_fusion.datasets.whole_file import WholeFileDataset
from price_fusion.hooks.made_from import MadeFromHooks
from price_fusion.parameters import TrainParameters, VariantParameters
from price_fusion.parameters.models import MlpHead, ModelParameters
from price_fusion.runs.project_facts import ProjectFacts, current_project
from price_fusion.storage import digests
from price_fusion.storage.fingerprint import mark_sample
from support.whole import whole

PARAMETERS: dict[str, Any] = {"params:seed": 41, "params:rate": {"first": 0.5, "last": 0.1}, "params:compute": "local"}
PARAMETERS["params:model.folder"] = Path("/data/model")
SAVED = ("table", "model", "scores")


class Small:
    """Products to a table, in memory and then saved; the table to a model; both to scores."""

    def __init__(self, folder: Path, saved: Callable[[Path], Any] = whole) -> None:
        self.folder = folder
        self.saved = saved
        self.products = folder / "raw/products.json"
        self.products.parent.mkdir()
        self.products.write_text("[1, 2]")

    def catalog(self, **parameters: Any) -> DataCatalog:
        given = PARAMETERS | {f"params:{name}": value for name, value in parameters.items()}
        return DataCatalog(
            {
                "products": JSONDataset(filepath=str(self.products)),
                **{name: whole(self.folder / f"{name}.json") for name in ("table", "scores")},
                "model": self.saved(self.folder / "model.json"),
                **{name: MemoryDataset(value) for name, value in given.items()},
            }
        )

    def run(self, *nodes: str, only_missing: bool = False, **parameters: Any) -> list[str]:
        """Names of the nodes that ran, of those named or of all."""
        current_project.set(ProjectFacts(self.folder, self.folder, {}, None))  # type: ignore[arg-type]
        ran: list[str] = []

        def node(name: str, inputs: list[str], output: str) -> Node:
            def note(*values: Any) -> Any:
                ran.append(name)
                return [str(value) for value in values]

            return Node(note, inputs, output, name=name)

        pipeline = Pipeline(
            [
                node("draw", ["products", "params:seed", "params:compute"], "drawn"),
                node("keep", ["drawn"], "table"),
                node("fit", ["table", "params:rate", "params:model.folder"], "model"),
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
    assert small.run(only_missing=True, compute="another") == []
    assert small.run(only_missing=True, **{"model.folder": Path("/moved/model")}) == []
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


def test_a_run_from_a_node_on_makes_again_what_older_inputs_led_to(
    small: Small, caplog: pytest.LogCaptureFixture
) -> None:
    small.run()
    small.products.write_text("[1, 2, 3]")
    assert small.run("draw", "keep") == ["draw", "keep"]
    assert small.run("score", only_missing=True) == ["score"]
    assert "products (products.json) has changed: scores is made again" in said(caplog)
    assert small.run("score", only_missing=True) == []


@pytest.mark.parametrize(("before", "after"), [("ab", "a"), ("a", "ab"), ("ab", "ac")])
def test_what_was_made_from_other_sources_is_made_again(tmp_path: Path, before: str, after: str) -> None:
    def run(sources: str) -> bool:
        tables = {name: whole(tmp_path / f"{name}.json") for name in sources}
        settings = {f"params:sources.{name}": MemoryDataset({"width": 8}) for name in sources}
        catalog = DataCatalog({**tables, **settings, "chosen": whole(tmp_path / "chosen.json")})
        nodes = [Node(lambda value: [value], f"params:sources.{name}", name, name=name) for name in sources]
        nodes.append(Node(lambda *values: [*values], [*sources], "chosen", name="choose"))
        MadeFromHooks().before_pipeline_run({"only_missing_outputs": True}, Pipeline(nodes), catalog)
        is_kept = catalog.exists("chosen")
        SequentialRunner().run(Pipeline(nodes), catalog, only_missing_outputs=True)
        return is_kept

    current_project.set(ProjectFacts(tmp_path, tmp_path, {}, None))  # type: ignore[arg-type]
    assert not run(before)
    assert run(before)
    assert not run(after)
    assert run(after)


class Model(WholeFileDataset):
    """Stands for what was trained."""

    is_model = True


def model(path: Path) -> Model:
    return Model(dataset={"type": "json.JSONDataset", "filepath": str(path)})


@pytest.mark.parametrize("damaged", [False, True])
def test_a_model_is_kept_where_what_is_between_is_gone(tmp_path: Path, damaged: bool) -> None:
    small = Small(tmp_path, saved=model)
    small.run()
    table = small.folder / "table.json"
    table.write_text("") if damaged else table.unlink()
    assert small.run(only_missing=True) == ["draw", "keep", "score"]
    assert small.run(only_missing=True) == []


def test_what_is_made_from_another_file_is_made_again_with_all_that_follows(
    small: Small, caplog: pytest.LogCaptureFixture
) -> None:
    small.run()
    whole(small.folder / "table.json").save(["by another release"])
    assert small.run(only_missing=True) == ["fit", "score"]
    assert "table has changed: model, scores are made again" in said(caplog)
    assert small.run(only_missing=True) == []


def test_a_model_is_kept_where_the_first_of_two_tables_is_gone(tmp_path: Path) -> None:
    catalog = DataCatalog(
        {"raw": MemoryDataset([3, 1])}
        | {name: whole(tmp_path / f"{name}.json") for name in ("samples", "split", "scores")}
        | {"model": model(tmp_path / "model.json")}
    )
    steps = [("raw", "samples"), ("samples", "split"), ("split", "model"), ("model", "scores")]
    pipeline = Pipeline([Node(sorted, before, after, name=after) for before, after in steps])
    current_project.set(ProjectFacts(tmp_path, tmp_path, {}, None))  # type: ignore[arg-type]
    for only_missing in (False, True):
        MadeFromHooks().before_pipeline_run({"only_missing_outputs": only_missing}, pipeline, catalog)
        if only_missing:
            assert {name: catalog.exists(name) for _, name in steps} == {
                "samples": False,
                "split": False,
                "model": True,
                "scores": True,
            }
        SequentialRunner().run(pipeline, catalog, only_missing_outputs=only_missing)
        (tmp_path / "samples.json").unlink()


@pytest.mark.parametrize("damaged", [False, True])
def test_what_a_model_predicted_goes_with_it(tmp_path: Path, caplog: pytest.LogCaptureFixture, damaged: bool) -> None:
    small = Small(tmp_path, saved=model)
    small.run()
    path = small.folder / "model.json"
    path.write_text("") if damaged else path.unlink()
    assert small.run(only_missing=True) == ["fit", "score"]
    assert "model is gone or damaged: scores is made again" in said(caplog)


def test_an_output_that_reads_another_input_now_is_made_again(small: Small, caplog: pytest.LogCaptureFixture) -> None:
    def run(*inputs: str) -> list[str]:
        catalog = small.catalog()
        node = Node(lambda *values: [str(value) for value in values], list(inputs), "scores", name="score")
        MadeFromHooks().before_pipeline_run({"only_missing_outputs": True}, Pipeline([node]), catalog)
        found = [] if catalog.exists("scores") else ["score"]
        SequentialRunner().run(Pipeline([node]), catalog, only_missing_outputs=True)
        return found

    small.run()
    assert run("table", "model") == []
    assert run("model") == []  # fewer change nothing that it says
    whole(small.folder / "final.json").save(["final"])
    catalog = small.catalog
    small.catalog = lambda **parameters: DataCatalog(  # type: ignore[method-assign]
        {name: catalog().get(name) for name in catalog()} | {"final": whole(small.folder / "final.json")}
    )
    caplog.clear()
    assert run("table", "final") == ["score"]
    assert said(caplog)[0] == "final is one of the inputs now: scores is made again"
    assert run("table", "final") == []


def test_outputs_of_the_release_before_name_no_files_and_are_kept(small: Small) -> None:
    small.run()
    sidecar = small.folder / ".model.json.sha256"
    first, *_, comment = sidecar.read_text().splitlines(keepends=True)
    sidecar.write_text(first + comment)
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
    small = Small(tmp_path, saved=lambda path: JSONDataset(filepath=str(path)))
    small.run()
    assert small.run(only_missing=True, rate=3) == ["score"]
    assert any(warning.startswith("model is kept, though nothing says") for warning in said(caplog))


def test_each_version_of_a_raw_file_is_hashed_once(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[Path] = []
    original = digests.sha256
    monkeypatch.setattr(digests, "sha256", lambda path: hashed.append(path) or original(path))
    monkeypatch.setattr(digests, "SETTLED_NS", -(10**10))  # all was written long ago
    for _ in range(2):
        monkeypatch.setattr(digests, "_known", {})  # as in another process
        small.run()
    assert [path.name for path in hashed].count("products.json") == 1


def test_what_the_pipeline_gives_a_node_counts_too(tmp_path: Path) -> None:
    def sources(given: list[str]) -> bool:
        """Whether the table is made again for these."""
        current_project.set(ProjectFacts(tmp_path, tmp_path, {}, None))  # type: ignore[arg-type]
        catalog = DataCatalog(
            {
                "table": whole(tmp_path / "table.json"),
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


class Worlds:
    """Products to a sample table and embeddings to a table, as with and as without partitions; both to a model."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.products, self.vectors = folder / "train.csv", folder / "vectors.json"
        self.vectors.write_text("[1]")
        self.write(600)

    def write(self, rows: int, price: int = 2) -> None:
        lines = [f"{number},x{number},y{number},{price}" for number in range(rows)]
        self.products.write_text("\n".join(["sample_id,catalog_content,image_link,price", *lines, ""]))

    def run(self, *, partitioned: bool, limit: int = 1_000) -> set[str]:
        """What is made again, or made at all."""
        current_project.set(ProjectFacts(self.folder, self.folder, {}, None))  # type: ignore[arg-type]
        products = ProductTableDataset(filepath=str(self.products), labelled=True)
        catalog = DataCatalog(
            {
                "train_products": products,
                "train_product_files": products.read_in_pieces(),
                "embeddings": JSONDataset(filepath=str(self.vectors)),
                "train_samples": whole(self.folder / "samples.parquet"),
                **{name: whole(self.folder / f"{name}.json") for name in ("dealt", "table", "split")},
                "model": model(self.folder / "model.json"),
                "params:seed": MemoryDataset(41),
                "params:compute.rows_in_memory": MemoryDataset(limit),
            }
        )
        made: set[str] = set()

        def node(name: str, *inputs: str) -> Node:
            def make(*values: Any) -> Any:
                made.add(name)
                if name != "train_samples":
                    return [len(values)]
                rows = len(self.products.read_text().splitlines()) - 1
                samples = pd.DataFrame({"sample_id": range(min(rows, limit) if partitioned else rows)})
                if partitioned and rows > limit:
                    mark_sample(samples, rows, {})
                return samples

            return Node(make, list(inputs), name, name=name)

        sampled, dealt = ["train_products"], []
        if partitioned:
            sampled = ["dealt", "params:compute.rows_in_memory"]
            dealt = [node("dealt", "train_product_files", "params:seed")]
        pipeline = Pipeline(
            [
                *dealt,
                node("train_samples", *sampled),
                node("table", "embeddings", *(["train_samples"] if partitioned else [])),
                node("split", "train_samples", "params:seed"),
                node("model", "train_samples", "split", "table"),
            ]
        )
        MadeFromHooks().before_pipeline_run({"only_missing_outputs": True}, pipeline, catalog)
        SequentialRunner().run(pipeline, catalog, only_missing_outputs=True)
        return made


SHARED = {"train_samples", "table", "split", "model"}


@pytest.fixture
def worlds(tmp_path: Path) -> Worlds:
    return Worlds(tmp_path)


@pytest.mark.parametrize("first", [False, True])
def test_what_is_the_same_with_and_without_partitions_is_kept(
    worlds: Worlds, caplog: pytest.LogCaptureFixture, first: bool
) -> None:
    assert worlds.run(partitioned=first) >= SHARED
    caplog.clear()
    assert worlds.run(partitioned=not first) <= {"dealt"}
    assert not worlds.run(partitioned=first)
    assert not said(caplog)


@pytest.mark.parametrize("first", [False, True])
def test_a_changed_raw_file_is_noticed_with_and_without_partitions(
    worlds: Worlds, caplog: pytest.LogCaptureFixture, first: bool
) -> None:
    worlds.run(partitioned=first)
    caplog.clear()
    worlds.write(600, price=3)
    # A table made without partitions holds all embeddings; one made with them, those of the products that there were.
    assert worlds.run(partitioned=not first) >= SHARED
    assert said(caplog)[0].startswith("train_products (train.csv) has changed: ")
    assert not worlds.run(partitioned=not first)


def test_a_sample_of_the_products_takes_the_place_of_all_and_the_reverse(
    worlds: Worlds, caplog: pytest.LogCaptureFixture
) -> None:
    worlds.run(partitioned=False)
    caplog.clear()
    assert worlds.run(partitioned=True, limit=150) == {"dealt", *SHARED}
    assert said(caplog)[0].startswith("compute.rows_in_memory is 150, was not there: ")
    assert not worlds.run(partitioned=True, limit=150)
    assert worlds.run(partitioned=True, limit=600) == SHARED
    assert not worlds.run(partitioned=True, limit=700)
    assert not worlds.run(partitioned=False)
    worlds.run(partitioned=True, limit=150)
    assert worlds.run(partitioned=False) == SHARED
