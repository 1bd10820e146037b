"""Folders as shops have them."""

from __future__ import annotations

import gzip
import json
import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors.numpy import save_file

from price_fusion.errors import DataError, UsageError
from price_fusion.onboarding import column_values
from price_fusion.onboarding.column_roles import Guess
from price_fusion.onboarding.proposal import Proposal, proposal_for
from price_fusion.onboarding.written_conf import files_of, flow, write_conf

ROWS = 60
IDS = [f"A-{number:04d}" for number in range(ROWS)]


def products(first: int = 0, last: int = ROWS) -> pd.DataFrame:
    rows = np.arange(first, last)
    return pd.DataFrame(
        {
            "sku": IDS[first:last],
            "title": [f"Green tea number {row}, in a tin of its own" for row in rows],
            "kind": [("tea", "cup")[row % 2] for row in rows],
            "price_eur": [f"{2 + row * 0.75:.2f}" for row in rows],
        }
    )


def best(what: str, guess: Guess, choices: Sequence[str]) -> str | None:
    return guess.value


def never(what: str, guess: Guess, choices: Sequence[str]) -> str | None:
    raise AssertionError(what)


def save_vectors(folder: Path, ids: list[str], width: int = 6) -> None:
    folder.mkdir(parents=True)
    np.save(folder / "vectors.npy", np.random.default_rng(0).normal(size=(len(ids), width)).astype(np.float32))
    np.save(folder / "ids.npy", np.array(ids))


def test_one_file_in_which_some_prices_are_empty(tmp_path: Path) -> None:
    table = products()
    table.loc[50:, "price_eur"] = ""
    table.to_csv(tmp_path / "all.csv", index=False)
    save_vectors(tmp_path / "clip_img", IDS)
    found = proposal_for(tmp_path, {}, never)
    assert found.one_file
    assert found.source_names == ("clip_img", "attributes")
    assert (found.sources[0].group, found.sources[0].train.width, found.sources[0].known) == ("image", 6, 1.0)
    assert found.variants == ("moe", "two_branch")


def test_products_without_embeddings_are_counted_and_left_out(tmp_path: Path) -> None:
    products(0, 50).to_csv(tmp_path / "train.csv", index=False)
    save_vectors(tmp_path / "clip_img", IDS[:30])
    save_vectors(tmp_path / "words", IDS[20:40])
    found = proposal_for(tmp_path, {}, best)
    assert found.without_embeddings == 10
    written = yaml.safe_load(files_of(found, "shop", "data")["parameters.yml"])
    assert written["ingestion"] == {"unknown_products": "drop"}


def test_two_files_and_embeddings_in_two(tmp_path: Path) -> None:
    products(0, 50).to_csv(tmp_path / "train.csv", index=False)
    products(50).drop(columns="price_eur").to_csv(tmp_path / "test.csv", index=False)
    save_vectors(tmp_path / "text/train", IDS[:50])
    save_vectors(tmp_path / "text/test", IDS[50:])
    save_vectors(tmp_path / "other", ["x", "y"])
    found = proposal_for(tmp_path, {}, never)
    assert not found.one_file
    (source,) = found.sources
    assert source.test is not None
    assert (source.name, source.train.path, source.test.path) == (
        "text",
        tmp_path / "text/train/vectors.npy",
        tmp_path / "text/test/vectors.npy",
    )
    assert found.left_out["other/vectors.npy"].startswith("none of its ids is a product's; they begin with 'x'")


def test_columns_alone_are_one_source_and_one_variant(tmp_path: Path) -> None:
    products().to_csv(tmp_path / "shop.csv", index=False, sep=";")
    found = proposal_for(tmp_path, {}, never)
    assert (found.source_names, found.variants, found.unlabelled) == (("attributes",), ("two_branch",), None)


def test_a_folder_without_prices_is_refused(tmp_path: Path) -> None:
    products().drop(columns="price_eur").to_csv(tmp_path / "shop.csv", index=False)
    with pytest.raises(DataError, match="expected a table of products with a column of prices"):
        proposal_for(tmp_path, {}, best)


def test_prices_with_signs_are_named_as_the_likeliest(tmp_path: Path) -> None:
    table = products()
    table["price_eur"] += " €"
    table.to_csv(tmp_path / "shop.csv", index=False)
    with pytest.raises(
        DataError, match=r"\(in shop.csv, 'price_eur' is the likeliest, but has '2.00 €'.*Correct them, or"
    ):
        proposal_for(tmp_path, {}, best)


def test_a_column_that_there_is_not_is_refused_with_the_nearest(tmp_path: Path) -> None:
    products().to_csv(tmp_path / "shop.csv", index=False)
    with pytest.raises(DataError, match=r"found no column 'skus'.*did you mean 'sku'\? Correct --id"):
        proposal_for(tmp_path, {"id": "skus"}, best)
    with pytest.raises(DataError, match=r"found no column 'price'.*did you mean 'price_eur'\? Correct --price"):
        proposal_for(tmp_path, {"price": "price"}, best)
    with pytest.raises(
        DataError, match=r"found no table of products 'shops.csv'.*did you mean 'shop.csv'\? Correct --train"
    ):
        proposal_for(tmp_path, {"train": "shops.csv"}, best)
    with pytest.raises(UsageError, match=r"--currency: found 'E U R'"):
        proposal_for(tmp_path, {"currency": "E U R"}, best)


def written(found: Proposal) -> dict[str, dict[str, object]]:
    return {name: yaml.safe_load(text) for name, text in files_of(found, "shop", "data/x").items()}


def test_what_is_written_is_yaml_that_says_what_was_found(tmp_path: Path) -> None:
    folder = tmp_path / 'a "folder": ${x}'
    folder.mkdir()
    table = products().rename(columns={"kind": "kind: of, it", "title": "title #1"})
    table.loc[50:, "price_eur"] = ""
    table["price_eur"] = table["price_eur"].str.replace(".", ",")
    table.to_csv(folder / "all ${y}.csv", index=False)
    files = written(proposal_for(folder, {"currency": "CHF"}, never))
    assert files["globals.yml"]["columns"] == {"id": "sku", "price": "price_eur", "text": ["title #1"]}
    entry = files["catalog.yml"]["train_products"]
    assert isinstance(entry, dict)
    assert entry["filepath"] == "${globals:raw}/all \\${y}.csv"
    assert (entry["rows"], entry["decimal"]) == ("labelled", ",")
    assert files["parameters.yml"]["currency"] == "CHF"
    members = ["two_branch", "kernel_ridge", "neighbours"]
    assert files["parameters.yml"]["ensemble"] == {"presets": {"quick": {"members": members, "seeds": 1, "refits": 5}}}
    sources = files["parameters.yml"]["sources"]
    assert isinstance(sources, dict)
    assert sources["attributes"]["categorical"] == ["kind: of, it"]
    assert flow("${a}") == "\\${a}"


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    write_conf(tmp_path / "shop", {"globals.yml": "a: 1\n"})
    with pytest.raises(UsageError, match="is there already, and nothing is overwritten"):
        write_conf(tmp_path / "shop", {"globals.yml": "a: 2\n"})
    assert (tmp_path / "shop/globals.yml").read_text() == "a: 1\n"


def test_what_is_written_anew_is_kept_under_another_name(tmp_path: Path) -> None:
    assert write_conf(tmp_path / "shop", {"globals.yml": "a: 1\n"}, replace=True) is None
    for number in (1, 2):
        kept = write_conf(tmp_path / "shop", {"globals.yml": f"a: {number + 1}\n"}, replace=True)
        assert kept == tmp_path / f"shop.{number}"
        assert (kept / "globals.yml").read_text() == f"a: {number}\n"
    assert (tmp_path / "shop/globals.yml").read_text() == "a: 3\n"
    with pytest.raises(UsageError, match=r"written anew \(--replace\), which keeps this one as shop.3"):
        write_conf(tmp_path / "shop", {"globals.yml": "a: 2\n"})


def test_products_without_a_price_beside_a_file_to_be_predicted(tmp_path: Path) -> None:
    table = products(0, 40)
    table.loc[::4, "price_eur"] = ""
    table.to_csv(tmp_path / "train.csv", index=False)
    products(40).drop(columns="price_eur").to_csv(tmp_path / "test.csv", index=False)
    matrix(tmp_path / "bert_train.npy", 40)
    matrix(tmp_path / "bert_test.npy", 20)
    found = proposal_for(tmp_path, {}, best)
    assert (found.one_file, found.without_price) == (False, 10)
    assert found.sources[0].train.ids.tolist() == IDS[:40]  # row n is product n of the file, with or without a price
    catalog = written(found)["catalog.yml"]
    train, test = catalog["train_products"], catalog["test_products"]
    assert isinstance(train, dict)
    assert isinstance(test, dict)
    assert (train["rows"], "rows" in test) == ("labelled", False)


def test_parquet_and_vectors_in_the_order_of_the_products(tmp_path: Path) -> None:
    products().to_parquet(tmp_path / "sold.parquet", index=False)
    products(0, 20).drop(columns="price_eur").assign(sku=[f"N-{row}" for row in range(20)]).to_parquet(
        tmp_path / "new.parquet", index=False
    )
    np.save(tmp_path / "bert_train.npy", np.random.default_rng(0).normal(size=(ROWS, 4)))
    np.save(tmp_path / "bert_test.npy", np.random.default_rng(1).normal(size=(20, 4)))
    found = proposal_for(tmp_path, {}, best)
    (source,) = found.sources
    assert (source.name, source.group, source.train.entry) == ("bert", "text", {"ids": "products"})
    assert source.test is not None
    assert source.test.path.name == "bert_test.npy"


def test_parts_of_one_table_are_one_source(tmp_path: Path) -> None:
    products().to_csv(tmp_path / "shop.csv", index=False)
    (tmp_path / "emb").mkdir()
    for part, rows in enumerate((IDS[:30], IDS[30:])):
        vectors = pd.DataFrame({"sku": rows, "embedding": [[1.0, float(row)] for row in range(30)]})
        vectors.rename(columns={"sku": "id"}).to_parquet(tmp_path / f"emb/part-0000{part}.parquet", index=False)
    (source,) = proposal_for(tmp_path, {}, never).sources
    assert (source.train.path.name, source.known) == ("emb", 1.0)


def save_parts(folder: Path, vectors: pd.DataFrame) -> None:
    folder.mkdir()
    for part in range(2):
        vectors[part * 30 : part * 30 + 30].to_parquet(folder / f"part-0000{part}.parquet", index=False)


@pytest.mark.parametrize("form", ["parts", "frame"])
def test_ids_called_as_the_products_call_them_in_parts_and_in_a_pickled_frame(tmp_path: Path, form: str) -> None:
    products().rename(columns={"sku": "artikelnummer"}).to_csv(tmp_path / "shop.csv", index=False)
    vectors = pd.DataFrame({"artikelnummer": IDS[::-1], "vektor": list(np.ones((ROWS, 5), np.float32))})
    if form == "parts":
        save_parts(tmp_path / "words", vectors)
    else:
        vectors.to_pickle(tmp_path / "words.pkl")
    found = proposal_for(tmp_path, {}, best)
    (source,) = found.sources
    assert (source.train.entry, source.train.width, source.known) == ({"ids": "artikelnummer"}, 5, 1.0)
    assert source.train.ids.tolist() == IDS[::-1]
    assert found.left_out == {}
    assert "  ids: artikelnummer\n" in files_of(found, "shop", "data")["catalog.yml"]


def test_files_that_a_source_takes_its_ids_from_are_not_left_out(tmp_path: Path) -> None:
    products().to_csv(tmp_path / "shop.csv", index=False)
    for name in ("img_emb", "metadata", "words"):
        (tmp_path / "clip" / name).mkdir(parents=True)
    for part, rows in enumerate((IDS[:30], IDS[30:])):
        np.save(tmp_path / f"clip/img_emb/img_emb_{part}.npy", np.ones((30, 4), np.float32))
        metadata = pd.DataFrame({"image_path": rows, "caption": "tea"})
        metadata.to_parquet(tmp_path / f"clip/metadata/metadata_{part}.parquet", index=False)
    np.save(tmp_path / "clip/words/vectors.npy", np.ones((ROWS, 3), np.float32))
    pd.DataFrame({"colour": "red", "sku": IDS}).to_csv(tmp_path / "clip/words/order.csv", index=False)
    found = proposal_for(tmp_path, {}, best)
    assert sorted(source.train.width for source in found.sources) == [3, 4]
    assert found.left_out == {}


def test_ids_of_which_some_are_repeated_are_named(tmp_path: Path) -> None:
    table = products().rename(columns={"sku": "artikelnummer"})
    table.loc[3:5, "artikelnummer"] = IDS[0]
    table.to_csv(tmp_path / "shop.csv", index=False)
    with pytest.raises(DataError, match=r"'artikelnummer' is the likeliest, but has 'A-0000' 4 times\).*\(--id NAME\)"):
        proposal_for(tmp_path, {}, best)
    table.loc[3:5, "artikelnummer"] = ["", IDS[3], IDS[4]]
    table.to_csv(tmp_path / "shop.csv", index=False)
    with pytest.raises(DataError, match=r"'artikelnummer' is the likeliest, but has 1 empty\)"):
        proposal_for(tmp_path, {}, best)


def test_records_are_counted_as_elsewhere(tmp_path: Path) -> None:
    products(0, 40).to_csv(tmp_path / "train.csv", index=False)
    rest = products(40).drop(columns="price_eur")
    rest.loc[5, "sku"] = IDS[40]
    rest.to_csv(tmp_path / "test.csv", index=False)
    with pytest.raises(DataError, match=r"test.csv: 1 id\(s\) occur more than once: 'A-0040' in records 1, 6;"):
        proposal_for(tmp_path, {}, best)


def test_a_folder_of_nothing_but_embeddings_is_refused(tmp_path: Path) -> None:
    pd.DataFrame({"sku": IDS, "vektor": [[1.0, 2.0]] * ROWS}).to_parquet(tmp_path / "words.parquet", index=False)
    with pytest.raises(
        DataError, match="found neither a CSV file nor parquet without vectors, expected a table of prod"
    ):
        proposal_for(tmp_path, {}, best)


def test_a_table_in_the_encoding_and_numbers_of_a_german_excel(tmp_path: Path) -> None:
    table = products().rename(columns={"sku": "Artikelnummer", "title": "Bezeichnung", "price_eur": "Verkaufspreis"})
    table["kind"] = table["kind"].replace("tea", "Öl")
    table["Verkaufspreis"] = table["Verkaufspreis"].str.replace(".", ",")
    table["EK-Preis"] = table["Verkaufspreis"]
    table["Gewicht"] = range(100, 100 + ROWS)  # in the other table, the only numbers
    table[:50].to_csv(tmp_path / "verkauft.csv", index=False, sep=";", encoding="cp1252")
    rest = table[50:].drop(columns=["Verkaufspreis", "EK-Preis"])
    rest.to_csv(tmp_path / "weitere.csv", index=False, sep=";", encoding="cp1252")
    found = proposal_for(tmp_path, {"currency": "EUR"}, never)
    assert (found.roles.id.value, found.roles.price.value) == ("Artikelnummer", "Verkaufspreis")
    assert found.unlabelled is not None
    assert (found.labelled.path.name, found.unlabelled.path.name) == ("verkauft.csv", "weitere.csv")
    assert found.left_out["column EK-Preis"] == "it may tell the price"
    entry = written(found)["catalog.yml"]["train_products"]
    assert isinstance(entry, dict)
    assert (entry["encoding"], entry["decimal"]) == ("cp1252", ",")


def test_the_price_is_what_products_to_be_predicted_lack_not_their_weight(tmp_path: Path) -> None:
    labelled = products().rename(columns={"price_eur": "gbp"})
    labelled.insert(1, "weight_kg", np.random.default_rng(2).uniform(0.1, 30, ROWS).round(2))
    labelled.to_csv(tmp_path / "train.csv", index=False)
    labelled.head(20).drop(columns="gbp").assign(sku=[f"N-{row}" for row in range(20)]).to_csv(
        tmp_path / "test.csv", index=False
    )
    roles = proposal_for(tmp_path, {}, never).roles
    assert (roles.price.value, roles.currency.value, roles.numeric) == ("gbp", "GBP", ("weight_kg",))

    for name in ("train.csv", "test.csv"):  # a name that tells nothing
        path = tmp_path / name
        path.write_text(path.read_text().replace("gbp", "zahl"))
    roles = proposal_for(tmp_path, {}, best).roles
    assert (roles.price.value, roles.price.why) == ("zahl", "numbers above 0 that the products to be predicted lack")
    assert "a guess" in roles.currency.why
    assert "said" not in roles.currency.why


def test_numbers_in_the_order_of_the_prices_are_left_out(tmp_path: Path) -> None:
    noise = np.random.default_rng(3).normal(0, 0.5, ROWS)
    table = products().assign(landed=[f"{1 + row * 0.4 + noise[row]:.2f}" for row in range(ROWS)])
    table.to_csv(tmp_path / "shop.csv", index=False)
    found = proposal_for(tmp_path, {}, best)
    assert found.roles.numeric == ()
    assert found.left_out["column landed"].startswith("it tells the price")


def test_ids_in_json_and_ids_called_as_the_products_call_them(tmp_path: Path) -> None:
    products().to_csv(tmp_path / "shop.csv", index=False)
    (tmp_path / "pictures").mkdir()
    np.save(tmp_path / "pictures/vectors.npy", np.random.default_rng(0).normal(size=(ROWS, 5)))
    (tmp_path / "pictures/ids.json").write_text(json.dumps(IDS))
    (tmp_path / "words").mkdir()
    columns = {f"d{column}": np.random.default_rng(column).normal(size=ROWS) for column in range(4)}
    pd.DataFrame({"sku": IDS, **columns}).to_parquet(tmp_path / "words/words.parquet", index=False)
    np.savez(tmp_path / "labels.npz", skus=np.array(IDS), clip=np.ones((ROWS, 3)))
    found = proposal_for(tmp_path, {}, best)
    assert {source.train.path.name: source.train.width for source in found.sources} == {
        "vectors.npy": 5,
        "words.parquet": 4,
        "labels.npz": 3,
    }
    assert not [name for name in found.left_out if name.startswith(("words", "pictures", "labels"))]


def test_a_csv_and_a_pickle_that_gzip_has_compressed(tmp_path: Path) -> None:
    products().to_csv(tmp_path / "shop.csv.gz", index=False)
    vectors = np.random.default_rng(0).normal(size=(ROWS, 5)).astype(np.float32)
    content = pickle.dumps({"ids": IDS, "embeddings": vectors})
    (tmp_path / "words.pkl.gz").write_bytes(gzip.compress(content))
    (tmp_path / "broken.csv.gz").write_bytes(gzip.compress(b"sku,price\n1,2\n")[:-5])
    found = proposal_for(tmp_path, {}, never)
    assert found.labelled.path.name == "shop.csv.gz"
    assert [(source.train.path.name, source.train.width) for source in found.sources] == [("words.pkl.gz", 5)]
    assert "broken.csv.gz" in found.left_out


def test_columns_are_guessed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = products()
    table.loc[50:, "price_eur"] = ""
    table.to_csv(tmp_path / "shop.csv", index=False)
    parsed: list[int] = []
    parse = column_values.parse_numbers
    monkeypatch.setattr(column_values, "parse_numbers", lambda values, *more: parsed.append(1) or parse(values, *more))
    proposal_for(tmp_path, {"currency": "EUR"}, never)
    assert len(parsed) <= len(table.columns) * len(column_values._LAYOUTS)


def test_a_kill_leaves_a_whole_environment_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("price_fusion.storage.files.sync", killed)
    with pytest.raises(KeyboardInterrupt):
        write_conf(tmp_path / "shop", {"globals.yml": "a: 1\n", "catalog.yml": "b: 2\n"})
    assert not (tmp_path / "shop").exists()


def test_what_a_killed_init_left_is_removed_by_the_next(tmp_path: Path) -> None:
    (tmp_path / ".other.999999999.partial").mkdir()
    write_conf(tmp_path / "shop", {"globals.yml": "a: 1\n"})
    assert [path.name for path in tmp_path.iterdir()] == ["shop"]


@pytest.mark.parametrize("columns", [["sku"], ["sku", "colour"]])
def test_vectors_in_safetensors_and_their_ids_in_a_csv(tmp_path: Path, columns: list[str]) -> None:
    products().to_csv(tmp_path / "shop.csv", index=False)
    (tmp_path / "covers").mkdir()
    vectors = np.random.default_rng(0).normal(size=(ROWS, 5)).astype(np.float32)
    save_file({"vectors": vectors}, tmp_path / "covers/covers.safetensors")
    pd.DataFrame({"colour": "red", "sku": IDS[::-1]})[columns].to_csv(tmp_path / "covers/order.csv", index=False)
    (source,) = proposal_for(tmp_path, {}, best).sources
    assert source.train.entry == {"ids": "order.csv"} | ({"id_column": "sku"} if len(columns) > 1 else {})
    assert source.train.ids.tolist() == IDS[::-1]


def matrix(path: Path, rows: int = ROWS) -> None:
    np.save(path, np.random.default_rng(0).normal(size=(rows, 6)).astype(np.float32))


def shop_of_both(folder: Path) -> None:
    """One file, whose last ten products have no price."""
    table = products()
    table.loc[50:, "price_eur"] = ""
    table.to_csv(folder / "shop.csv", index=False)


def test_a_matrix_without_ids_is_assumed_to_be_in_the_order_of_the_file_of_all_products(tmp_path: Path) -> None:
    shop_of_both(tmp_path)
    matrix(tmp_path / "image_vectors.npy")
    asked: list[tuple[str, str]] = []

    def ask(what: str, guess: Guess, choices: Sequence[str]) -> str | None:
        asked.append((what, guess.why))
        return guess.value

    found = proposal_for(tmp_path, {"currency": "EUR"}, ask)
    assert asked == [("order", "image_vectors.npy has 60 rows and no ids, shop.csv as many products")]
    (source,) = found.sources
    assert (source.name, source.group, source.known) == ("image", "image", 1.0)
    assert source.test is source.train
    assert source.train.ids.tolist() == IDS
    catalog = files_of(found, "shop", "data")["catalog.yml"]
    assert "# Assumed, as there are as many: row n belongs to product n of the product file.\n" in catalog
    assert 'filepath: "${globals:raw}/image_vectors.npy"\n  ids: products\n' in catalog


def test_the_order_may_be_said(tmp_path: Path) -> None:
    shop_of_both(tmp_path)
    matrix(tmp_path / "image_vectors.npy")
    assert proposal_for(tmp_path, {"order": "products", "currency": "EUR"}, never).sources
    found = proposal_for(tmp_path, {"order": "none", "currency": "EUR"}, never)
    assert found.sources == ()
    assert found.left_out_embeddings == ("image_vectors.npy",)
    assert "not in the order of shop.csv, as you said" in found.left_out["image_vectors.npy"]
    with pytest.raises(UsageError, match="--order: found 'rows', expected products or none"):
        proposal_for(tmp_path, {"order": "rows"}, never)


def test_a_matrix_of_another_number_of_rows_is_left_out_with_the_counts(tmp_path: Path) -> None:
    shop_of_both(tmp_path)
    matrix(tmp_path / "image_vectors.npy", 50)  # as many as have a price; runs count the file
    found = proposal_for(tmp_path, {}, best)
    assert found.sources == ()
    assert found.left_out["image_vectors.npy"].startswith(
        "it has 50 rows and no ids, and there are 60 products in shop.csv. Save the ids of its rows beside it"
    )


def test_of_two_files_with_as_many_products_the_name_decides(tmp_path: Path) -> None:
    products(0, 30).to_csv(tmp_path / "train.csv", index=False)
    products(30).drop(columns="price_eur").to_csv(tmp_path / "test.csv", index=False)
    for name in ("bert_train", "bert_test", "clip"):
        matrix(tmp_path / f"{name}.npy", 30)
    found = proposal_for(tmp_path, {}, best)
    (source,) = found.sources
    assert source.test is not None
    assert (source.train.path.name, source.test.path.name) == ("bert_train.npy", "bert_test.npy")
    assert "30 products in train.csv and 30 products in test.csv" in found.left_out["clip.npy"]


def test_a_matrix_in_the_order_of_one_file_is_not_read_for_the_other(tmp_path: Path) -> None:
    products(0, 30).to_csv(tmp_path / "train.csv", index=False)
    products().drop(columns="price_eur").to_csv(tmp_path / "test.csv", index=False)  # those with a price, too
    matrix(tmp_path / "bert_train.npy", 30)
    matrix(tmp_path / "bert_test.npy", ROWS)
    (source,) = proposal_for(tmp_path, {}, best).sources
    assert source.test is not None
    assert (source.train.path.name, source.test.path.name) == ("bert_train.npy", "bert_test.npy")


def test_a_file_of_ids_that_will_not_do_is_not_taken_for_absent(tmp_path: Path) -> None:
    shop_of_both(tmp_path)
    matrix(tmp_path / "image_vectors.npy")
    (tmp_path / "ids.npy").write_bytes(b"\x93NUMPY damaged")
    found = proposal_for(tmp_path, {"currency": "EUR"}, never)
    assert found.sources == ()
    assert "ids.npy" in found.left_out["image_vectors.npy"]


@pytest.mark.parametrize("ids", [np.array(IDS, dtype=object), np.arange(ROWS) // 2], ids=["objects", "repeated"])
def test_an_array_that_may_be_the_ids_is_named_and_the_order_not_assumed(tmp_path: Path, ids: np.ndarray) -> None:
    shop_of_both(tmp_path)
    matrix(tmp_path / "image_vectors.npy")
    np.save(tmp_path / "skus.npy", ids, allow_pickle=True)
    asked: list[Guess] = []
    found = proposal_for(tmp_path, {"currency": "EUR"}, lambda what, guess, choices: asked.append(guess) or guess.value)
    assert found.sources == ()
    assert found.left_out["image_vectors.npy"].startswith("its 60 ids may be in skus.npy, which cannot be read as ids.")
    assert "skus.npy" in found.left_out
    assert (asked[0].value, asked[0].others) == ("none", ("products",))
    assert asked[0].why.endswith("as many products; but skus.npy may hold the ids, and cannot be read as such")
    assert proposal_for(tmp_path, {"currency": "EUR", "order": "products"}, never).sources


def test_an_odd_array_is_left_out_and_the_others_are_taken(tmp_path: Path) -> None:
    shop_of_both(tmp_path)
    for name in ("image_vectors", "truncated"):
        matrix(tmp_path / f"{name}.npy")
    np.save(tmp_path / "objects.npy", np.full((ROWS, 4), None), allow_pickle=True)
    np.save(tmp_path / "of_others.npy", np.full(7, None), allow_pickle=True)
    (tmp_path / "truncated.npy").write_bytes((tmp_path / "truncated.npy").read_bytes()[:500])
    found = proposal_for(tmp_path, {}, best)
    assert [source.name for source in found.sources] == ["image"]
    assert sorted(found.left_out) == ["objects.npy", "of_others.npy", "truncated.npy"]
    assert "truncated or damaged" in found.left_out["truncated.npy"]
    assert "Python objects" in found.left_out["objects.npy"]


def test_an_array_of_which_nothing_can_be_read_may_be_the_ids(tmp_path: Path) -> None:
    shop_of_both(tmp_path)
    matrix(tmp_path / "image_vectors.npy")
    (tmp_path / "odd.npy").write_bytes(b"\x93NUMPY\x01\x00\x76\x00{'descr")
    found = proposal_for(tmp_path, {}, best)
    assert found.sources == ()
    assert "may be in odd.npy" in found.left_out["image_vectors.npy"]


def test_without_sources_what_is_left_out_is_listed(tmp_path: Path) -> None:
    products()[["sku", "title", "price_eur"]].to_csv(tmp_path / "shop.csv", index=False)
    matrix(tmp_path / "image_vectors.npy", ROWS - 1)
    np.save(tmp_path / "labels.npy", np.ones(ROWS))
    with pytest.raises(DataError) as caught:
        proposal_for(tmp_path, {}, best)
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("expected one of them. Left out:")
    assert [line.partition(": ")[0] for line in lines[1:]] == ["  - image_vectors.npy", "  - labels.npy"]


@pytest.mark.parametrize(
    ("labelled", "unlabelled", "train", "test"),
    [
        ("products", "new_products", "products_vectors", "new_products_vectors"),
        ("products", "products_b", "products_vectors", "products_b_vectors"),
        ("products", "products_b", "clip/products", "clip/products_b"),
    ],
)
def test_of_two_files_the_one_whose_whole_name_is_in_that_of_a_matrix(
    tmp_path: Path, labelled: str, unlabelled: str, train: str, test: str
) -> None:
    products(0, 30).to_csv(tmp_path / f"{labelled}.csv", index=False)
    products(30).drop(columns="price_eur").to_csv(tmp_path / f"{unlabelled}.csv", index=False)
    (tmp_path / "clip").mkdir()
    for name in (train, test):
        matrix(tmp_path / f"{name}.npy", 30)
    (source,) = proposal_for(tmp_path, {}, best).sources
    assert source.test is not None
    assert (source.train.path, source.test.path) == (tmp_path / f"{train}.npy", tmp_path / f"{test}.npy")


def test_arrays_that_are_neither_vectors_nor_ids_are_left_out_with_their_shape(tmp_path: Path) -> None:
    shop_of_both(tmp_path)
    matrix(tmp_path / "image_vectors.npy")
    np.save(tmp_path / "labels.npy", np.ones(ROWS))
    found = proposal_for(tmp_path, {}, best)
    assert [source.name for source in found.sources] == ["image"]
    assert found.left_out["labels.npy"].startswith("found an array of shape (60,), expected a matrix")


@pytest.mark.parametrize(("place", "name"), [("", "image"), ("clip", "clip_image"), ("embeddings/new", "image")])
def test_vectors_and_ids_in_two_files_are_named_after_the_file(tmp_path: Path, place: str, name: str) -> None:
    folder = tmp_path / "new9_shop"
    (folder / place).mkdir(parents=True)
    shop_of_both(folder)
    matrix(folder / place / "image_vectors.npy")
    np.save(folder / place / "skus.npy", np.array(IDS))
    found = proposal_for(folder, {"currency": "EUR"}, never)
    (source,) = found.sources
    assert (source.name, source.train.path.name, source.train.entry) == (name, "image_vectors.npy", {"ids": "skus.npy"})
    assert source.train.ids_file == folder / place / "skus.npy"
    written = f"${{globals:raw}}/{place}/image_vectors.npy".replace("//", "/")
    assert f'filepath: "{written}"\n' in files_of(found, "shop", "data")["catalog.yml"]


def test_vectors_that_only_the_folder_could_name_are_not_called_as_the_shop(tmp_path: Path) -> None:
    folder = tmp_path / "new9_shop"
    folder.mkdir()
    shop_of_both(folder)
    matrix(folder / "vectors.npy")
    assert [source.name for source in proposal_for(folder, {}, best).sources] == ["vectors"]


def test_parts_directly_in_the_folder(tmp_path: Path) -> None:
    products().to_csv(tmp_path / "shop.csv", index=False)
    for part, rows in enumerate((IDS[:30], IDS[30:])):
        matrix(tmp_path / f"img_emb_{part}.npy", 30)
        pd.DataFrame({"sku": rows}).to_parquet(tmp_path / f"metadata_{part}.parquet", index=False)
    found = proposal_for(tmp_path, {"train": "shop.csv"}, best)
    assert [(source.name, source.train.path, source.known) for source in found.sources] == [("img_0", tmp_path, 1.0)]
    assert 'filepath: "${globals:raw}"\n' in files_of(found, "shop", "data")["catalog.yml"]
