from __future__ import annotations

import csv
import hashlib
import json
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from price_fusion.datasets.fabricated_sample import EmbeddingFile, FabricatedSample, FabricatedSampleDataset
from price_fusion.errors import ParameterError
from price_fusion.parameters import FabricationParameters
from price_fusion.pipelines.fabrication import create_pipeline
from price_fusion.pipelines.fabrication.draws import BELL_DEVIATION, Draws
from price_fusion.pipelines.fabrication.encoders import exact_product
from price_fusion.pipelines.fabrication.latent_products import draw_products
from price_fusion.pipelines.fabrication.nodes import fabricate_sample
from price_fusion.pipelines.fabrication.price_quantiles import PRICE_QUANTILES, prices_by_rank
from price_fusion.pipelines.fabrication.vocabulary import BRANDS, CATEGORIES, CLAIMS, PACKS
from price_fusion.pipelines.fabrication.worth import Features, worth

SMALL = FabricationParameters(labelled=200, unlabelled=50)
SMALL_SHA256 = "9c564c3906ecb4cfb9df7833896a9841fbda61038a584af5883b164bb038b88f"
"""Over the digests of all files of the small sample. If it changes, every newcomer's sample has changed."""

Figures = NDArray[np.float64]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small sample on disk."""
    path = tmp_path_factory.mktemp("small")
    FabricatedSampleDataset(filepath=str(path)).save(fabricate_sample(SMALL, 41))
    return path


@pytest.fixture(scope="module")
def default_sample() -> FabricatedSample:
    return fabricate_sample(FabricationParameters(), 41)


def qwen(folder: Path, part: str) -> dict[str, Any]:
    content: dict[str, Any] = pickle.loads((folder / f"embeddings/qwen/qwen3_embeddings_{part}.pkl").read_bytes())
    return content


def test_pipeline_is_one_node() -> None:
    pipeline = create_pipeline()
    assert [node.name for node in pipeline.nodes] == ["fabricate_sample"]
    assert pipeline.inputs() == {"params:fabrication", "params:seed"}
    assert pipeline.outputs() == {"fabricated_sample"}


def test_identical_on_each_machine(folder: Path) -> None:
    files = json.loads((folder / "fabricated.json").read_text())["files"]
    assert hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest() == SMALL_SHA256


def test_another_seed_is_another_sample() -> None:
    first, second = (fabricate_sample(SMALL, seed).train for seed in (41, 42))
    assert first.products.catalog_contents != second.products.catalog_contents
    assert not np.array_equal(first.qwen_text.vectors, second.qwen_text.vectors)


@pytest.mark.parametrize(("part", "count"), [("train", 200), ("test", 50)])
def test_widths_and_ids(folder: Path, part: str, count: int) -> None:
    listed = [int(row["sample_id"]) for row in rows_of(folder / f"dataset/{part}.csv")]
    assert len(set(listed)) == count
    content = qwen(folder, part)
    assert content["embeddings"].shape == (count, 1027)
    assert content["embeddings"].dtype == np.float32
    assert content["sample_ids"] != listed
    assert set(content["sample_ids"]) == set(listed)
    assert (content["data_type"], content["embedding_dim"], content["num_samples"]) == (part, 1027, count)
    with_image = []
    for name, ids_name, width in (
        ("clip/{}/image_embeddings.npy", "sample_ids.npy", 768),
        ("siglip/{}/image_embeddings.npy", "image_sample_ids.npy", 1152),
        ("siglip/{}/text_embeddings.npy", "image_sample_ids.npy", 1024),
    ):
        path = folder / "embeddings" / name.format(part)
        vectors = np.load(path, allow_pickle=False)
        ids = np.load(path.with_name(ids_name), allow_pickle=False)
        assert vectors.dtype == np.float32
        assert vectors.shape == (len(ids), width)
        assert np.isfinite(vectors).all()
        with_image.append(set(ids.tolist()))
    assert with_image[0] == with_image[1]
    assert with_image[0] <= set(listed)


def test_ids_are_disjoint_and_have_gaps(folder: Path) -> None:
    train, test = (
        {int(row["sample_id"]) for row in rows_of(folder / f"dataset/{part}.csv")} for part in ("train", "test")
    )
    assert not train & test
    assert max(train | test) - min(train | test) > 250


def test_share_without_image(default_sample: FabricatedSample) -> None:
    listed = len(default_sample.train.products.sample_ids) + len(default_sample.test.products.sample_ids)
    with_image = len(default_sample.train.clip_image.ids) + len(default_sample.test.clip_image.ids)
    assert listed - with_image == 80


def test_shared_images_have_equal_embeddings(default_sample: FabricatedSample) -> None:
    products, clip = default_sample.train.products, default_sample.train.clip_image
    position = {sample_id: row for row, sample_id in enumerate(clip.ids.tolist())}
    by_link: dict[str, list[int]] = {}
    for link, sample_id in zip(products.image_links, products.sample_ids.tolist(), strict=True):
        by_link.setdefault(link, []).append(sample_id)
    shared = [ids for ids in by_link.values() if len(ids) > 1]
    assert 60 < len(shared) < 160
    for ids in shared:
        rows = clip.vectors[[position[sample_id] for sample_id in ids]]
        assert (rows == rows[0]).all()
    assert len(np.unique(clip.vectors, axis=0)) == len({link for link, ids in by_link.items() if ids[0] in position})


def test_a_few_share_the_text(default_sample: FabricatedSample) -> None:
    texts = [*default_sample.train.products.catalog_contents, *default_sample.test.products.catalog_contents]
    assert len(texts) - len(set(texts)) == 40


def test_catalog_text_has_the_real_shape(default_sample: FabricatedSample) -> None:
    texts = default_sample.train.products.catalog_contents
    assert all(text.startswith("Item Name: ") and text.endswith("\n") for text in texts)
    for label, low, high in (("Bullet Point 1: ", 0.75, 0.85), ("Product Description: ", 0.38, 0.48)):
        assert low < np.mean([label in text for text in texts]) < high
    for label in ("Value: ", "Unit: "):
        assert 0.985 < np.mean([f"\n{label}" in text for text in texts]) < 1
    units = {line.removeprefix("Unit: ") for text in texts for line in text.splitlines() if line.startswith("Unit: ")}
    assert {"Ounce", "oz", "Fl Oz", "Count", "None"} <= units


def test_some_values_are_absurd_but_fit_float16(default_sample: FabricatedSample) -> None:
    values = default_sample.train.qwen_text.vectors[:, 1024]
    assert 10_000 < values.max() < 65_504
    assert (values == 0).any()


def test_units_have_the_same_code_in_train_and_test(default_sample: FabricatedSample) -> None:
    train, test = (
        {tuple(code) for code in part.qwen_text.vectors[:, 1025:].tolist()}
        for part in (default_sample.train, default_sample.test)
    )
    assert len(train & test) >= 8


def test_prices_follow_the_real_quantiles(default_sample: FabricatedSample) -> None:
    cents = default_sample.train.products.price_cents
    assert cents is not None
    inner = np.linspace(0.05, 0.95, 19)
    real = np.interp(inner, np.linspace(0, 1, len(PRICE_QUANTILES)), PRICE_QUANTILES)
    assert np.abs(np.quantile(cents / 100, inner) / real - 1).max() < 0.1


def test_ranks_meet_the_quantiles_exactly() -> None:
    prices = prices_by_rank(np.arange(4001))
    assert prices[0] == 13
    assert prices[-1] == 279_600
    assert (np.diff(prices) >= 0).all()
    assert prices[::20].tolist() == [int(price * 100 + 0.5 + 1e-9) for price in PRICE_QUANTILES]


def test_mean_price_is_the_real_one() -> None:
    assert abs(prices_by_rank(np.arange(100_000)).mean() / 100 - 23.7) < 0.1


def smape(predicted: Figures, true: Figures) -> float:
    return float(np.mean(200 * np.abs(predicted - true) / (predicted + true)))


def aligned(embeddings: EmbeddingFile, sample_ids: NDArray[np.int64]) -> Figures:
    """Rows in the order of ``sample_ids``, zeros where there is none, without the structural columns of Qwen."""
    position = {sample_id: row for row, sample_id in enumerate(embeddings.ids.tolist())}
    found = [position.get(sample_id, -1) for sample_id in sample_ids.tolist()]
    padded = np.vstack([embeddings.vectors, np.zeros_like(embeddings.vectors[:1])])
    return padded[found].astype(np.float64)


def holdout_smape(features: Figures, prices: Figures, penalty: float = 300.0) -> float:
    """Of a ridge regression of log1p(price), fitted on the first 80 percent."""
    cut = len(prices) * 8 // 10
    model = Ridge(alpha=penalty).fit(features[:cut], np.log1p(prices[:cut]))
    return smape(np.maximum(np.expm1(model.predict(features[cut:])), 0.1), prices[cut:])


def test_price_depends_on_text_image_and_quantity(default_sample: FabricatedSample) -> None:
    train = default_sample.train
    ids, cents = train.products.sample_ids, train.products.price_cents
    assert cents is not None
    prices = cents / 100
    image, text = aligned(train.clip_image, ids), aligned(train.qwen_text, ids)
    quantity = np.column_stack([np.log1p(text[:, 1024]), text[:, 1025:]]) * 4
    text = text[:, :1024]
    cut = len(prices) * 8 // 10
    median = smape(np.full(len(prices) - cut, np.median(prices[:cut])), prices[cut:])
    alone = {name: holdout_smape(features, prices) for name, features in (("i", image), ("t", text), ("q", quantity))}
    both = holdout_smape(np.hstack([image, text]), prices)
    everything = holdout_smape(np.hstack([image, text, quantity]), prices)
    assert 68 < median < 78
    assert alone["q"] < median - 1
    assert max(alone["i"], alone["t"]) < median - 5
    assert both < min(alone.values()) - 2
    assert everything < both - 1
    assert 56 < everything < 65


@pytest.mark.parametrize("name", ["siglip_image", "siglip_text"])
def test_price_depends_on_siglip(default_sample: FabricatedSample, name: str) -> None:
    train = default_sample.train
    assert train.products.price_cents is not None
    prices = train.products.price_cents / 100
    features = aligned(getattr(train, name), train.products.sample_ids)
    assert holdout_smape(features, prices) < 70


def test_price_is_not_linear_in_the_embeddings(default_sample: FabricatedSample) -> None:
    """As on real products: a kernel of the same embeddings is clearly ahead of a linear model."""
    train = default_sample.train
    assert train.products.price_cents is not None
    prices = train.products.price_cents / 100
    embeddings = [aligned(one, train.products.sample_ids) for one in (train.clip_image, train.qwen_text)]
    directions = np.hstack(
        [each[:, :768] / (np.linalg.norm(each[:, :768], axis=1, keepdims=True) + 1e-9) for each in embeddings]
    )
    cut = len(prices) * 8 // 10
    squared = np.maximum(4 - 2 * directions @ directions[:cut].T, 0)
    ratio = np.sqrt(3 * squared / squared.mean())
    kernel = (1 + ratio) * np.exp(-ratio)
    logs = np.log1p(prices[:cut])
    weights = np.linalg.solve(kernel[:cut] + 0.1 * np.eye(cut), logs - logs.mean())
    by_kernel = smape(np.expm1(logs.mean() + kernel[cut:] @ weights), prices[cut:])
    assert by_kernel < holdout_smape(np.hstack(embeddings), prices) - 1


def test_families_are_few_large_and_many_small() -> None:
    products = draw_products(FabricationParameters(), 41)
    _, first, family, counts = np.unique(products.family, return_index=True, return_inverse=True, return_counts=True)
    sizes = np.sort(counts)
    assert 0.4 < np.mean(sizes == 1) < 0.8
    assert sizes[-1] > 20
    assert sizes[-10:].sum() < 0.2 * len(products)
    for shared in (products.category, products.brand, products.look):
        assert (shared == shared[first][family]).all()


def test_products_are_exact_in_any_order() -> None:
    draws = Draws(3, "matrices")
    left, right = draws.bell(70, 64), draws.bell(64, 40)
    np.testing.assert_array_equal(exact_product(left >> 2, right >> 4), (left >> 2) @ (right >> 4))
    with pytest.raises(ValueError, match="not exact in float32"):
        exact_product(left << 4, right)


def test_noise_has_heavy_tails() -> None:
    """Log prices of products that differ in nothing else: more of them are far apart than a normal distribution has."""
    count = 20_000
    zeros = np.zeros(count, np.int64)
    features = Features(zeros, zeros, zeros, zeros, zeros, np.zeros((count, len(CLAIMS)), np.int64), zeros, zeros)
    noise = worth(features, 41).astype(np.float64)
    noise = (noise - noise.mean()) / noise.std()
    assert 4 < np.mean(noise**4) < 9


def test_no_logarithm_is_near_a_half() -> None:
    for value in {*PACKS, *(size for category in CATEGORIES for size in category.sizes)}:
        assert abs(100 * math.log(value) % 1 - 0.5) > 1e-6


def test_departments_have_brands() -> None:
    assert len(set(BRANDS)) == len(BRANDS) == 240
    assert {category.department for category in CATEGORIES} == {0, 1, 2, 3}


def test_shares_that_leave_no_image() -> None:
    parameters = FabricationParameters(labelled=100, unlabelled=10, without_image=0.6, shared_image=0.5)
    with pytest.raises(ParameterError, match=r"without_image 0\.6 and fabrication\.shared_image 0\.5"):
        fabricate_sample(parameters, 41)


def test_no_shares_at_all() -> None:
    parameters = FabricationParameters(labelled=100, unlabelled=10, without_image=0.0, shared_image=0.0)
    train = fabricate_sample(parameters, 0).train
    assert len(train.clip_image.ids) == 100
    assert len(set(train.products.image_links)) == 100


def test_bell_is_centred_and_row_by_row() -> None:
    whole = Draws(7, "x").bell(1_000, 64)
    parts = Draws(7, "x")
    np.testing.assert_array_equal(whole, np.vstack([parts.bell(300, 64), parts.bell(700, 64)]))
    assert abs(whole.mean()) < 3
    assert abs(whole.std() - BELL_DEVIATION) < 3
    with pytest.raises(ValueError, match="even"):
        parts.bell(1, 3)


def test_streams_differ_by_name_and_seed() -> None:
    streams = [Draws(seed, name).below(1_000, 50).tolist() for seed, name in ((1, "a"), (1, "b"), (2, "a"))]
    assert streams[0] != streams[1] != streams[2] != streams[0]
    assert sorted(Draws(1, "a").permutation(50).tolist()) == list(range(50))
