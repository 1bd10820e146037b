"""The real command, with a name that there is not."""

from __future__ import annotations

import pytest
from kedro.io import DatasetNotFoundError
from kedro.pipeline import node, pipeline
from kedro.pipeline.pipeline import OutputNotUniqueError

from price_fusion.console.misspelt import explained

pytestmark = pytest.mark.filterwarnings("ignore:One or more dataset names contain")


def test_other_errors_are_not_ours_to_explain() -> None:
    assert explained(ValueError("setting an array element with a sequence")) is None
    assert explained(KeyError("moe")) is None


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("Failed to find the pipeline named 'mo'. It needs to be", "there is no pipeline 'mo'; did you mean 'moe'?"),
        ("Failed to find the pipeline named 'ensemble'. It", "'variants' lacks some of the variants"),
        ("Pipeline does not contain nodes named ['moe.trian'].", "did you mean 'moe.train'"),
        ("Pipeline does not contain datasets named ['train_product']", "did you mean 'train_products'"),
        ("Pipeline does not contain nodes with the following namespaces: ['mo']", "did you mean 'moe'?"),
        ("Pipeline does not contain nodes named ['zzzz'].", "there are ingestion.check_test, ingestion.check_train"),
        (
            "Pipeline does not contain nodes named ['[moe.trian', 'a]'].",
            "no node '[moe.trian'; did you mean 'moe.train'",
        ),
        ('Pipeline does not contain nodes named ["moe.tra\'n"].', "did you mean 'moe.train'"),
    ],
)
def test_the_nearest_name_is_said(message: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from price_fusion.console import misspelt
    from price_fusion.pipelines import ingestion, training

    pipelines = {"moe": training.create_pipeline("moe", ["a"]), "ingest": ingestion.create_pipeline({}, "train")}
    pipelines["ingest"] += ingestion.create_pipeline({}, "test")
    monkeypatch.setattr(misspelt, "pipelines", pipelines)
    found = explained(ValueError(message))
    assert found is not None
    assert said in str(found)


def test_parameters_of_runners() -> None:
    unexpected = "ThreadRunner.__init__() got an unexpected keyword argument 'workers'"
    assert str(explained(TypeError(unexpected))) == "--runner-params: ThreadRunner takes no 'workers'. Leave it out."
    assert explained(TypeError("f() got an unexpected keyword argument 'workers'")) is None


def test_inputs_that_nothing_gives_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("price_fusion.console.misspelt._datasets", lambda: {"moe.prediction", "moe.predictions"})
    names = {"moe.prediction", "params:rent.share"}
    found = str(explained(ValueError(f"Pipeline input(s) {names} not found in the DataCatalog")))
    assert "a node reads 'moe.prediction', which no node" in found
    assert "Did you mean 'moe.predictions'?" in found
    assert "a node reads 'params:rent.share', and conf/ has no such parameter" in found


def test_a_dataset_that_is_loaded_before_kedro_looks_for_it_is_named() -> None:
    """The hook that notes what outputs are made from reads parameters first."""
    found = str(explained(DatasetNotFoundError("Dataset 'params:discount' not found in the catalog")))
    assert found.startswith("a node reads 'params:discount', and conf/ has no such parameter. Declare it")


def test_tags_are_read_from_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    from price_fusion.console import misspelt
    from price_fusion.pipelines import training

    monkeypatch.setattr(misspelt, "pipelines", {"moe": training.create_pipeline("moe", ["a"])})
    nothing = ValueError("Pipeline contains no nodes after applying all provided filters. Please")
    monkeypatch.setattr("sys.argv", ["kedro", "run", "--tags=trian"])
    assert "there is no tag 'trian'; did you mean 'train'?" in str(explained(nothing))
    monkeypatch.setattr("sys.argv", ["kedro", "run", "--tags", "train"])
    assert "no node of these pipelines is left" in str(explained(nothing))


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("SequentialRuner", AttributeError("module 'kedro.runner' has no attribute 'SequentialRuner'")),
        ("kedro.runer.ThreadRunner", ModuleNotFoundError("No module named 'kedro.runer'")),
    ],
)
def test_a_runner_is_read_from_the_command(name: str, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["kedro", "run", "--runner", name])
    assert str(explained(error)).startswith(f"there is no runner {name!r}; ")
    monkeypatch.setattr("sys.argv", ["kedro", "run"])
    assert explained(error) is None


def test_a_version_of_a_dataset_that_there_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("price_fusion.console.misspelt._datasets", lambda: {"moe.checkpoint"})
    error = DatasetNotFoundError("'load_versions' keys [moe.chekpoint] are not found in the catalog.")
    assert str(explained(error)).startswith("there is no dataset 'moe.chekpoint'; did you mean 'moe.checkpoint'?")


def test_pipelines_that_make_the_same_are_run_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    alone, joint = (pipeline([node(len, inputs=name, outputs="folds", name=name)]) for name in ("own", "shared"))
    monkeypatch.setattr(
        "price_fusion.console.misspelt.pipelines", {"alone": alone, "joint": joint, "split": pipeline([])}
    )

    def run(pipeline_names: list[str] | None) -> None:  # as KedroSession.run calls them, which a command calls, too
        alone + joint

    with pytest.raises(OutputNotUniqueError) as raised:
        run(pipeline_names=["split", "joint", "alone"])
    found = str(explained(raised.value))
    assert found.startswith("the pipelines joint and alone each make folds, ")
    assert found.endswith("kedro run --pipelines joint, then kedro run --pipelines alone")
    with pytest.raises(OutputNotUniqueError) as raised:
        run(pipeline_names=None)
    assert explained(raised.value) is None
