"""Runs that are killed while they save, and go on with ``--only-missing-outputs`` to the outputs of one that was not."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

from support.projects import SHORT, Project

DIES = """
import os, signal
from pathlib import Path

rename = Path.replace


def replace(temporary, target):
    if Path(target).name != {name!r}:
        return rename(temporary, target)
    if {moment!r} == "half written":
        os.truncate(temporary, temporary.stat().st_size // 2)
    else:
        rename(temporary, target)
    os.kill(os.getpid(), signal.SIGKILL)


Path.replace = replace
"""
"""What lets a command be killed before or after a file of a given name takes that name."""
GO_ON = ("run", "--only-missing-outputs", "--params", SHORT)


def kedro_killed(project: Project, name: str, moment: str) -> None:
    with project.start(*GO_ON, first=DIES.format(name=name, moment=moment)) as process:
        printed = process.communicate(300)
    assert process.returncode == -signal.SIGKILL, "".join(printed)[-4000:]


def saved(project: Project) -> dict[str, bytes]:
    """Contents of all files that nodes saved, with their digests; without temporaries of the dead and notes."""
    data = project.path / "data"
    return {
        str(path.relative_to(data)): path.read_bytes()
        for stage in ("03_primary", "05_model_input", "07_model_output", "08_reporting")
        for path in sorted((data / stage).rglob("*"))
        if path.is_file() and path.suffix != ".partial" and path.name not in ("run.json", "nodes.jsonl", "checked.json")
    }


def digest(path: Path) -> Path:
    return path.with_name(f".{path.name}.sha256")


def test_killed_runs_go_on_to_the_outputs_of_one_that_was_not(
    trained_project: Project, copy_of: Callable[[Project], Project]
) -> None:
    project, expected = copy_of(trained_project), saved(trained_project)
    reports = project.path / "data/08_reporting/moe"
    results, metrics, extremes = (
        reports / name for name in ("evaluation_results.csv", "metrics.json", "best_and_worst.csv")
    )
    for path in sorted(reports.rglob("*")):
        if path.is_file():
            path.unlink()
    (project.path / "data/07_model_output/moe/test_out.csv").unlink()

    kedro_killed(project, results.name, "half written")
    (half,) = reports.glob(".evaluation_results.csv.*.partial")
    assert 0 < half.stat().st_size < len(expected["08_reporting/moe/evaluation_results.csv"])
    assert not results.exists()

    kedro_killed(project, results.name, "renamed")
    assert results.exists()
    assert not digest(results).exists()

    kedro_killed(project, digest(metrics).name, "renamed")  # one of three outputs of a node
    assert digest(results).exists()
    assert digest(metrics).exists()
    assert not extremes.exists()

    project.kedro(*GO_ON)
    assert saved(project) == expected


def test_a_damaged_file_stops_the_run_that_reads_it(
    trained_project: Project, copy_of: Callable[[Project], Project]
) -> None:
    project = copy_of(trained_project)
    path = project.path / "data/08_reporting/moe/evaluation_results.csv"
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\x00")
    printed = project.kedro("run", "--nodes", "moe.summarise", fails=True).stderr
    message = "".join(printed.split())  # as wide as it may be wrapped
    assert f"{path.name}:sha256is" in message
    assert "damagedorchangedafteritwassaved.Runthepipelinethatmakesitagain" in message


def test_damaged_files_are_missing_ones(trained_project: Project, copy_of: Callable[[Project], Project]) -> None:
    project = copy_of(trained_project)
    data = project.path / "data"
    prices, table = data / "07_model_output/moe/test_out.csv", data / "03_primary/tables/qwen_text/test/structural.npy"
    whole = {path: path.read_bytes() for path in (prices, table)}
    prices.write_bytes(whole[prices][:300])
    table.write_bytes(whole[table][:-1] + b"\x07")
    checkpoint = (data / "06_models/moe/checkpoint.safetensors").stat().st_mtime_ns
    printed = project.kedro("run", "--only-missing-outputs", "--params", SHORT)
    assert "".join(printed.stdout.split()).count("Itcountsasmissing") >= 2
    assert {path: path.read_bytes() for path in whole} == whole
    assert (data / "06_models/moe/checkpoint.safetensors").stat().st_mtime_ns == checkpoint


def test_a_model_is_not_evaluated_on_rows_of_another_split(
    trained_project: Project, copy_of: Callable[[Project], Project]
) -> None:
    project = copy_of(trained_project)
    before = (project.path / "data/08_reporting/moe/metrics.json").read_bytes()
    project.kedro("run", "--pipelines", "split", "--params", "seed=5")
    said = project.kedro("run", "--pipelines", "evaluate_moe", fails=True).stderr
    assert "moewastrainedonanothersplit" in "".join(said.split())
    assert (project.path / "data/08_reporting/moe/metrics.json").read_bytes() == before
    project.kedro("run", "--pipelines", "split")  # its own split is the same again
    project.kedro("run", "--pipelines", "evaluate_moe")


def test_a_model_is_not_described_with_the_figures_of_another(
    trained_project: Project, copy_of: Callable[[Project], Project]
) -> None:
    project = copy_of(trained_project)
    card, metrics = (
        project.path / "data" / name for name in ("06_models/moe/model_card.md", "08_reporting/moe/metrics.json")
    )
    described = card.read_bytes()
    once = SHORT.replace("moe.train.epochs=2", "moe.train.epochs=1")
    refused = "Runfirst:kedrorun--pipelinesevaluate_moe"
    for more in ([], ["--only-missing-outputs"]):
        said = project.kedro("run", "--pipelines", "train_moe,report_moe", *more, "--params", once, fails=True).stderr
        assert "Addto--pipelines:evaluate_moe" in "".join(said.split())
    project.kedro("run", "--pipelines", "train_moe", "--params", once)
    for more in ([], ["--only-missing-outputs"], ["--nodes", "moe.write_model_card"]):
        said = project.kedro("run", "--pipelines", "report_moe", *more, fails=True).stderr
        assert refused in "".join(said.split())
    assert card.read_bytes() == described
    project.kedro("run", "--pipelines", "predict_moe")  # reads no evaluation, and has the intervals of its own model
    project.kedro("run", "--pipelines", "evaluate_moe")
    project.kedro("run", "--pipelines", "report_moe")
    assert f"| SMAPE | {json.loads(metrics.read_text())['smape']:.2f} % |" in card.read_text()
    assert "1 epoch of at most" in card.read_text()


def test_figures_without_records_are_said_and_those_of_other_products_refused(
    trained_project: Project, copy_of: Callable[[Project], Project]
) -> None:
    project = copy_of(trained_project)
    reports = project.path / "data/08_reporting/moe"
    for record in reports.glob(".*.sha256"):
        record.unlink()
    report = ("run", "--pipelines", "moe", "--nodes", "moe.write_report")
    said = "".join(project.kedro(*report).stdout.split())
    assert "norecordsayswhetherthemodelthatistheremadethese:moe.best_and_worst,moe.evaluation_results" in said
    results = reports / "evaluation_results.csv"
    results.write_text("".join(results.read_text().splitlines(keepends=True)[:-1]))
    said = "".join(project.kedro(*report, fails=True).stderr.split())
    assert "thesplithaschangedsincetheevaluation" in said


def test_changed_parameters_and_raw_files_are_noticed_and_named(
    trained_project: Project, copy_of: Callable[[Project], Project]
) -> None:
    project = copy_of(trained_project)
    data = project.path / "data"
    assert "Skipping all" in project.kedro(*GO_ON).stdout
    checkpoint = data / "06_models/moe/checkpoint.safetensors"
    trained, submission = checkpoint.stat().st_mtime_ns, data / "07_model_output/moe/test_out.csv"
    products = len(submission.read_text().splitlines())
    with (data / "01_raw/dataset/test.csv").open("a") as file:
        file.write("987654321,a plain mug,https://images.price-fusion.example/I/1.jpg\n")
    said = "".join(project.kedro(*GO_ON).stdout.split())
    assert "test_products(test.csv)haschanged:" in said
    assert len(submission.read_text().splitlines()) == products + 1
    assert checkpoint.stat().st_mtime_ns == trained  # a file of test products has no part in it
    longer = SHORT.replace("moe.train.epochs=2", "moe.train.epochs=3")
    said = "".join(project.kedro("run", "--only-missing-outputs", "--params", longer).stdout.split())
    assert "moe.train.epochsis3,was2:moe.checkpoint,moe.history" in said
    assert checkpoint.stat().st_mtime_ns != trained
    assert "Skipping all" in project.kedro("run", "--only-missing-outputs", "--params", longer).stdout
