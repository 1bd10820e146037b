"""Prices from a checkpoint alone: the pipeline's numbers, in any batch, with any source missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from price_fusion import Predictor
from price_fusion.data.columns import draft_columns
from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.data.table import EmbeddingTable, draft_table, write_table
from price_fusion.errors import CheckpointError, DataError
from price_fusion.models.build import PriceModel
from price_fusion.models.checkpoint import Checkpoint, save_checkpoint
from price_fusion.parameters import ColumnSourceParameters, SourceParameters
from support.aligned import aligned

MakeCheckpoint = Callable[..., Checkpoint]
Arrays = dict[str, NDArray[np.floating[Any]]]


@pytest.fixture(scope="module")
def predictor(make_checkpoint: MakeCheckpoint) -> Predictor:
    return Predictor(make_checkpoint())


@pytest.fixture
def arrays() -> Arrays:
    """20 products as their files hold them."""
    generator = np.random.default_rng(1)
    words = generator.normal(size=(20, 9)).astype(np.float32)
    words[:, 6:] = np.abs(words[:, 6:]) * [1, 20, 46_752]
    return {"picture": generator.normal(size=(20, 5)).astype(np.float32), "words": words}


def test_says_what_it_wants(predictor: Predictor) -> None:
    assert predictor.widths == {"picture": 5, "words": 9}


def test_loads_from_a_path_or_its_text(checkpoint_path: Path, predictor: Predictor, arrays: Arrays) -> None:
    for path in (checkpoint_path, str(checkpoint_path)):
        np.testing.assert_array_equal(Predictor.load(path).predict(arrays), predictor.predict(arrays))


@pytest.mark.parametrize("model", ["concat", "attention", "mixture", "hierarchical"])
@pytest.mark.parametrize("size", [1, 7])
def test_a_price_is_the_same_alone_and_in_any_batch(
    make_checkpoint: MakeCheckpoint, arrays: Arrays, model: str, size: int
) -> None:
    predictor = Predictor(make_checkpoint(model))
    together = predictor.predict(arrays)
    assert together.std() > 0.01
    parts = [
        predictor.predict({name: array[start : start + size] for name, array in arrays.items()})
        for start in range(0, 20, size)
    ]
    np.testing.assert_allclose(np.concatenate(parts), together, rtol=1e-4)


def test_order_of_the_sources_does_not_matter(predictor: Predictor, arrays: Arrays) -> None:
    reverse = dict(reversed(arrays.items()))
    np.testing.assert_array_equal(predictor.predict(reverse), predictor.predict(arrays))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("rows_per_shard", [6, 100])
def test_tables_give_the_prices_of_the_arrays_as_stored(
    make_checkpoint: MakeCheckpoint,
    make_table: Callable[..., EmbeddingTable],
    arrays: Arrays,
    dtype: str,
    rows_per_shard: int,
) -> None:
    predictor = Predictor(make_checkpoint(dtype=dtype))
    ids = np.arange(100, 120)
    shuffled = np.random.default_rng(2).permutation(20)
    tables = {
        "picture": make_table(ids, arrays["picture"], source="picture", dtype=dtype, rows_per_shard=rows_per_shard),
        "words": make_table(
            ids[shuffled], arrays["words"][shuffled], structural_columns=3, dtype=dtype, rows_per_shard=rows_per_shard
        ),
    }
    rows = {name: table.rows_of(ids) for name, table in tables.items()}
    rows["picture"][[3, 9]] = -1
    rows["words"][[4, 9]] = -1
    samples, tables = aligned(pd.DataFrame({"sample_id": ids}), tables, **rows)
    prices = predictor.predict_samples(samples, tables)

    expected = predictor.predict(arrays)
    expected[3] = predictor.predict({"words": arrays["words"]})[3]
    expected[4] = predictor.predict({"picture": arrays["picture"]})[4]
    expected[9] = 14.25
    np.testing.assert_allclose(prices, expected, rtol=1e-5)


def test_a_source_left_out_changes_the_price_and_counts_as_missing(predictor: Predictor, arrays: Arrays) -> None:
    with_words = predictor.predict({"words": arrays["words"]})
    assert with_words.shape == (20,)
    assert np.isfinite(with_words).all()
    assert (with_words != predictor.predict(arrays)).all()


def test_a_product_that_no_source_knows_costs_the_median(
    predictor: Predictor, make_table: Callable[..., EmbeddingTable], arrays: Arrays
) -> None:
    tables = {
        "picture": make_table(range(20), arrays["picture"], source="picture"),
        "words": make_table(range(20), arrays["words"], structural_columns=3),
    }
    samples, tables = aligned(pd.DataFrame(index=range(3)), tables, picture=[-1, -1, 3], words=[-1, 3, -1])
    prices = predictor.predict_samples(samples, tables)
    assert prices[0] == 14.25
    assert (prices[1:] != 14.25).all()


@pytest.mark.parametrize("start", [-90.0, -0.5, 0.0, 14.0, 90.0])
def test_prices_are_finite_and_at_least_a_cent_whatever_the_model_says(
    make_checkpoint: MakeCheckpoint, arrays: Arrays, start: float
) -> None:
    checkpoint = make_checkpoint("concat")
    checkpoint.weights["head.output.bias"].fill_(start)
    prices = Predictor(checkpoint).predict(arrays)
    assert prices.dtype == np.float64
    assert ((prices >= 0.01) & (prices <= 1e6)).all()


@given(value=st.floats(width=32, allow_nan=False, allow_infinity=False), column=st.integers(0, 8))
def test_prices_are_finite_whatever_the_embeddings_hold(predictor: Predictor, value: float, column: int) -> None:
    words = np.ones((3, 9), dtype=np.float32)
    words[1, column] = value
    prices = predictor.predict({"words": words})
    assert (np.isfinite(prices) & (prices >= 0.01)).all()
    np.testing.assert_allclose(prices[[0, 2]], predictor.predict({"words": np.ones((2, 9))}), rtol=1e-4)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4", np.int64])
def test_takes_any_number_type_and_layout(predictor: Predictor, dtype: Any) -> None:
    words = np.arange(36).reshape(4, 9)
    expected = predictor.predict({"words": words.astype(np.float32)})
    for array in (words.astype(dtype), np.asfortranarray(words.astype(dtype)), words.astype(dtype)[::-1][::-1]):
        np.testing.assert_allclose(predictor.predict({"words": array}), expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("rows", [0, 1, 20])
def test_takes_views_that_run_backwards(make_checkpoint: MakeCheckpoint, arrays: Arrays, dtype: str, rows: int) -> None:
    predictor = Predictor(make_checkpoint(dtype=dtype))
    arrays = {name: np.clip(array[:rows], -6e4, 6e4).astype(dtype) for name, array in arrays.items()}
    backwards = {name: array[::-1] for name, array in arrays.items()}
    np.testing.assert_allclose(predictor.predict(backwards)[::-1], predictor.predict(arrays), rtol=1e-5)


def test_a_mapped_file_is_read_where_it_is(
    make_checkpoint: MakeCheckpoint, arrays: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = Predictor(make_checkpoint(dtype="float32"))
    np.save(tmp_path / "pictures.npy", arrays["picture"])
    pictures = np.load(tmp_path / "pictures.npy", mmap_mode="r")
    expected = predictor.predict({"picture": arrays["picture"]})
    np.testing.assert_array_equal(predictor.predict({"picture": pictures}), expected)
    np.testing.assert_array_equal(predictor.predict({"picture": pd.DataFrame(arrays["picture"])}), expected)

    seen: list[int] = []

    def noted(features: Any, **options: Any) -> NDArray[np.float64]:
        seen.append(features.sources["picture"].vectors.data_ptr())
        return np.zeros(len(features))

    monkeypatch.setattr(predictor.model, "log_prices", noted)
    predictor.predict({"picture": pictures})
    assert seen == [pictures.ctypes.data]


def test_no_products_have_no_prices(predictor: Predictor) -> None:
    assert predictor.predict({"words": np.empty((0, 9))}).shape == (0,)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"pictures": np.ones((20, 5))}, r"source\(s\) pictures; this model takes .* picture \(5\), words \(9\)"),
        ({"words": np.ones((20, 8))}, r"'words': shape \(20, 8\), expected \(N, 9\)"),
        ({"words": np.ones(9)}, r"'words': shape \(9,\), expected \(N, 9\)"),
        ({"words": np.ones(())}, r"'words': shape \(\), expected \(N, 9\)"),
        ({"words": np.ones((3, 9))}, r"different numbers of rows: .*'picture': 20, 'words': 3"),
        ({"words": np.where(np.arange(180).reshape(20, 9) == 63, np.nan, 1)}, r"'words': 1 row.* first row 7"),
        ({"words": np.where(np.arange(180).reshape(20, 9) > 160, -np.inf, 1)}, r"'words': 3 row.* first row 17"),
        ({"words": np.full((20, 9), 1e39)}, r"'words': 20 row\(s\) .* beyond float32, first row 0"),
    ],
)
def test_refuses_what_it_cannot_take(predictor: Predictor, arrays: Arrays, changes: Arrays, expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        predictor.predict(arrays | changes)


def test_what_a_mask_hides_is_not_used(predictor: Predictor, arrays: Arrays) -> None:
    name, vectors = next(iter(arrays.items()))
    masked = np.ma.masked_array(vectors, mask=np.zeros(vectors.shape, bool))
    assert predictor.predict({name: masked}).tobytes() == predictor.predict({name: vectors}).tobytes()
    masked.mask[2, 1] = True
    with pytest.raises(DataError, match=f"source '{name}': 1 row.* first row 2"):
        predictor.predict({name: masked})


def test_what_is_no_mapping_or_not_dense_is_refused(predictor: Predictor, arrays: Arrays) -> None:
    name, vectors = next(iter(arrays.items()))
    with pytest.raises(DataError, match="found ndarray instead of vectors by source, expected a dict"):
        predictor.predict(vectors)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=f"source '{name}': found a tensor that cannot be made an array"):
        predictor.predict({name: torch.as_tensor(vectors).to_sparse()})


def test_refuses_to_predict_from_nothing(predictor: Predictor) -> None:
    with pytest.raises(DataError, match=r"source\(s\) none; this model takes one or more of picture"):
        predictor.predict({})


def test_refuses_tables_of_other_widths(
    predictor: Predictor, make_table: Callable[..., EmbeddingTable], arrays: Arrays
) -> None:
    tables = {
        "picture": make_table(range(20), arrays["picture"], source="picture"),
        "words": make_table(range(20), arrays["words"], structural_columns=2),
    }
    samples = pd.DataFrame({"sample_id": [0]})
    with pytest.raises(DataError, match="'words' has 7 embedding and 2 structural columns, expected 6 and 3") as caught:
        predictor.predict_samples(samples, tables)
    assert "was trained: train it again (kedro run --pipelines train_" in str(caught.value)


@pytest.mark.parametrize("damage", ["missing", "shape", "surplus"])
def test_refuses_weights_that_do_not_fit_their_header(
    make_checkpoint: MakeCheckpoint, tmp_path: Path, damage: str
) -> None:
    checkpoint, path = make_checkpoint(), tmp_path / "c.safetensors"
    name = "branches.words.projection.weight"
    if damage == "missing":
        del checkpoint.weights[name]
    else:
        checkpoint.weights[name if damage == "shape" else "more"] = torch.zeros(2, 2)
    save_checkpoint(path, checkpoint)
    with pytest.raises(CheckpointError, match="'tiny': weights do not fit its header") as caught:
        Predictor.load(path)
    assert str(path) in str(caught.value)


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint here"):
        Predictor.load(tmp_path / "c.safetensors")


def test_the_folder_of_a_checkpoint_names_it(checkpoint_path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "moe"
    folder.mkdir()
    (folder / "checkpoint.safetensors").write_bytes(checkpoint_path.read_bytes())
    with pytest.raises(
        CheckpointError, match=r"moe: a folder, but no ensemble .* Load .*: .*/moe/checkpoint\.safetensors$"
    ):
        Predictor.load(folder)
    with pytest.raises(CheckpointError, match="no ensemble here"):
        Predictor.load(tmp_path)


def test_a_hierarchical_model_is_rebuilt_from_its_header_alone(
    make_checkpoint: MakeCheckpoint, grouped_sources: dict[str, SourceParameters], tmp_path: Path
) -> None:
    checkpoint = make_checkpoint("hierarchical", sources=grouped_sources)
    save_checkpoint(tmp_path / "c.safetensors", checkpoint)
    predictor = Predictor.load(tmp_path / "c.safetensors")
    assert list(predictor.widths) == ["picture", "words", "sketch", "sound"]
    generator = np.random.default_rng(1)
    arrays = {name: generator.normal(size=(11, width)) for name, width in predictor.widths.items()}
    together = predictor.predict(arrays)
    np.testing.assert_array_equal(together, Predictor(checkpoint).predict(arrays))
    alone = [predictor.predict({name: array[[row]] for name, array in arrays.items()})[0] for row in range(11)]
    np.testing.assert_allclose(alone, together, rtol=1e-4)
    assert together.std() > 0.01


def test_bf16_prices_are_close_to_those_in_float32(checkpoint_path: Path, arrays: Arrays) -> None:
    exact = Predictor.load(checkpoint_path).predict(arrays)
    rough = Predictor.load(checkpoint_path, precision="bf16").predict(arrays)
    np.testing.assert_allclose(rough, exact, rtol=0.03)
    assert not np.array_equal(rough, exact)


# --- columns ---------------------------------------------------------------------------------------------------------

FACTS = ColumnSourceParameters(
    kind="columns", group="facts", numeric=("weight",), categorical=("colour",), vocabulary={"colour": ("blue", "red")}
)


@pytest.fixture(scope="module")
def with_columns(make_checkpoint: MakeCheckpoint, tiny_sources: dict[str, SourceParameters]) -> Predictor:
    """A predictor that reads weights and colours, too; it was trained on blue things alone."""
    checkpoint = make_checkpoint("concat", sources=tiny_sources | {"facts": FACTS})
    model = PriceModel(checkpoint.header.sources, checkpoint.header.model)
    model.load_state_dict(checkpoint.weights)
    train = torch.tensor([[1.0, 1.0], [2.0, 1.0], [float("nan"), 0.0], [8.0, 1.0]])
    model.fit_structural({"picture": torch.empty(0, 0), "words": torch.empty(0, 3), "facts": train})
    return Predictor(Checkpoint(checkpoint.header, dict(model.state_dict())))


def test_columns_move_a_price_and_empty_fields_give_one(with_columns: Predictor, arrays: Arrays) -> None:
    assert with_columns.widths == {"picture": 5, "words": 9}
    assert with_columns.columns == {"facts": ("weight", "colour")}

    def prices(weight: float, colour: float) -> NDArray[np.float64]:
        return with_columns.predict(arrays | {"facts": np.full((20, 2), [weight, colour])})

    seen = [
        prices(2, 1),
        prices(8, 1),
        prices(2, 0),
        prices(np.nan, 1),
        prices(np.nan, 0),
        with_columns.predict(arrays),
    ]
    assert np.isfinite(seen).all()
    assert len(np.unique(np.round(seen, 9), axis=0)) == len(seen)
    np.testing.assert_array_equal(prices(2, 2), prices(2, 0))  # no train row was red


@given(
    weight=st.floats(width=32, allow_infinity=False) | st.just(float("nan")),
    code=st.integers(0, 2),
)
def test_prices_are_finite_whatever_the_columns_hold(with_columns: Predictor, weight: float, code: int) -> None:
    facts = np.array([[2, 1], [weight, code], [4, 0]], dtype=np.float32)
    prices = with_columns.predict({"facts": facts})
    assert (np.isfinite(prices) & (prices >= 0.01)).all()
    np.testing.assert_allclose(prices[[0, 2]], with_columns.predict({"facts": facts[[0, 2]]}), rtol=1e-5)


@pytest.mark.parametrize("wrong", [[np.inf, 1], [1e39, 1], [2, np.nan], [2, -1], [2, 3], [2, 0.5]])
def test_refuses_columns_that_no_table_may_hold(with_columns: Predictor, wrong: list[float]) -> None:
    facts = np.array([[2, 1], wrong, [np.nan, 2]])
    with pytest.raises(DataError, match=r"'facts': 1 row\(s\) .* or codes of no category, first row 1"):
        with_columns.predict({"facts": facts})


def test_a_table_of_other_categories_gives_the_prices_of_those_that_are_known(
    with_columns: Predictor, new_folder: Callable[[], Path]
) -> None:
    frame = pd.DataFrame({"sample_id": [1, 2, 3], "weight": ["2", "", "4"], "colour": ["blue", "azure", "crimson"]})
    open_ended = FACTS.model_copy(update={"vocabulary": {}})
    folder = new_folder() / "facts"
    write_table(folder, "facts", draft_columns(frame, open_ended, "test.csv"))
    samples = frame[["sample_id"]]  # that of the embeddings is 0
    tables = {"facts": EmbeddingTable(folder)}
    for name in ("picture", "words"):
        nothing = np.zeros((1, with_columns.model.sources[name].width))
        structural = with_columns.model.sources[name].structural_columns
        folder = new_folder() / name
        raw = RawEmbeddings.from_arrays(np.zeros(1, np.int64), nothing, name)
        declaration = SourceParameters(width=nothing.shape[1], group="g", structural_columns=structural)
        write_table(folder, name, draft_table(raw, declaration))
        tables[name] = EmbeddingTable(folder)
    prices = with_columns.predict_samples(samples, tables)
    expected = with_columns.predict({"facts": np.array([[2, 1], [np.nan, 0], [4, 0]])})
    np.testing.assert_allclose(prices, expected, rtol=1e-6)
    # The same as from the product table itself, by the vocabulary in the checkpoint.
    np.testing.assert_allclose(with_columns.predict({}, frame.drop(columns="sample_id")), expected, rtol=1e-6)


def test_products_beside_arrays_are_those_rows(with_columns: Predictor, arrays: Arrays) -> None:
    frame = pd.DataFrame({"weight": ["2", ""] * 10, "colour": ["blue", "mauve"] * 10})
    facts = np.tile(np.array([[2, 1], [np.nan, 0]]), (10, 1))
    np.testing.assert_array_equal(with_columns.predict(arrays, frame), with_columns.predict(arrays | {"facts": facts}))
    with pytest.raises(DataError, match=r"different numbers of rows: .*'facts': 19"):
        with_columns.predict(arrays, frame.iloc[:19])
    with pytest.raises(DataError, match=r"products: lacks the column\(s\) colour"):
        with_columns.predict(arrays, frame[["weight"]])
    with pytest.raises(DataError, match=r"products: column 'weight' holds 20 value\(s\) .* \(0: 'heavy', 1: 'heavy'"):
        with_columns.predict(arrays, frame.assign(weight="heavy"))


def test_categories_of_any_type_are_those_of_the_file(
    make_checkpoint: MakeCheckpoint, tiny_sources: dict[str, SourceParameters], caplog: pytest.LogCaptureFixture
) -> None:
    vocabulary = {"organic": ("false", "true"), "size": ("007", "5")}
    facts = FACTS.model_copy(update={"numeric": (), "categorical": tuple(vocabulary), "vocabulary": vocabulary})
    checkpoint = make_checkpoint("concat", sources=tiny_sources | {"facts": facts})
    model = PriceModel(checkpoint.header.sources, checkpoint.header.model)
    model.load_state_dict(checkpoint.weights)
    train = torch.tensor([[1.0, 1.0], [2.0, 2.0], [1.0, 2.0]])
    model.fit_structural({"picture": torch.empty(0, 0), "words": torch.empty(0, 3), "facts": train})
    predictor = Predictor(Checkpoint(checkpoint.header, dict(model.state_dict())))
    expected = predictor.predict({}, {"organic": ["true", "false", "true"], "size": ["007", "", "5"]})
    assert len(np.unique(expected)) == 3
    typed = {"organic": [True, False, True], "size": [7.0, np.nan, 5.0]}
    assert caplog.text == ""
    np.testing.assert_array_equal(predictor.predict({}, typed), expected)
    np.testing.assert_array_equal(predictor.predict({}, pd.DataFrame(typed).astype("category")), expected)
    assert caplog.text == ""
    predictor.predict({}, typed | {"organic": ["yes", "no", "yes"]})
    assert "products: column 'organic': of 2 different values, the model knows none" in caplog.text


def test_no_products_for_a_model_of_columns_are_warned_of_once(
    make_checkpoint: MakeCheckpoint,
    tiny_sources: dict[str, SourceParameters],
    arrays: Arrays,
    caplog: pytest.LogCaptureFixture,
) -> None:
    predictor = Predictor(make_checkpoint("concat", sources=tiny_sources | {"facts": FACTS}))
    predictor.predict(arrays, pd.DataFrame({"weight": ["2"] * 20, "colour": ["blue"] * 20}))
    predictor.predict(arrays | {"facts": np.tile([2.0, 1.0], (20, 1))})
    on_purpose = predictor.predict(arrays | {"facts": None})
    Predictor(make_checkpoint("concat", sources=tiny_sources)).predict(arrays)
    assert caplog.text == ""
    np.testing.assert_array_equal(predictor.predict(arrays), on_purpose)
    predictor.predict(arrays)
    [said] = caplog.messages
    assert "facts (weight, colour) count(s) as missing" in said
    assert "{'facts': None}" in said


def test_a_column_that_is_there_twice_is_named(with_columns: Predictor) -> None:
    frame = pd.DataFrame({"weight": ["2", ""], "colour": ["blue", "mauve"], "note": ["", ""]})
    expected = with_columns.predict({}, frame)
    np.testing.assert_array_equal(with_columns.predict({}, pd.concat([frame, frame[["note"]]], axis=1)), expected)
    with pytest.raises(DataError, match="products: found more than one column 'colour', 'weight', expected one"):
        with_columns.predict({}, pd.concat([frame, frame], axis=1))


def test_products_that_are_no_table_are_described(with_columns: Predictor) -> None:
    frame = pd.DataFrame({"weight": ["2", ""], "colour": ["blue", "mauve"]})
    wrong: dict[str, Any] = {
        r"products: found a Series of 2 value\(s\), expected a frame, .*frame\.iloc\[\[0\]\]\.$": frame.iloc[0],
        r"products: found columns \{'weight': '2', 'colour': 'blue'\}, expected": frame.iloc[0].to_dict(),
        r"products: found columns \{'weight': 2 value\(s\), 'colour': 1 value\(s\)\}, expected": {
            "weight": ["2", ""],
            "colour": ["blue"],
        },
        r"products: found int 7, expected": 7,
    }
    for message, products in wrong.items():
        with pytest.raises(DataError, match=message):
            with_columns.predict({}, products)


def test_a_model_without_a_price_for_a_product_says_so(make_checkpoint: MakeCheckpoint, arrays: Arrays) -> None:
    checkpoint = make_checkpoint("concat")
    for weight in checkpoint.weights.values():
        if weight.ndim == 2:
            weight.fill_(3e38)
    with pytest.raises(CheckpointError, match=r"tiny.* gives 20 of 20 products no price \(the first is in row 0\)"):
        Predictor(checkpoint).predict(arrays)


def test_a_price_beyond_all_numbers_is_the_highest(
    make_checkpoint: MakeCheckpoint, arrays: Arrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = Predictor(make_checkpoint())
    monkeypatch.setattr(
        predictor.model, "log_prices", lambda features, whole_blocks: np.full(len(features.known()), 1e4)
    )
    np.testing.assert_array_equal(predictor.predict(arrays), np.full(20, 1e6))


@pytest.mark.parametrize(
    "given",
    [
        lambda array: array.tolist(),
        lambda array: [list(row) for row in array],
        lambda array: list(torch.from_numpy(array)),
        pd.DataFrame,
        lambda array: pd.DataFrame(array).astype(object),
        torch.from_numpy,
    ],
)
def test_vectors_come_in_any_form(make_checkpoint: MakeCheckpoint, arrays: Arrays, given: Callable[[Any], Any]) -> None:
    predictor = Predictor(make_checkpoint())
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    expected = predictor.predict(arrays)
    np.testing.assert_array_equal(predictor.predict({name: given(array) for name, array in arrays.items()}), expected)


def test_bfloat16_tensors_are_the_numbers_they_hold(make_checkpoint: MakeCheckpoint, arrays: Arrays) -> None:
    predictor = Predictor(make_checkpoint())
    tensors = {name: torch.from_numpy(array).bfloat16() for name, array in arrays.items()}
    expected = predictor.predict({name: tensor.float().numpy() for name, tensor in tensors.items()})
    np.testing.assert_array_equal(predictor.predict(tensors), expected)


def test_none_is_a_missing_vector(make_checkpoint: MakeCheckpoint, arrays: Arrays) -> None:
    predictor = Predictor(make_checkpoint())
    words = arrays["words"]
    alone = predictor.predict({"words": words})
    np.testing.assert_array_equal(predictor.predict({"words": words, "picture": None}), alone)
    pictures = [None, *arrays["picture"][1:].tolist()]
    found = predictor.predict({"words": words, "picture": pictures})
    whole = predictor.predict(arrays)
    np.testing.assert_allclose(found, [alone[0], *whole[1:]], rtol=1e-6)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("a red cup", "'words', row 2: found 'a red cup'"),
        (7, "'words', row 2: found 7"),
        ([1.0, 2.0], r"'words', row 2: found a vector of shape \(2,\)"),
        ([[1.0] * 9], r"'words', row 2: found a vector of shape \(1, 9\)"),
        ([None] * 9, "'words': 1 row.* NaN"),
    ],
)
def test_what_is_not_a_vector_is_named(make_checkpoint: MakeCheckpoint, arrays: Arrays, row: Any, said: str) -> None:
    words = arrays["words"].tolist()
    words[2] = row
    with pytest.raises(DataError, match=said):
        Predictor(make_checkpoint()).predict({"words": words})


@pytest.mark.parametrize("given", ["cup", {"a": 1}, 3.0, np.array(["a", "b"])])
def test_what_is_not_vectors_is_refused(make_checkpoint: MakeCheckpoint, given: Any) -> None:
    with pytest.raises(DataError, match="source 'words': found"):
        Predictor(make_checkpoint()).predict({"words": given})
