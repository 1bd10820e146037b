"""Splits: whole groups, fair shares of each price stratum, and nothing that an encoder was tuned on outside train."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.data.splits import NO_FOLD, evaluated_split, report_split, split_samples
from price_fusion.errors import AlignmentError, DataError

FRACTIONS = st.sampled_from([(0.7, 0.1, 0.2), (0.8, 0.2, 0.0), (0.5, 0.25, 0.25), (1 / 3, 1 / 3, 1 / 3)])


def products(count: int, *, groups: int | None = None, seed: int = 0) -> pd.DataFrame:
    """A sample table with skewed prices; ``groups`` None puts each product into a group of its own."""
    generator = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "sample_id": generator.permutation(count * 3)[:count],
            "price": generator.lognormal(2.7, 1.0, count),
            "group_key": np.arange(count) if groups is None else generator.integers(0, groups, count),
        }
    )


def split(samples: pd.DataFrame, **changes: Any) -> pd.DataFrame:
    """The split table by default parameters, or changed ones."""
    defaults: dict[str, Any] = {
        "fractions": (0.7, 0.1, 0.2),
        "price_quantiles": 10,
        "folds": 5,
        "tuned_on": {},
        "seed": 41,
    }
    return split_samples(samples, **(defaults | changes))


@st.composite
def cases(draw: st.DrawFn) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Products in groups, some of them tuned on, and how to split them."""
    count = draw(st.integers(150, 400))
    samples = products(count, groups=draw(st.sampled_from([None, count, count // 2])), seed=draw(st.integers(0, 99)))
    tuned = draw(st.sampled_from([0, 1, count // 5]))
    options = {
        "fractions": draw(FRACTIONS),
        "price_quantiles": draw(st.sampled_from([1, 4, 10])),
        "folds": draw(st.integers(2, 7)),
        "tuned_on": {"a": samples["sample_id"].to_numpy()[:tuned], "b": np.array([-5, -6])},
        "seed": draw(st.integers(0, 2**31 - 1)),
    }
    return samples, options


@given(cases())
def test_groups_stay_together(case: tuple[pd.DataFrame, dict[str, Any]]) -> None:
    samples, options = case
    table = split(samples, **options)
    per_group = table.assign(group=samples["group_key"]).groupby("group")
    assert per_group["split"].nunique().max() == 1
    assert per_group["fold"].nunique().max() == 1


@given(cases())
def test_groups_that_an_encoder_was_tuned_on_are_train_only(case: tuple[pd.DataFrame, dict[str, Any]]) -> None:
    samples, options = case
    table = split(samples, **options)
    tuned = samples["sample_id"].isin(options["tuned_on"]["a"])
    assert table["tuned_on"].tolist() == tuned.tolist()
    bound = samples["group_key"].isin(samples.loc[tuned, "group_key"])
    assert set(table.loc[bound, "split"]) <= {"train"}
    assert set(table.loc[bound, "fold"]) <= {NO_FOLD}


@given(cases())
def test_folds_cover_what_is_neither_holdout_nor_tuned_on(case: tuple[pd.DataFrame, dict[str, Any]]) -> None:
    samples, options = case
    table = split(samples, **options)
    tuned_groups = samples.loc[table["tuned_on"], "group_key"]
    outside = (table["split"] == "holdout") | samples["group_key"].isin(tuned_groups)
    assert (table.loc[outside, "fold"] == NO_FOLD).all()
    assert table.loc[~outside, "fold"].between(0, options["folds"] - 1).all()
    sizes = table.loc[~outside, "fold"].value_counts()
    largest = samples["group_key"].value_counts().max()
    assert (abs(sizes - (~outside).sum() / options["folds"]) <= 2 * largest * options["price_quantiles"]).all()


@given(cases())
def test_each_split_gets_its_share(case: tuple[pd.DataFrame, dict[str, Any]]) -> None:
    samples, options = case
    table = split(samples, **options)
    assert table["sample_id"].tolist() == samples["sample_id"].tolist()
    free = table[~samples["group_key"].isin(samples.loc[table["tuned_on"], "group_key"])]
    # Both bounds of a part fall within one group of each stratum.
    tolerance = 2 * samples["group_key"].value_counts().max() * options["price_quantiles"]
    for name, fraction in zip(("train", "validation", "holdout"), options["fractions"], strict=True):
        assert abs((free["split"] == name).sum() - fraction * len(free)) <= tolerance


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("groups", [None, 2_000])
def test_shares_of_many_products_are_close(seed: int, groups: int | None) -> None:
    table = split(products(3_000, groups=groups, seed=seed), seed=seed)
    shares = table["split"].value_counts(normalize=True)
    assert shares.to_dict() == pytest.approx({"train": 0.7, "validation": 0.1, "holdout": 0.2}, abs=0.005)


def test_each_price_stratum_is_divided_alike() -> None:
    samples = products(1_000)
    strata = samples["price"].rank(method="first").astype(int).sub(1) // 100
    counts = pd.crosstab(strata, split(samples)["split"])
    for name, rows in {"train": 70, "validation": 10, "holdout": 20}.items():
        assert counts[name].between(rows - 1, rows + 1).all()


def test_the_order_of_the_rows_does_not_decide() -> None:
    table = split(products(1_000), price_quantiles=1, folds=2)
    for half in (table[:500], table[500:]):
        assert (half["split"] == "holdout").mean() == pytest.approx(0.2, abs=0.06)
        assert (half.loc[half["fold"] >= 0, "fold"] == 0).mean() == pytest.approx(0.5, abs=0.1)


def test_the_references_split_has_no_holdout() -> None:
    table = split(products(500), fractions=(0.8, 0.2, 0.0))
    assert set(table["split"]) == {"train", "validation"}
    assert (table["fold"] >= 0).all()
    assert evaluated_split(table) == "validation"
    assert evaluated_split(split(products(500))) == "holdout"


def test_the_same_seed_gives_the_same_split_and_another_seed_another() -> None:
    samples = products(300, groups=250)
    pd.testing.assert_frame_equal(split(samples), split(samples))
    assert (split(samples)["split"] != split(samples, seed=42)["split"]).any()


def test_one_price_for_all_products_is_one_stratum() -> None:
    table = split(products(200).assign(price=9.99))
    assert table["split"].value_counts().to_dict() == pytest.approx(
        {"train": 140, "validation": 20, "holdout": 40}, abs=1
    )


@pytest.mark.parametrize("name", ["validation", "holdout"])
def test_refuses_a_split_without_rows(name: str) -> None:
    fractions = (0.5, 0.5, 0.0) if name == "validation" else (0.4, 0.4, 0.2)
    samples = products(100)
    bound = samples["sample_id"].to_numpy() if name == "validation" else samples["sample_id"].to_numpy()[:-2]
    with pytest.raises(DataError, match=rf"split '{name}' gets none of the 100 .* \({len(bound)} of them"):
        split(samples, fractions=fractions, tuned_on={"a": bound}, seed=3, price_quantiles=1)


def test_report_counts_rows_groups_prices_and_tuned_on_ids() -> None:
    samples = pd.DataFrame(
        {"sample_id": [1, 2, 3, 4, 5], "price": [1.0, 2.0, 6.0, 10.0, 20.0], "group_key": [0, 0, 1, 2, 3]}
    )
    table = pd.DataFrame(
        {
            "sample_id": samples["sample_id"],
            "split": ["train", "train", "train", "validation", "validation"],
            "fold": [0, 0, NO_FOLD, 1, 0],
            "tuned_on": [False, False, True, False, False],
        }
    )
    report = report_split(samples, table, {"words": np.array([3, 77])})
    assert report["rows"] == 5
    assert report["splits"]["train"] == {
        "rows": 3,
        "groups": 2,
        "median_price": 2.0,
        "mean_price": 3.0,
        "rows_tuned_on": 1,
    }
    assert report["splits"]["validation"]["mean_price"] == 15.0
    assert report["splits"]["holdout"]["rows"] == 0
    assert report["splits"]["holdout"]["median_price"] is None
    assert report["folds"] == {"0": 3, "1": 1}
    assert report["tuned_on"] == {"words": {"ids": 2, "rows": 1}}


def test_ids_in_a_file_of_text_are_split_as_numbers_are() -> None:
    samples = products(200)
    text = samples.assign(sample_id=[str(number) for number in samples["sample_id"]])
    tuned = samples["sample_id"].to_numpy()[:20]
    one = split(samples, tuned_on={"a": tuned})
    other = split(text, tuned_on={"a": np.array([str(number) for number in tuned])})
    pd.testing.assert_frame_equal(one.drop(columns="sample_id"), other.drop(columns="sample_id"))
    assert other["sample_id"].tolist() == text["sample_id"].tolist()
    assert report_split(text, other, {"a": np.array(["B-1", text["sample_id"][3]])})["tuned_on"]["a"]["rows"] == 1


@given(cases())
def test_the_split_of_a_product_does_not_depend_on_the_order_of_rows(case: tuple[pd.DataFrame, dict[str, Any]]) -> None:
    samples, options = case
    shuffled = samples.sample(frac=1, random_state=options["seed"] % 1_000)
    one, other = (split(table, **options).set_index("sample_id").sort_index() for table in (samples, shuffled))
    pd.testing.assert_frame_equal(one, other)


def test_ids_of_tuned_products_that_only_look_alike_are_refused() -> None:
    samples = products(100).assign(sample_id=[f"{number:05d}" for number in range(100)])
    with pytest.raises(AlignmentError, match=r"a\.tuned_on_ids: 0 of its 2 ids .* look alike"):
        split(samples, tuned_on={"a": np.array([7, 8])})
