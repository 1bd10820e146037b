"""TabICL with a tiny checkpoint of random weights: what it predicts means nothing, and is not what is tested."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from price_fusion.errors import (
    CheckpointError,
    MissingCheckpointError,
    MissingPackageError,
    TrainingError,
    UnsafePickleError,
)
from price_fusion.models.estimators import (
    Estimator,
    deciding,
    fit_estimator,
    load_estimator,
    refit_estimator,
)
from price_fusion.models.estimators.pretrained.tabicl import CELL_COPIES, QUERY_ROWS, most_rows
from price_fusion.models.estimators.pretrained.tabicl_checkpoint import TabICLCheckpoint
from price_fusion.parameters import ComparisonParameters

CONFIG: dict[str, Any] = {
    "max_classes": 0, "num_quantiles": 9, "embed_dim": 8, "col_num_blocks": 1, "col_nhead": 1, "col_num_inds": 4,
    "row_num_blocks": 1, "row_nhead": 1, "row_num_cls": 2, "icl_num_blocks": 1, "icl_nhead": 1, "zero_init": False,
}  # fmt: skip
MODULE = "price_fusion.models.estimators.pretrained.tabicl"

Fit = Callable[..., Estimator]


class RunsCode:
    """What a pickle must not get to do."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("it-ran",)


@pytest.fixture
def network() -> Callable[..., Path]:
    """A function that writes a network of random weights to a path, in the form of the published checkpoints."""
    model = pytest.importorskip("tabicl._model.tabicl", reason="tabicl is an optional extra")

    def write(path: Path, seed: int = 0, **contents: Any) -> Path:
        torch.manual_seed(seed)
        weights = model.TabICL(**CONFIG).state_dict()
        torch.save({"config": CONFIG, "state_dict": weights, **contents}, path)
        return path

    return write


def with_tabicl(**options: Any) -> ComparisonParameters:
    """Options of tabicl, whether it is installed or not."""
    return ComparisonParameters().model_copy(update={f"tabicl_{name}": value for name, value in options.items()})


@pytest.fixture
def fit(made: Any) -> Fit:
    """A function that fits tabicl with a checkpoint on made products."""

    def fitted(checkpoint: Path | str, seed: int = 3, rows: Any = None, **options: Any) -> Estimator:
        return fit_estimator(
            "tabicl", made.features, made.sources, made.log_prices, made.fit_rows if rows is None else rows, made.stop_rows,
            options=with_tabicl(checkpoint=str(checkpoint), **options), seed=seed,
        )  # fmt: skip

    return fitted


@pytest.fixture
def two_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{MODULE}.MEMBERS", 2)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Refuse whatever goes through a socket; what was tried."""
    tried: list[Any] = []

    def refuse(*arguments: Any, **_: Any) -> None:
        tried.append(arguments)
        raise OSError("no network in this test")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)
    return tried


@pytest.mark.usefixtures("two_members")
def test_fitting_saving_and_predicting_touch_no_network(
    made: Any, fit: Fit, network: Callable[..., Path], no_network: list[Any], tmp_path: Path
) -> None:
    checkpoint, rows = network(tmp_path / "net.ckpt"), made.other_rows
    estimator = fit(checkpoint, columns=3)
    prices = estimator.log_prices(made.features, rows)
    assert np.isfinite(prices).all()
    assert prices.std() > 0
    estimator.save(tmp_path / "saved")
    again = load_estimator(tmp_path / "saved")
    np.testing.assert_array_equal(again.log_prices(made.features, rows), prices)
    assert again.description == estimator.description
    assert {path.name for path in (tmp_path / "saved").iterdir()} == {"estimator.json", "tabicl.safetensors"}
    assert no_network == []


@pytest.mark.usefixtures("two_members")
def test_predictions_are_those_of_the_package_itself(
    made: Any, fit: Fit, network: Callable[..., Path], tmp_path: Path
) -> None:
    from tabicl import TabICLRegressor

    checkpoint = network(tmp_path / "net.ckpt")
    rows = made.other_rows[made.features.known().numpy()[made.other_rows]]
    estimator = fit(checkpoint, seed=5)
    design = estimator.design
    matrix = design.matrix(made.features, np.arange(len(made.log_prices)))
    assert design.width < 64  # nothing is reduced
    own = TabICLRegressor(
        n_estimators=2, model_path=checkpoint, allow_auto_download=False, device="cpu", random_state=5
    )
    own.fit(matrix[made.fit_rows], made.log_prices[made.fit_rows])
    expected = own.predict(matrix[rows], output_type="median")
    np.testing.assert_allclose(estimator.log_prices(made.features, rows), expected, rtol=1e-5)


@pytest.mark.usefixtures("two_members")
def test_the_seed_decides_and_other_rows_do_not_matter(
    made: Any, fit: Fit, network: Callable[..., Path], tmp_path: Path
) -> None:
    checkpoint, rows = network(tmp_path / "net.ckpt"), made.other_rows
    estimators = [fit(checkpoint, seed=seed) for seed in (1, 1, 2)]
    one, same, other = (estimator.log_prices(made.features, rows) for estimator in estimators)
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    np.testing.assert_allclose(estimators[0].log_prices(made.features, rows[[7]]), one[[7]], rtol=1e-5)


@pytest.mark.usefixtures("two_members")
def test_refitting_keeps_the_settings_and_the_checkpoint(
    made: Any, fit: Fit, network: Callable[..., Path], tmp_path: Path
) -> None:
    estimator = fit(network(tmp_path / "net.ckpt"), columns=3)
    again = refit_estimator(estimator, made.features, made.log_prices, np.arange(len(made.log_prices)))
    assert again.description.settings == estimator.description.settings
    assert again.context.shape == (len(made.log_prices), estimator.context.shape[1])  # type: ignore[attr-defined]


@pytest.mark.usefixtures("two_members")
def test_with_more_fit_rows_than_memory_some_are_the_context(
    made: Any, fit: Fit, network: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(f"{MODULE}.QUERY_ROWS", 50)
    with caplog.at_level(logging.INFO, "price_fusion"):
        estimator: Any = fit(network(tmp_path / "net.ckpt"), memory_gb=1e-9)
    assert "50 of 180 fit rows are its context" in caplog.text
    assert len(estimator.context) == len(estimator.log_prices_of_context) == 50
    matrix = estimator.design.matrix(made.features, made.fit_rows)
    places = [np.flatnonzero((matrix == row).all(axis=1))[0] for row in estimator.context]
    assert places == sorted(set(places))
    np.testing.assert_array_equal(estimator.log_prices_of_context, made.log_prices[made.fit_rows[places]])


def test_rows_of_the_context_follow_from_memory() -> None:
    assert most_rows(CELL_COPIES * 4e-9 * 300 * 128 * 5_000, 300, 128) == 5_000
    assert most_rows(1e-9, 300, 128) == QUERY_ROWS


def test_another_checkpoint_is_refused(fit: Fit, network: Callable[..., Path], tmp_path: Path) -> None:
    checkpoint = network(tmp_path / "net.ckpt")
    fit(checkpoint).save(tmp_path / "saved")
    network(checkpoint, seed=1)
    with pytest.raises(
        CheckpointError, match=r"net\.ckpt: damaged or exchanged.*was fitted with the checkpoint of sha256"
    ):
        load_estimator(tmp_path / "saved")
    checkpoint.unlink()
    with pytest.raises(CheckpointError, match=r"net\.ckpt: missing; .*Put that file .* there, or fit again"):
        load_estimator(tmp_path / "saved")
    network(checkpoint)
    load_estimator(tmp_path / "saved")


def test_a_checkpoint_that_is_exchanged_after_the_fit_is_refused(
    made: Any, fit: Fit, network: Callable[..., Path], tmp_path: Path
) -> None:
    estimator = fit(network(tmp_path / "net.ckpt"))
    network(tmp_path / "net.ckpt", seed=1)
    with pytest.raises(CheckpointError, match="damaged or exchanged"):
        estimator.log_prices(made.features, made.other_rows)


def test_without_a_path_a_message_says_what_to_do(fit: Fit) -> None:
    with pytest.raises(
        MissingCheckpointError, match=r"comparison\.tabicl_checkpoint, which is empty\. Nothing is downloaded"
    ):
        fit("")


def test_a_path_without_a_file_is_named(fit: Fit, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"absent\.ckpt: found no file.*Nothing is downloaded"):
        fit(tmp_path / "absent.ckpt")


def test_without_the_package_a_message_says_how_to_get_it(
    fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tabicl", None)
    (tmp_path / "any.ckpt").write_bytes(b"weights")
    with pytest.raises(
        MissingPackageError,
        match=r'tabicl is not installed: pip install --constraint requirements\.lock --editable "\.\[tabicl\]"',
    ):
        fit(tmp_path / "any.ckpt")


def written(path: Path, **contents: Any) -> TabICLCheckpoint:
    """A checkpoint without weights: what is checked of it needs no package."""
    torch.save({"config": CONFIG, "state_dict": {}, **contents}, path)
    return TabICLCheckpoint.at(str(path))


def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnsafePickleError, match=r"evil\.ckpt: refused.*it was not run"):
        written(tmp_path / "evil.ckpt", extra=RunsCode()).cell_width()
    assert not Path("it-ran").exists()


def test_the_width_of_a_cell_is_the_checkpoints(tmp_path: Path) -> None:
    assert written(tmp_path / "net.ckpt").cell_width() == 8


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({"config": {**CONFIG, "max_classes": 10}}, "a checkpoint for 10 classes, expected one for regression"),
        ({"config": {}}, "a checkpoint for some classes"),
        ({"state_dict": [1]}, "without the two mappings 'config' and 'state_dict'"),
    ],
)
def test_what_is_no_regression_checkpoint_is_refused(tmp_path: Path, contents: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        written(tmp_path / "net.ckpt", **contents).cell_width()


@pytest.mark.parametrize("left", [0, 40, -40])
def test_what_is_no_file_of_torch_is_refused(tmp_path: Path, left: int) -> None:
    path = written(tmp_path / "net.ckpt").path
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(CheckpointError, match=r"net\.ckpt: not a file of torch, or damaged"):
        TabICLCheckpoint.at(str(path)).cell_width()


def test_weights_that_do_not_fit_their_configuration_are_named(
    made: Any, fit: Fit, network: Callable[..., Path], tmp_path: Path
) -> None:
    estimator = fit(network(tmp_path / "net.ckpt", config={**CONFIG, "embed_dim": 16}))
    with pytest.raises(TrainingError, match=r"tabicl cannot take 180 products .*net\.ckpt.*Take a checkpoint of the"):
        estimator.log_prices(made.features, made.other_rows)


def test_options_of_tabicl_decide_on_tabicl_alone(tmp_path: Path) -> None:
    (tmp_path / "a.ckpt").write_bytes(b"a")
    (tmp_path / "b.ckpt").write_bytes(b"a")
    plain, *named = [
        with_tabicl(checkpoint=checkpoint) for checkpoint in ("", str(tmp_path / "a.ckpt"), str(tmp_path / "b.ckpt"))
    ]
    assert deciding(plain, "ridge") == deciding(named[0], "ridge")
    assert deciding(plain, "tabicl") != deciding(named[0], "tabicl") == deciding(named[1], "tabicl")
