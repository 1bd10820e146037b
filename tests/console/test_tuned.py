"""The advice on what tuning found names what stands in its way, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from price_fusion.console.tuned import how_to_take


@pytest.fixture
def tuned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf/my env").mkdir(parents=True)
    path = tmp_path / "data/parameters_moe.yml"
    path.parent.mkdir()
    path.write_text("moe: {train: {epochs: 3, loss: smape}, model: {head: {hidden: [8, 4]}}}\n")
    return path


def test_a_fresh_environment_takes_it_as_it_is(tuned: Path, tmp_path: Path) -> None:
    assert how_to_take(tuned, "moe", tmp_path / "conf", None) == (
        "To train with these parameters:\ncp data/parameters_moe.yml conf/local/\nkedro run --pipelines moe"
    )


def test_fields_that_other_files_have_are_to_be_removed(tuned: Path, tmp_path: Path) -> None:
    folder = tmp_path / "conf/my env"
    (folder / "parameters.yml").write_text("seed: 1\nmoe: {train: {epochs: 9, batch_size: 4}}\n")
    (folder / "training").mkdir()
    (folder / "training/parameters_more.yml").write_text("moe: {model: {head: {hidden: [2]}}}\n")
    (folder / "parameters_moe.yml").write_text("moe: {train: {loss: smape}}\n")  # of an earlier study, and replaced
    (folder / "parameters_empty.yml").write_text("")
    assert how_to_take(tuned, "moe", tmp_path / "conf", "my env") == (
        "To train with these parameters, remove moe.train.epochs from conf/my env/parameters.yml; moe.model.head.hidden from "
        "conf/my env/training/parameters_more.yml (a field may be in one file of an environment), then:\n"
        "cp data/parameters_moe.yml 'conf/my env'/\nkedro run --env 'my env' --pipelines moe"
    )
