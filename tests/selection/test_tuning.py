"""Tuning: what is tried, in which order, and on which rows it is judged."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from price_fusion.data.table import EmbeddingTable
from price_fusion.errors import DataError, MissingPackageError, ParameterError, StorageError, TrainingError
from price_fusion.parameters import Dimension, TuningParameters, VariantParameters
from price_fusion.selection.cross_validation import LabelledData
from price_fusion.selection.study import Report, TuningFolder, Values, open_study
from price_fusion.selection.tuning import (
    Judge,
    Tuned,
    _warn_of_chance,
    after_each_tenth,
    gain_standard_error,
    space_of,
    tune_variant,
)

pytest.importorskip("optuna")

SPACE = {
    "train.learning_rate": Dimension(low=0.001, high=0.1, log=True),
    "train.epochs": Dimension(low=1, high=3),
    "model.head.hidden": Dimension(choices=([8], [8, 4], [16])),
}
CONFIGURED: Values = {"train.learning_rate": 0.01, "train.epochs": 2, "model.head.hidden": [8]}
ROWS = 240


def tuning(**changes: Any) -> TuningParameters:
    return TuningParameters.model_validate({"trials": 6, "startup_trials": 3, "space": SPACE} | changes)


def small(**train: Any) -> VariantParameters:
    options: dict[str, Any] = {
        "epochs": 2,
        "batch_size": 64,
        "learning_rate": 0.01,
        "schedule": "cosine",
        "keep": "last",
        "early_stopping_patience": None,
        "device": "cpu",
        "precision": "float32",
    }
    return VariantParameters.model_validate(
        {
            "sources": ["words"],
            "model": {"branch": {"width": 8}, "head": {"kind": "mlp", "hidden": [8], "dropout": 0.0}},
            "train": options | train,
        }
    )


@pytest.fixture(scope="module")
def labelled(make_table: Callable[..., EmbeddingTable]) -> LabelledData:
    """Prices that a source knows; 60 % train, 20 % validation, 20 % holdout, 3 folds."""
    random = np.random.default_rng(3)
    vectors = random.normal(size=(ROWS, 6)).astype(np.float32)
    ids = np.arange(ROWS)
    samples = pd.DataFrame(
        {
            "sample_id": ids,
            "price": np.exp(2.5 + vectors[:, 0] / np.linalg.norm(vectors, axis=1) * 2),
            "group_key": ids.astype(str),
        }
    )
    split = np.array(["train", "train", "train", "validation", "holdout"])[ids % 5]
    folds = np.where(split == "holdout", -1, ids % 3)
    split_table = pd.DataFrame({"sample_id": ids, "split": split, "fold": folds, "tuned_on": False})
    return LabelledData(samples, split_table, {"words": make_table(ids, vectors, source="words")})


def slope(values: Values, report: Report) -> float:
    """A training that takes no time: the lower the learning rate, the better."""
    smape = 100 * float(str(values["train.learning_rate"])) + float(str(values["train.epochs"]))
    for step in range(3):
        report(step, smape)
    return smape


def quietly(values: Values, report: Report) -> float:
    """The same without reports: nothing is pruned."""
    return slope(values, lambda *_: None)


def study_in(path: Path, recipe: str = "r", **changes: Any) -> Any:
    return open_study(TuningFolder("small", path), recipe, SPACE, CONFIGURED, tuning(**changes), 7)


def run(path: Path, trials: int, objective: Callable[[Values, Report], float] = slope, **opened: Any) -> pd.DataFrame:
    """Open a study, go on until there are so many finished trials, and close it."""
    with study_in(path, **opened) as study:
        study.fail_unfinished()
        while len(study.finished) < trials:
            study.next(objective)
        table: pd.DataFrame = study.table()
    return table


def comparable(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns="seconds")


# --- studies ---


def test_the_first_trial_is_the_configured_one_and_all_are_of_the_space(tmp_path: Path) -> None:
    table = run(tmp_path, 5)
    first = table.iloc[0]
    assert (first["train.learning_rate"], first["train.epochs"], first["model.head.hidden"]) == (0.01, 2, "[8]")
    assert table["train.learning_rate"].between(0.001, 0.1).all()
    assert set(table["train.epochs"]) <= {1, 2, 3}
    assert set(table["model.head.hidden"]) <= {"[8]", "[8, 4]", "[16]"}
    assert table["train.learning_rate"].nunique() == 5
    assert table["number"].tolist() == list(range(5))


def test_an_interrupted_study_goes_on_and_ends_like_one_that_was_not(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", 5)
    run(tmp_path / "parts", 2)
    asked: list[Values] = []

    def killed(values: Values, report: Report) -> float:
        asked.append(values)
        raise KeyboardInterrupt  # as after SIGKILL, nobody tells the study

    with pytest.raises(KeyboardInterrupt), study_in(tmp_path / "parts") as study:
        study.next(killed)
    with study_in(tmp_path / "parts") as study:
        assert study.fail_unfinished() == 1
        assert len(study.finished) == 2
    parts = run(tmp_path / "parts", 5)
    assert parts["state"].tolist().count("failed") == 1
    done = comparable(parts[parts["state"] != "failed"]).drop(columns="number").reset_index(drop=True)
    pd.testing.assert_frame_equal(done, comparable(whole).drop(columns="number"))
    assert asked[0]["train.learning_rate"] == done["train.learning_rate"][2]


def test_a_configured_trial_that_died_leaves_no_trace_and_runs_again(tmp_path: Path) -> None:
    def killed(values: Values, report: Report) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), study_in(tmp_path) as study:
        study.next(killed)
    assert run(tmp_path, 2)["train.learning_rate"][0] == 0.01


def test_training_that_fails_counts_and_is_not_fatal(tmp_path: Path) -> None:
    def sometimes(values: Values, report: Report) -> float:
        if values["train.epochs"] == 2:
            raise TrainingError("the loss became nan")
        return math.nan if values["train.epochs"] == 3 else slope(values, report)

    table = run(tmp_path, 8, sometimes)
    assert (table["state"] == "pruned").any()
    assert table[table["train.epochs"] == 2]["failure"].eq("the loss became nan").all()
    assert table[table["train.epochs"] == 3]["failure"].eq("SMAPE is nan").all()
    with study_in(tmp_path) as study:
        assert study.best.values["train.epochs"] == 1


def test_trials_that_are_worse_than_the_median_are_pruned_and_the_configured_one_is_not(tmp_path: Path) -> None:
    table = run(tmp_path, 12)
    pruned, complete = (table[table["state"] == state] for state in ("pruned", "complete"))
    assert len(pruned) > 0
    assert pruned["smape"].min() > complete["smape"].median()
    assert table["state"][0] == "complete"
    with study_in(tmp_path) as study:
        assert study.best.smape == complete["smape"].min()


def test_importance_is_told_once_there_are_enough_trials(tmp_path: Path) -> None:
    run(tmp_path, 9, quietly)
    with study_in(tmp_path) as study:
        assert study.importance() == {}
        study.next(quietly)
        shares = study.importance()
    assert set(shares) == set(SPACE)
    assert sum(shares.values()) == pytest.approx(1, abs=0.01)


def test_another_recipe_is_another_study_of_the_same_file(tmp_path: Path) -> None:
    run(tmp_path, 2)
    with study_in(tmp_path, recipe="other") as study:
        assert not study.attempts
    with study_in(tmp_path) as study:
        assert len(study.finished) == 2


def test_configured_values_outside_the_space_are_tried_too(tmp_path: Path) -> None:
    configured = {**CONFIGURED, "train.learning_rate": 0.5, "model.head.hidden": [2]}
    folder = TuningFolder("small", tmp_path)
    with open_study(folder, "r", SPACE, configured, tuning(), 7) as study:
        for _ in range(4):
            study.next(quietly)
        assert study.attempts[0].values == configured
        assert study.as_configured == study.attempts[0]
        assert study.best.number > 0


def test_new_configured_values_are_tried_in_an_old_study(tmp_path: Path) -> None:
    run(tmp_path, 2)
    configured = {**CONFIGURED, "train.epochs": 3}
    with open_study(TuningFolder("small", tmp_path), "r", SPACE, configured, tuning(), 7) as study:
        assert study.as_configured is None
        assert study.next(slope).values == configured


def test_a_file_of_studies_that_cannot_be_written_is_no_damaged_one(tmp_path: Path) -> None:
    (tmp_path / "studies.db").mkdir()
    with pytest.raises(StorageError, match=r"studies\.db: could not be read or written"), study_in(tmp_path):
        pass


def test_a_disk_that_fills_up_between_trials_is_named(tmp_path: Path) -> None:
    from sqlalchemy.exc import OperationalError

    with (
        pytest.raises(StorageError, match=r"studies\.db: .*disk is full.*Trials that ended are in it"),
        study_in(tmp_path),
    ):
        raise OperationalError("INSERT", None, RuntimeError("database or disk is full"))


def test_a_file_that_holds_no_studies_is_named(tmp_path: Path) -> None:
    (tmp_path / "studies.db").write_text("no database" * 100)
    with pytest.raises(DataError, match=r"studies\.db: no file of studies"), study_in(tmp_path):
        pass


def test_without_optuna_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingPackageError, match=r"\[tuning\]"), study_in(tmp_path):
        pass


@pytest.mark.parametrize("epochs", [1, 3, 10, 25])
def test_each_training_reports_the_same_nine_tenths(epochs: int) -> None:
    steps: list[int] = []
    after_epoch = after_each_tenth(lambda step, _: steps.append(step), epochs)
    for epoch in range(1, epochs + 1):
        after_epoch({"epoch": epoch, "smape": 50.0})
    assert steps == list(range(9))


# --- tuning of a variant ---


def tune(path: Path, labelled: LabelledData, variant: VariantParameters | None = None, **changes: Any) -> Tuned:
    return tune_variant(variant or small(), labelled, tuning(**changes), TuningFolder("small", path), seed=7)


def test_the_best_is_no_worse_than_configured_and_the_variant_takes_it(
    tmp_path: Path, labelled: LabelledData, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="price_fusion"):
        tuned = tune(tmp_path, labelled)
    assert tuned.summary["best_smape"] <= tuned.summary["configured_smape"]
    assert tuned.summary["rows"] == ROWS // 5
    assert tuned.summary["gain_standard_error"] >= 0
    assert tuned.summary["complete"] + tuned.summary["pruned"] == 6
    assert tuned.trials["smape"][0] == tuned.summary["configured_smape"]
    assert set(tuned.best) == {"train", "model"}
    assert set(tuned.best["train"]) == {"learning_rate", "epochs"}
    assert "small trial 5 (6 of 6)" in caplog.text
    assert "about 0 s left" in caplog.text
    assert "judged rows SMAPE" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["studies.db"]


def test_the_configured_trial_is_the_variant_as_it_would_be_trained(tmp_path: Path, labelled: LabelledData) -> None:
    judge = Judge(small(), labelled, tuning(), TuningFolder("small", tmp_path), seed=7)
    tuned = tune(tmp_path, labelled, trials=1)
    assert tuned.summary["best_smape"] == judge.smape({}, lambda *_: None)


@pytest.mark.parametrize("judged_on", ["validation", "folds"])
def test_prices_of_the_holdout_change_nothing(tmp_path: Path, labelled: LabelledData, judged_on: str) -> None:
    holdout = (labelled.split_table["split"] == "holdout").to_numpy()
    samples = labelled.samples.assign(price=labelled.samples["price"].where(~holdout, 1_000.0))
    other = LabelledData(samples, labelled.split_table, labelled.tables)
    options: dict[str, Any] = {"judged_on": judged_on, "trials": 3, "folds": 2}
    first, second = tune(tmp_path / "a", labelled, **options), tune(tmp_path / "b", other, **options)
    assert first.best == second.best
    pd.testing.assert_frame_equal(comparable(first.trials), comparable(second.trials), check_exact=True)
    again = tune(tmp_path / "a", other, **options)
    pd.testing.assert_frame_equal(first.trials, again.trials)


def test_folds_judge_their_own_rows_by_models_that_did_not_see_them(tmp_path: Path, labelled: LabelledData) -> None:
    folds = labelled.split_table["fold"].to_numpy()
    judge = Judge(small(), labelled, tuning(judged_on="folds", folds=2), TuningFolder("small", tmp_path / "of"), seed=7)
    assert judge.rows.tolist() == np.flatnonzero((folds == 0) | (folds == 1)).tolist()
    reports: list[tuple[int, float]] = []
    (tmp_path / "of").mkdir()
    smape = judge.smape({}, lambda step, value: reports.append((step, value)))
    assert [step for step, _ in reports] == [0]
    rescored = judge.smape({"train.keep": "best", "train.schedule": "constant"}, lambda *_: None)
    assert 0 < smape < 200
    assert rescored != smape


def test_more_trials_go_on_and_other_data_begin_anew(tmp_path: Path, labelled: LabelledData) -> None:
    few = tune(tmp_path, labelled, trials=2)
    more = tune(tmp_path, labelled, trials=3, startup_trials=5)
    pd.testing.assert_frame_equal(more.trials.head(2), few.trials)
    train = (labelled.split_table["split"] == "train").to_numpy()
    raised = labelled.samples.assign(price=labelled.samples["price"].where(~train, labelled.samples["price"] * 2))
    other = tune(tmp_path, LabelledData(raised, labelled.split_table, labelled.tables), trials=1)
    assert other.summary["complete"] == 1
    assert other.summary["best_smape"] != few.summary["configured_smape"]


def test_time_ends_a_run_after_the_trial_at_hand(
    tmp_path: Path, labelled: LabelledData, caplog: pytest.LogCaptureFixture
) -> None:
    tuned = tune(tmp_path, labelled, hours=1e-9)
    assert len(tuned.trials) == 1
    assert "1 of 6 trials" in caplog.text
    assert len(tune(tmp_path, labelled, hours=1e-9).trials) == 2


def test_values_that_do_not_go_together_are_pruned(tmp_path: Path, labelled: LabelledData) -> None:
    space = {"train.then_loss": Dimension(choices=(None,)), "train.then_from_epoch": Dimension(choices=(None,))}
    judge = Judge(small(), labelled, tuning(space=space), TuningFolder("small", tmp_path), seed=7)
    with pytest.raises(ParameterError, match="go together"):
        judge.smape({"train.then_loss": "mae"}, lambda *_: None)


def test_nothing_that_ends_is_an_error_with_the_reason(tmp_path: Path, labelled: LabelledData) -> None:
    space = {"train.gradient_clip": Dimension(low=1.0, high=2.0)}
    broken = LabelledData(labelled.samples.assign(price=np.float64("inf")), labelled.split_table, labelled.tables)
    with pytest.raises(TrainingError, match=r"none of 2 trials came to its end; the first one: small: the loss became"):
        tune(tmp_path, broken, trials=2, space=space)


def test_a_space_that_does_not_fit_is_refused_before_the_first_trial(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"names no field of small. It has: sources, model\.branch\.width"):
        space_of("small", small(), tuning(space={"model.head.experts": Dimension(low=2, high=4)}))
    with pytest.raises(ParameterError, match=r"tuning\.space\.train\.then_loss: .*go together"):
        space_of("small", small(), tuning(space={"train.then_loss": Dimension(choices=("mae",))}))


def test_fields_that_a_variant_lacks_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    space = SPACE | {"model.head.experts": Dimension(low=2, high=4)}
    with caplog.at_level(logging.INFO, logger="price_fusion"):
        assert list(space_of("small", small(), tuning(space=space))) == list(SPACE)
    assert "small has no model.head.experts: not tuned" in caplog.text


# --- chance ---


def test_the_error_of_a_gain_is_of_pairs() -> None:
    judged = {'{"a": 1}': np.array([50.0, 40, 30, 20]), '{"a": 2}': np.array([48.0, 36, 30, 18])}
    # Differences 2, 4, 0, 2: mean 2, variance (0 + 4 + 4 + 0) / 3, over four rows.
    assert gain_standard_error(judged, {"a": 1}, {"a": 2}) == pytest.approx((8 / 3 / 4) ** 0.5)
    assert gain_standard_error(judged, {"a": 1}, {"a": 3}) is None
    assert gain_standard_error({'{"a": 1}': np.array([50.0])}, {"a": 1}, {"a": 1}) is None


@pytest.mark.parametrize(
    ("gain", "trials", "warned"), [(2.8, 20, True), (2.8, 2, False), (6.0, 20, False), (0.0, 20, False)]
)
def test_a_gain_that_chance_gives_is_said(
    gain: float, trials: int, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """An error of 2 points: the best of 20 equal trials seems better by up to 4.9 points, of 2 trials by up to 2.4."""
    summary = {"configured_smape": 24.4, "best_smape": 24.4 - gain, "gain_standard_error": 2.0, "rows": 65}
    _warn_of_chance("moe", summary | {"complete": trials})
    assert ("no more than chance gives: on 65 rows its standard error is 2.00" in caplog.text) is warned


@pytest.mark.parametrize(("judged_on", "rows"), [("validation", 144), ("folds", 128)])
def test_the_sampler_is_told_the_numbers_that_auto_stands_for(
    labelled: LabelledData, tmp_path: Path, judged_on: str, rows: int
) -> None:
    judge = Judge(small(), labelled, tuning(judged_on=judged_on), TuningFolder("small", tmp_path), seed=1)
    found = judge.resolved(small(epochs="auto", batch_size="auto", warmup_epochs="auto")).train
    assert (found.batch_size, found.epochs) == (rows // 8, 50)
