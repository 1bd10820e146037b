"""What holds for every kind of estimator."""

from __future__ import annotations

import importlib.util
import itertools
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from price_fusion.compute import progress
from price_fusion.errors import CheckpointError, DataError, MissingPackageError, ParameterError, TrainingError
from price_fusion.models.estimators import (
    ESTIMATORS,
    Estimator,
    fit_estimator,
    load_estimator,
    refit_estimator,
)
from price_fusion.models.features import features_from_arrays
from price_fusion.parameters import ComparisonParameters
from price_fusion.storage.sealed import SEAL, sealed

PACKAGES = [kind for kind in ("lightgbm", "catboost") if importlib.util.find_spec(kind) is None]
KINDS = [
    pytest.param(kind, marks=pytest.mark.skipif(kind in PACKAGES, reason=f"{kind} is an optional extra"))
    for kind in ESTIMATORS
    if kind != "tabicl"  # it needs a checkpoint: test_tabicl.py
]

Fitted = Callable[..., Estimator]


def changed_record(folder: Path, change: dict[str, Any]) -> None:
    """A record that says something else, under a seal that fits."""
    record = json.loads((folder / "estimator.json").read_text())
    del record[SEAL]
    (folder / "estimator.json").write_text(sealed(record | change))


@pytest.fixture
def saved(made: Any, fitted: Fitted, tmp_path: Path) -> Path:
    """The folder of a ridge regression."""
    fitted("ridge", made).save(tmp_path / "ridge")
    return tmp_path / "ridge"


def test_the_kinds_are_those_that_are_documented() -> None:
    assert {kind: estimator.kind for kind, estimator in ESTIMATORS.items()} == {
        kind: kind for kind in ("ridge", "kernel_ridge", "neighbours", "lightgbm", "catboost", "tabicl")
    }


@pytest.mark.parametrize("kind", KINDS)
def test_learns(kind: str, made: Any, fitted: Fitted) -> None:
    rows = made.other_rows
    known = made.features.known().numpy()[rows]
    error = np.abs(fitted(kind, made).log_prices(made.features, rows) - made.log_prices[rows])[known].mean()
    assert error < 0.85 * np.abs(made.log_prices[rows] - np.median(made.log_prices))[known].mean()


@pytest.mark.parametrize("kind", KINDS)
def test_only_fit_and_stop_rows_are_looked_at(kind: str, made: Any, fitted: Fitted) -> None:
    rows = made.other_rows
    changed = fitted(kind, made.changed(rows))
    before = fitted(kind, made).log_prices(made.features, rows)
    np.testing.assert_array_equal(changed.log_prices(made.features, rows), before)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_again(kind: str, made: Any, fitted: Fitted) -> None:
    rows = made.other_rows
    np.testing.assert_array_equal(*(fitted(kind, made).log_prices(made.features, rows) for _ in range(2)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_estimator_gives_the_same_prices(kind: str, made: Any, fitted: Fitted, tmp_path: Path) -> None:
    estimator = fitted(kind, made)
    estimator.save(tmp_path / "a" / kind)
    again = load_estimator(tmp_path / "a" / kind, threads=1)
    assert type(again) is type(estimator)
    assert again.description.settings == estimator.description.settings
    assert again.design == estimator.design
    rows = np.arange(len(made.log_prices))
    np.testing.assert_array_equal(
        again.log_prices(made.features, rows), estimator.log_prices(made.features, rows), strict=True
    )
    assert {path.name for path in (tmp_path / "a" / kind).iterdir()} == {"estimator.json", estimator.file}
    again.save(tmp_path / "b")
    third = load_estimator(tmp_path / "b", threads=1)
    np.testing.assert_array_equal(third.log_prices(made.features, rows), again.log_prices(made.features, rows))


@pytest.mark.parametrize("kind", KINDS)
def test_refitted_on_its_fit_rows_it_is_what_it_was(kind: str, made: Any, fitted: Fitted, tmp_path: Path) -> None:
    options, rows = ComparisonParameters(boosting_threads=1), made.other_rows
    fitted(kind, made).save(tmp_path / kind)
    estimator = load_estimator(tmp_path / kind, threads=1)
    again = refit_estimator(estimator, made.features, made.log_prices, made.fit_rows, options=options)
    assert again.description == estimator.description
    np.testing.assert_allclose(
        again.log_prices(made.features, rows), estimator.log_prices(made.features, rows), rtol=1e-6
    )


@pytest.mark.parametrize("kind", KINDS)
def test_refitted_on_other_rows_it_keeps_its_settings_and_learns_from_them(
    kind: str, made: Any, fitted: Fitted
) -> None:
    estimator, every = fitted(kind, made), np.arange(len(made.log_prices))
    refit = [
        refit_estimator(estimator, one.features, one.log_prices, every) for one in (made, made.changed(made.other_rows))
    ]
    assert refit[0].description.settings == estimator.description.settings
    assert refit[0].description.median_log_price == np.median(made.log_prices)
    assert not np.allclose(*(one.log_prices(made.features, made.fit_rows) for one in refit))


@pytest.mark.parametrize("kind", KINDS)
def test_fitted_on_stop_rows_too_it_has_the_settings_that_they_chose(kind: str, made: Any, fitted: Fitted) -> None:
    options, rows = ComparisonParameters(boosting_rounds=60, boosting_threads=1), np.r_[made.stop_rows, made.fit_rows]
    both = fit_estimator(
        kind, made.features, made.sources, made.log_prices, made.fit_rows, made.stop_rows,
        options=options, seed=3, fit_stop_rows=True,
    )  # fmt: skip
    again = refit_estimator(fitted(kind, made), made.features, made.log_prices, np.sort(rows), options=options)
    assert both.description == again.description
    other = made.other_rows
    np.testing.assert_array_equal(
        both.log_prices(made.features, other), again.log_prices(made.features, other), strict=True
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_product_that_no_source_knows_gets_the_median_of_the_fit_rows(kind: str, made: Any, fitted: Fitted) -> None:
    features = made.features
    for source in features.sources.values():
        source.rows[[200, 240]] = -1
    prices = fitted(kind, made).log_prices(features, np.array([240, 241, 200]))
    assert prices[0] == prices[2] == np.median(made.log_prices[made.fit_rows]) != prices[1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_source_is_enough(kind: str, made: Any, fitted: Fitted) -> None:
    estimator = fitted(kind, made)
    for name, array in made.arrays.items():
        alone = features_from_arrays({name: array[:5]}, made.sources, dict.fromkeys(made.sources, "float32"))
        assert np.isfinite(estimator.log_prices(alone, np.arange(5))).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["words", "facts"])
def test_fits_on_one_source_alone(kind: str, name: str, made: Any) -> None:
    sources = {name: made.sources[name]}
    options = ComparisonParameters(boosting_rounds=5, boosting_threads=1)
    estimator = fit_estimator(
        kind, made.features, sources, made.log_prices, made.fit_rows, made.stop_rows, options=options
    )
    assert estimator.sources == sources
    assert np.isfinite(estimator.log_prices(made.features, made.other_rows)).all()


def test_prices_are_within_the_range_of_the_fit_rows(made: Any, fitted: Fitted) -> None:
    estimator = fitted("ridge", made)
    estimator.intercept = 1e3  # type: ignore[attr-defined]
    assert np.expm1(estimator.log_prices(made.features, np.arange(3))) == pytest.approx(estimator.price_scale.highest)
    estimator.intercept = -1e3  # type: ignore[attr-defined]
    assert np.expm1(estimator.log_prices(made.features, np.arange(3))) == pytest.approx(estimator.price_scale.lowest)


def test_blocks_of_rows_do_not_matter(made: Any, fitted: Fitted, monkeypatch: pytest.MonkeyPatch) -> None:
    estimator, rows = fitted("ridge", made), np.random.default_rng(0).permutation(260)
    whole = estimator.log_prices(made.features, rows)
    monkeypatch.setattr("price_fusion.models.estimators.design.blocks.__defaults__", (7,))
    np.testing.assert_allclose(estimator.log_prices(made.features, rows), whole, rtol=1e-6)
    np.testing.assert_allclose(fitted("ridge", made).log_prices(made.features, rows), whole, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_in_whole_blocks_a_price_is_the_same_bits_in_any_order_and_company(
    kind: str, made: Any, fitted: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    estimator, rows = fitted(kind, made), np.arange(260)
    together = estimator.log_prices(made.features, rows, whole_blocks=True)
    shuffled = np.random.default_rng(5).permutation(260)
    assert np.array_equal(estimator.log_prices(made.features, shuffled, whole_blocks=True), together[shuffled])
    for some in (rows[:1], rows[7:40], shuffled[:201]):
        assert np.array_equal(estimator.log_prices(made.features, some, whole_blocks=True), together[some])
    monkeypatch.setattr("price_fusion.models.estimators.design.blocks.__defaults__", (512,))
    many = np.tile(shuffled, 5)
    assert np.array_equal(estimator.log_prices(made.features, many, whole_blocks=True), together[many])


@pytest.mark.parametrize("kind", ["lightgbm", "catboost"])
def test_without_its_package_a_message_says_how_to_get_it(
    kind: str, made: Any, fitted: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, kind, None)
    with pytest.raises(
        MissingPackageError,
        match=rf'{kind} is not installed: pip install --constraint requirements\.lock --editable "\.\[{kind}\]"',
    ):
        fitted(kind, made)


@pytest.mark.parametrize("kind", [param for param in KINDS if param.values[0] in ("lightgbm", "catboost")])
def test_boosting_that_takes_long_says_how_far_it_is(
    kind: str, made: Any, fitted: Fitted, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger=progress.logger.name)
    estimator = fitted(kind, made)
    assert not [line for line in caplog.messages if "left" in line]

    monkeypatch.setattr(progress, "perf_counter", itertools.count().__next__)
    slow = fitted(kind, made)
    assert f"fitting {kind}: 10 of 60 rounds at most, 50 s left" in caplog.messages
    assert slow.description.settings == estimator.description.settings

    caplog.clear()
    refit_estimator(
        estimator, made.features, made.log_prices, made.fit_rows, options=ComparisonParameters(boosting_threads=1)
    )
    rounds = estimator.description.settings["rounds"]
    assert f"fitting {kind}: 10 of {rounds} rounds, {rounds - 10} s left" in caplog.messages


def test_comparing_many_products_says_how_far_it_is(
    made: Any, fitted: Fitted, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger=progress.logger.name)
    monkeypatch.setattr(progress, "perf_counter", itertools.count(step=20).__next__)
    for kind in ("kernel_ridge", "neighbours"):
        monkeypatch.setattr(f"price_fusion.models.estimators.{kind}.QUERY_ROWS", 64)
        fitted(kind, made).log_prices(made.features, made.fit_rows)
    shown = {line.split(": 64 of ")[0] for line in caplog.messages if "products" in line and "left" in line}
    assert shown >= {"kernel_ridge: comparing fit rows", "predicting with kernel_ridge", "predicting with neighbours"}


def test_an_unknown_kind_is_refused(made: Any, fitted: Fitted) -> None:
    with pytest.raises(ParameterError, match="no estimator 'forest', expected one of ridge, kernel_ridge, neighbours"):
        fitted("forest", made)


@pytest.mark.parametrize(
    ("fit", "stop", "message"),
    [
        ([], [5], "0 fit rows and 1 stop rows"),
        ([1, 2], [], "2 fit rows and 0 stop rows"),
        ([1, 2, 3], [7, 3], "1 row.* the first row 3"),
        ([1, 2], [3, 4], "log price of row 4 is nan"),
    ],
)
def test_rows_that_cannot_be_fitted_on_are_refused(made: Any, fit: list[int], stop: list[int], message: str) -> None:
    made.log_prices[4] = np.nan
    rows = (np.array(part, np.int64) for part in (fit, stop))
    with pytest.raises(DataError, match=message):
        fit_estimator("ridge", made.features, made.sources, made.log_prices, *rows)


def test_a_damaged_file_is_refused(saved: Path) -> None:
    path = saved / "weights.safetensors"
    contents = bytearray(path.read_bytes())
    contents[-1] ^= 1
    path.write_bytes(contents)
    with pytest.raises(CheckpointError, match=r"weights\.safetensors: damaged .*expected.*Fit again"):
        load_estimator(saved)
    path.unlink()
    with pytest.raises(CheckpointError, match=r"weights\.safetensors: missing, .*Fit again"):
        load_estimator(saved)


def test_a_file_of_another_kind_is_refused(saved: Path, made: Any, fitted: Fitted) -> None:
    fitted("neighbours", made).save(saved)
    (saved / "neighbours.safetensors").replace(saved / "weights.safetensors")
    changed_record(saved, {"kind": "ridge"})
    with pytest.raises(CheckpointError, match=r"weights\.safetensors: not what a ridge estimator writes"):
        load_estimator(saved)


def test_a_folder_without_a_record_is_no_estimator(saved: Path) -> None:
    (saved / "estimator.json").unlink()
    with pytest.raises(CheckpointError, match=r"ridge: no estimator here \(no estimator.json\)"):
        load_estimator(saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 1}, "estimator of format 1, written by price-fusion.*Fit again"),
        ({"kind": "forest"}, "kind 'forest', expected one of ridge"),
        ({"estimator": {}}, "estimator.json: damaged"),
        ({"surplus": 1}, "estimator.json: damaged"),
    ],
)
def test_a_record_that_does_not_fit_is_refused(saved: Path, change: dict[str, Any], message: str) -> None:
    changed_record(saved, change)
    with pytest.raises(CheckpointError, match=message):
        load_estimator(saved)


@pytest.mark.parametrize(("text", "message"), [("{", "not JSON"), ("[]", "a list, expected an object")])
def test_a_record_that_is_none_is_refused(saved: Path, text: str, message: str) -> None:
    (saved / "estimator.json").write_text(text)
    with pytest.raises(CheckpointError, match=message):
        load_estimator(saved)


def test_a_changed_record_is_noticed(saved: Path) -> None:
    path = saved / "estimator.json"
    path.write_text(path.read_text().replace('"penalty": ', '"penalty": 1'))
    with pytest.raises(
        CheckpointError, match=r"estimator\.json: damaged manifest \(sha256 of its contents.*bring the folder back"
    ):
        load_estimator(saved)


def test_what_fails_to_be_written_leaves_the_estimator_before(
    saved: Path, made: Any, fitted: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    estimator = fitted("ridge", made)
    monkeypatch.setattr(estimator, "write", lambda path: path.write_bytes(b"")[7])
    with pytest.raises(TypeError):
        estimator.save(saved)
    rows = made.other_rows
    prices = load_estimator(saved).log_prices(made.features, rows)
    np.testing.assert_array_equal(prices, estimator.log_prices(made.features, rows))
    assert [path.name for path in saved.parent.iterdir()] == ["ridge"]


@pytest.mark.parametrize("kind", KINDS[3:])
def test_the_stop_rows_end_boosting(kind: str, made: Any, fitted: Fitted) -> None:
    few, many = (fitted(kind, made, rounds=rounds).description.settings["rounds"] for rounds in (7, 2_000))
    assert few <= 7 < many < 2_000


@pytest.mark.parametrize("kind", KINDS[3:])
def test_threads_do_not_change_boosting(kind: str, made: Any) -> None:
    prices = []
    for threads in (1, 2):
        options = ComparisonParameters(boosting_rounds=30, boosting_threads=threads)
        estimator = fit_estimator(
            kind, made.features, made.sources, made.log_prices, made.fit_rows, made.stop_rows, options=options
        )
        prices.append(estimator.log_prices(made.features, made.other_rows))
    np.testing.assert_array_equal(*prices)


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_matters_only_to_boosting(kind: str, made: Any, fitted: Fitted) -> None:
    one, other = (fitted(kind, made, seed=seed).log_prices(made.features, made.other_rows) for seed in (1, 2))
    assert np.array_equal(one, other) == (kind in ("ridge", "kernel_ridge", "neighbours"))


def test_heavy_packages_are_imported_only_where_they_are_used(modules_after: Callable[[str], set[str]]) -> None:
    loaded = modules_after("import price_fusion.models.estimators")
    assert not loaded & {"lightgbm", "catboost", "sklearn", "tabicl"}


def test_boosting_leaves_no_files(made: Any, fitted: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("catboost")
    monkeypatch.chdir(tmp_path)
    fitted("catboost", made)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif("catboost" in PACKAGES, reason="catboost is an optional extra")
def test_what_catboost_cannot_be_fitted_on_is_named(made: Any, fitted: Fitted, monkeypatch: pytest.MonkeyPatch) -> None:
    import catboost

    def refuse(*_: Any, **__: Any) -> None:
        raise catboost.CatBoostError("All features are constant")

    monkeypatch.setattr(catboost.CatBoostRegressor, "fit", refuse)
    with pytest.raises(TrainingError, match=r"catboost cannot be fitted on \d+ products .* features are constant"):
        fitted("catboost", made)


@pytest.mark.parametrize("kind", KINDS)
def test_where_all_prices_are_one_that_one_is_predicted(kind: str, made: Any, fitted: Fitted) -> None:
    made.log_prices[:] = 2.0
    np.testing.assert_allclose(fitted(kind, made).log_prices(made.features, made.other_rows), 2.0, rtol=1e-5)
