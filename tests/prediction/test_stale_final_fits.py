"""``Predictor.load`` warns of a final fit whose evaluated model, beside it, has been trained again since."""

from __future__ import annotations

import doctest
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from price_fusion import Predictor
from price_fusion.data.roles import EVALUATED
from price_fusion.models.checkpoint import Checkpoint, checkpoint_digest, save_checkpoint
from price_fusion.prediction import stale_final_fits
from price_fusion.prediction.ensemble import EnsembleDraft, load_ensemble, save_ensemble
from price_fusion.prediction.stale_final_fits import evaluated_beside

Make = Callable[..., Checkpoint]
BASE = Path(__file__).parents[2] / "conf/base"


@pytest.fixture
def final(make_checkpoint: Make, tmp_path: Path) -> Path:
    """A final fit of the checkpoint above it."""
    evaluated = make_checkpoint()
    (tmp_path / "final").mkdir()
    save_checkpoint(tmp_path / "checkpoint.safetensors", evaluated)
    path = tmp_path / "final/checkpoint.safetensors"
    save_checkpoint(path, make_checkpoint(data={EVALUATED: checkpoint_digest(evaluated)}))
    return path


def test_a_final_fit_of_the_model_above_it_loads_silently(final: Path, caplog: pytest.LogCaptureFixture) -> None:
    Predictor.load(final)
    assert caplog.text == ""


def test_a_stale_final_fit_is_named_with_both_files_and_the_command(
    make_checkpoint: Make, final: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated = final.parents[1] / final.name
    save_checkpoint(evaluated, make_checkpoint("concat"))
    Predictor.load(final)
    [said] = caplog.messages
    assert f"{final}: this final fit is stale, as {evaluated} has been trained again" in said
    assert "kedro run --pipelines predict_tiny" in said

    caplog.clear()
    monkeypatch.chdir(final.parent)
    Predictor.load(final.name)
    assert "stale" in caplog.text


@pytest.mark.parametrize("linked", ["final", "final/checkpoint.safetensors"])
def test_a_link_from_elsewhere_or_to_elsewhere_hides_nothing(
    make_checkpoint: Make, final: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, linked: str
) -> None:
    served = tmp_path / "served"
    served.symlink_to(tmp_path / linked)
    path = served if served.is_file() else served / final.name
    Predictor.load(path)
    assert caplog.text == ""
    save_checkpoint(tmp_path / final.name, make_checkpoint("concat"))
    Predictor.load(path)
    [said] = caplog.messages
    assert f"{path}: this final fit is stale, as {tmp_path / final.name} has been trained again" in said

    caplog.clear()
    final.rename(tmp_path / "store.safetensors")
    final.symlink_to(tmp_path / "store.safetensors")
    Predictor.load(final)
    assert "stale" in caplog.text


@pytest.mark.parametrize("beside", ["nothing", "damage", "the checkpoint elsewhere"])
def test_a_final_fit_without_its_evaluated_model_loads_silently(
    make_checkpoint: Make, final: Path, caplog: pytest.LogCaptureFixture, beside: str
) -> None:
    evaluated = final.parents[1] / final.name
    if beside == "nothing":
        evaluated.unlink()
    elif beside == "damage":
        evaluated.write_bytes(b"cut off")
    else:
        save_checkpoint(evaluated, make_checkpoint("concat"))
        (evaluated.parent / "served").mkdir()
        final = final.rename(evaluated.parent / "served/model.safetensors")
    Predictor.load(final)
    assert caplog.text == ""


def test_a_model_that_is_no_final_fit_is_never_stale(
    make_checkpoint: Make, final: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_checkpoint(final, make_checkpoint("concat"))
    Predictor.load(final)
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("name", "place", "command"),
    [("ensemble", "ensemble_final", "--pipelines ensemble,"), ("ridge", "final/model", "--pipelines predict_ridge,")],
)
def test_ensembles_and_estimators_likewise(
    make_ensemble: Callable[..., EnsembleDraft],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
    place: str,
    command: str,
) -> None:
    final = tmp_path / place
    evaluated = evaluated_beside(final)
    assert evaluated is not None
    save_ensemble(evaluated, make_ensemble(name=name))
    data = {EVALUATED: load_ensemble(evaluated).digest}
    final.parent.mkdir(exist_ok=True)
    save_ensemble(final, make_ensemble(name=name, data=data))
    Predictor.load(final)
    assert caplog.text == ""

    save_ensemble(evaluated, make_ensemble(name=name, median_price=8.0))
    Predictor.load(final)
    assert "this final fit is stale" in caplog.text
    assert command in caplog.text


def _entries() -> dict[str, Mapping[str, Any]]:
    files = (BASE / stage / "catalog.yml" for stage in ("final_fit", "ensembling"))
    entries = [entry for file in files for entry in yaml.safe_load(file.read_text(encoding="utf-8")).items()]
    return {name: entry for name, entry in entries if name.endswith(".final_checkpoint")}


@pytest.mark.parametrize("name", sorted(_entries()))
def test_looks_where_the_catalog_keeps_the_evaluated_model(name: str) -> None:
    entry = _entries()[name]
    assert evaluated_beside(Path(entry["filepath"])) == Path(entry["evaluated"]["filepath"])


def test_its_examples() -> None:
    results = doctest.testmod(stale_final_fits)
    assert results.attempted
    assert not results.failed
