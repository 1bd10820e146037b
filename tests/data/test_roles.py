"""Roles: who may see what. No row serves two ends, and nobody sees the holdout."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.data.roles import (
    EVALUATED,
    STOP_FRACTION,
    Roles,
    folds_of,
    refuse_stale,
    roles_of_final_fit,
    roles_of_fold,
    roles_of_refit,
    roles_of_split,
    rows_to_report,
)
from price_fusion.data.splits import NO_FOLD, split_samples
from price_fusion.errors import CheckpointError, ComparisonError, DataError
from price_fusion.storage.fingerprint import frame_fingerprint

Case = tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]


@st.composite
def cases(draw: st.DrawFn, holdout: float = 0.2) -> Case:
    """Products in groups, some of them tuned on; their split; and what roles are asked with."""
    count, seed = draw(st.integers(150, 300)), draw(st.integers(0, 99))
    generator = np.random.default_rng(seed)
    groups = draw(st.sampled_from([count, count // 2]))
    samples = pd.DataFrame(
        {
            "sample_id": generator.permutation(count * 3)[:count],
            "price": generator.lognormal(2.7, 1.0, count),
            "group_key": generator.integers(0, groups, count),
        }
    )
    tuned = draw(st.sampled_from([0, 5, count // 10]))
    split_table = split_samples(
        samples,
        fractions=(0.9 - holdout, 0.1, holdout),
        price_quantiles=5,
        folds=draw(st.integers(2, 6)),
        tuned_on={"a": samples["sample_id"].to_numpy()[:tuned]},
        seed=seed,
    )
    return samples, split_table, {"selects": draw(st.booleans()), "seed": draw(st.integers(0, 1_000))}


def all_roles(case: Case) -> list[Roles]:
    """Roles of the split, of each fold, and of all rows."""
    samples, split_table, options = case
    folds = [roles_of_fold(samples, split_table, fold, **options) for fold in folds_of(split_table)]
    return [
        roles_of_split(samples, split_table, **options),
        *folds,
        roles_of_refit(samples, split_table, **options),
    ]


def parts(roles: Roles) -> list[np.ndarray]:
    return [roles.fit, roles.stop, roles.calibrate, roles.report]


@given(cases())
def test_no_row_has_two_roles(case: Case) -> None:
    for roles in all_roles(case):
        together = np.concatenate(parts(roles))
        assert len(together) == len(set(together.tolist()))
        assert all((np.diff(part) > 0).all() for part in parts(roles))
        assert roles.watched is (roles.stop if len(roles.stop) else roles.calibrate)


@given(cases())
def test_holdout_rows_report_and_do_nothing_else(case: Case) -> None:
    held_out = np.flatnonzero(case[1]["split"] == "holdout")
    for roles in all_roles(case):
        assert roles.report.tolist() == held_out.tolist()


@given(cases())
def test_groups_have_one_role(case: Case) -> None:
    groups = case[0]["group_key"].to_numpy()
    for roles in all_roles(case):
        seen = [set(groups[part].tolist()) for part in parts(roles)]
        assert sum(map(len, seen)) == len(set.union(*seen))


@given(cases())
def test_rows_that_an_encoder_was_tuned_on_only_ever_fit(case: Case) -> None:
    samples, split_table, _ = case
    bound = samples["group_key"].isin(samples.loc[split_table["tuned_on"], "group_key"]).to_numpy()
    for roles in all_roles(case):
        assert set(np.flatnonzero(bound)) <= set(roles.fit)


@given(cases())
def test_each_row_of_a_fold_is_calibrated_on_once_over_the_folds(case: Case) -> None:
    samples, split_table, options = case
    folds = folds_of(split_table)
    calibrated = [roles_of_fold(samples, split_table, fold, **options).calibrate for fold in folds]
    for fold, rows in zip(folds, calibrated, strict=True):
        assert set(split_table["fold"].to_numpy()[rows]) == {fold}
    assert sorted(np.concatenate(calibrated)) == np.flatnonzero(split_table["fold"] != NO_FOLD).tolist()


@given(cases())
def test_every_labelled_row_is_used(case: Case) -> None:
    for roles in all_roles(case):
        assert sum(map(len, parts(roles))) == len(case[0])


@given(cases(), st.floats(0.1, 50), st.floats(0, 9))
def test_prices_of_the_holdout_decide_nothing(case: Case, factor: float, more: float) -> None:
    samples, split_table, options = case
    held_out = (split_table["split"] == "holdout").to_numpy()
    changed = samples.assign(price=samples["price"].where(~held_out, samples["price"] * factor + more))
    for before, after in zip(all_roles(case), all_roles((changed, split_table, options)), strict=True):
        for one, other in zip(parts(before), parts(after), strict=True):
            np.testing.assert_array_equal(one, other)


@given(cases())
def test_the_seed_decides_where_something_is_selected_and_nowhere_else(case: Case) -> None:
    samples, split_table, options = case
    seeds = [options["seed"], options["seed"], *range(2_000, 2_005)]
    found = [all_roles((samples, split_table, options | {"seed": seed})) for seed in seeds]
    stops = [[roles.stop.tolist() for roles in one] for one in found]
    assert stops[0] == stops[1]
    assert (stops[0] in stops[2:] and not any(stops[0])) or options["selects"]
    assert not options["selects"] or any(stop != stops[0] for stop in stops[2:])


@given(cases())
def test_shares_of_stop_rows(case: Case) -> None:
    samples, split_table, options = case
    largest = samples["group_key"].value_counts().max()
    whole, *of_folds = all_roles(case)
    if not options["selects"]:
        assert not any(len(roles.stop) for roles in (whole, *of_folds))
        return
    tolerance = 2 * largest * 10  # price quantiles
    assert abs(len(whole.stop) - len(whole.calibrate)) <= 2 * tolerance
    for roles in of_folds:
        free = len(roles.stop) + (split_table["fold"].to_numpy()[roles.fit] != NO_FOLD).sum()
        assert abs(len(roles.stop) - STOP_FRACTION * free) <= tolerance


@given(cases(holdout=0.0))
def test_without_a_holdout_validation_rows_report(case: Case) -> None:
    samples, split_table, options = case
    validation = np.flatnonzero(split_table["split"] == "validation").tolist()
    assert rows_to_report(split_table).tolist() == validation
    assert roles_of_split(samples, split_table, **options).report.tolist() == validation
    assert not len(roles_of_fold(samples, split_table, 0, **options).report)


@pytest.mark.parametrize("folds", [[], [0]])
def test_cross_validation_needs_two_folds(folds: list[int]) -> None:
    split_table = pd.DataFrame({"fold": [NO_FOLD, *folds]})
    with pytest.raises(DataError, match=rf"the split has {len(folds)} fold\(s\).*at least two.*lower splitting\.folds"):
        folds_of(split_table)


@given(cases())
def test_a_model_of_all_rows_sees_all_but_the_holdout(case: Case) -> None:
    samples, split_table, options = case
    roles = roles_of_refit(samples, split_table, **options)
    assert np.array_equal(np.union1d(roles.fit, roles.stop), np.flatnonzero(split_table["split"] != "holdout"))
    assert not len(roles.calibrate)
    assert bool(len(roles.stop)) == options["selects"]


@given(cases())
def test_a_final_fit_fits_every_row_and_chooses_on_none(case: Case) -> None:
    roles = roles_of_final_fit(case[0])
    assert np.array_equal(roles.fit, np.arange(len(case[0])))
    assert not any(len(part) for part in parts(roles)[1:])


def test_a_final_fit_is_not_reported_on() -> None:
    split_table = pd.DataFrame({"sample_id": [1, 2], "split": ["train", "holdout"], "fold": [0, -1]})
    with pytest.raises(ComparisonError, match="moe: this is a final fit on all labelled rows, the holdout among them"):
        rows_to_report(split_table, SimpleNamespace(name="moe", data={EVALUATED: "x"}))


@pytest.mark.parametrize(("name", "command"), [("moe", "predict_moe"), ("ensemble", "ensemble")])
def test_a_final_fit_of_an_earlier_training_is_stale(name: str, command: str) -> None:
    final = SimpleNamespace(name=name, data={EVALUATED: "x"})
    refuse_stale(final, "x")
    with pytest.raises(CheckpointError, match=rf"final fit is stale.*--pipelines {command}\)"):
        refuse_stale(final, "y")


def test_a_model_of_another_split_is_not_reported_on() -> None:
    """Its train rows may be held out now."""
    split_table = pd.DataFrame(
        {"sample_id": [1, 2, 3], "split": ["train", "validation", "holdout"], "fold": [0, 1, -1]}
    )
    model = SimpleNamespace(name="moe", data={"samples": "x", "split": frame_fingerprint(split_table)})
    assert rows_to_report(split_table, model).tolist() == [2]
    assert rows_to_report(split_table, SimpleNamespace(name="moe", data={})).tolist() == [2]  # it does not say
    other = split_table.assign(split=["holdout", "validation", "train"])
    with pytest.raises(
        ComparisonError, match=r"moe was trained on another split .*\(kedro run --pipelines train_moe\)"
    ):
        rows_to_report(other, model)
