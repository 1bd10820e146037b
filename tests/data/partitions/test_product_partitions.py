"""Product tables in partitions: the rows that the reader in memory gives, their groups and splits, and what is refused."""

import csv
import gzip
import os
import re
from dataclasses import replace

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from price_fusion.compute import executor_of
from price_fusion.data.columns import column_matrix
from price_fusion.data.groups.keys import group_keys
from price_fusion.data.order import canonical_order, partitions_of
from price_fusion.data.partitions import product_partitions as products
from price_fusion.data.partitions.labels import merged_split
from price_fusion.data.partitions.partition_groups import find_groups
from price_fusion.data.partitions.product_files import ProductFiles
from price_fusion.data.partitions.scatter import draft_column_partitions, frame_of, write_table_partitions
from price_fusion.data.products import read_products
from price_fusion.data.readers.column_names import ColumnNames
from price_fusion.data.readers.layout import Layout
from price_fusion.data.roles import roles_of_split
from price_fusion.data.splits import split_samples
from price_fusion.errors import AlignmentError, ComputeError, DataError, ParameterError, StorageError
from price_fusion.parameters import ColumnSourceParameters, SplittingParameters
from price_fusion.parameters.compute import ComputeParameters
from price_fusion.storage.partitions.parts import write_partitions
from price_fusion.storage.workspace import Workspace, duckdb_errors

HEADER = "sample_id,catalog_content,image_link,price\n"
PARTITIONS = 4
NOTHING_REFUSED = SplittingParameters.model_construct(proportions="1/0/0")  # for files of a few products


def plan_of(
    folder, path, *, labelled=True, layout=None, names=None, splitting=NOTHING_REFUSED, tuned_on=None, seed=1, **compute
):
    parameters = ComputeParameters(**{"partitions": PARTITIONS, "memory_gb": 0.5, **compute})
    return products.product_plan(
        ProductFiles(str(path), labelled, layout or Layout(), names=names or ColumnNames()),
        compute=parameters,
        spill=folder / "spill",
        splitting=splitting if labelled else None,
        tuned_on=tuned_on or {},
        seed=seed,
    )


def write(folder, path, **arguments):
    plan = plan_of(folder, path, **arguments)
    return write_partitions(str(folder / "out"), plan, executor_of(ComputeParameters(workers=1)))


def rows_of(partitions):
    """All rows in the order of the file."""
    tables = [table for partition in range(partitions.count) for table in partitions.read(partition)]
    assert len({str(table.schema) for table in tables}) == 1
    return pa.concat_tables(tables).sort_by("row").to_pandas()


@pytest.fixture
def file(tmp_path):
    def _file(content, name="train.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return _file


@pytest.fixture
def refusal(tmp_path):
    def _refusal(path, error=DataError, **arguments):
        with pytest.raises(error) as caught:
            write(tmp_path, path, **arguments)
        assert str(path) in str(caught.value)
        assert not list((tmp_path / "spill").glob("*"))
        return str(caught.value)

    return _refusal


def catalog(rows=400, seed=0, text_ids=False):
    """A CSV as people write them."""
    generator = np.random.default_rng(seed)
    ids = [f"{number:05d}" if text_ids else str(number) for number in generator.permutation(rows * 3)[:rows]]
    return pd.DataFrame(
        {
            "sample_id": ids,
            "catalog_content": [
                f'Item "{number % (rows * 3 // 4)}", hot; Käse\nUnit: Oz' if number % 7 else ""
                for number in range(rows)
            ],
            "image_link": [f"http://a/{number // 2 if number % 5 else number}.jpg" for number in range(rows)],
            "price": [f"{generator.uniform(0.5, 99):.2f}" for _ in range(rows)],
            "brand": [("NA", "null", "", " x ", "007")[number % 5] for number in range(rows)],
        }
    )


@pytest.mark.parametrize("text_ids", [False, True])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_rows_are_those_of_the_reader_in_memory(tmp_path, text_ids, newline):
    path = tmp_path / "train.csv"
    catalog(text_ids=text_ids).to_csv(path, index=False, lineterminator=newline, quoting=csv.QUOTE_MINIMAL)
    partitions = write(tmp_path, path)
    expected = read_products(path, labelled=True)
    found = rows_of(partitions)
    assert found["row"].tolist() == list(range(len(expected)))
    assert found["sample_id"].dtype == (object if text_ids else np.int64) or text_ids
    for name in expected.columns:
        assert found[name].tolist() == expected[name].tolist(), name
    for number in range(PARTITIONS):
        ids = np.concatenate([np.array(table["sample_id"].to_pylist()) for table in partitions.read(number)])
        assert (partitions_of(ids, PARTITIONS) == number).all()
        assert canonical_order(ids).tolist() == list(range(len(ids)))
    assert next(partitions.read(0)).column_names == [
        *("sample_id", "row", "catalog_content", "image_link", "price", "brand"),
        *("group_key", "split", "fold", "half", "tuned_on"),
    ]
    assert partitions.metadata == {"origin": str(path), "labelled": True}
    assert sum(one["rows"] for one in partitions.summaries) == len(expected)
    assert sum(one["splits"]["train"] for one in partitions.summaries) == len(expected)
    assert not list((tmp_path / "spill").iterdir())


def test_unlabelled_products_have_no_prices_and_no_splits(tmp_path, file):
    partitions = write(tmp_path, file(HEADER + "1,x,y,unknown\n2,,,\n"), labelled=False)
    found = rows_of(partitions)
    assert list(found.columns) == ["sample_id", "row", "catalog_content", "image_link", "group_key"]
    assert found["image_link"].tolist() == ["y", ""]
    assert [one["rows"] for one in partitions.summaries if one["rows"]] in ([2], [1, 1])


@pytest.mark.parametrize(
    ("text", "encoding", "layout"),
    [
        ("brand;" + HEADER.replace(",", ";") + 'B;1;"ä\n;";x;1,5\n', "utf-8-sig", Layout(decimal=",")),
        ("\n\n" + HEADER.replace(",", "\t") + "1\tä\tx\t1.5\n\n\n", "utf-8", Layout()),
        (HEADER + "1,ä,x,1.5\n", "cp1252", Layout(encoding="cp1252")),
        (HEADER + "1,ä,x,1.5\n", "utf-16", Layout(encoding="utf-16")),
        (HEADER.replace(",", "^") + "1^ä^x^1.5", "utf-8", Layout(delimiter="^")),
        (HEADER + "1,x,y,2\r\n2,x,y,2\n3,x,y,4\r", "utf-8", Layout()),
        (HEADER + '1,"' + "<li>made up</li>" * 20_000 + '",y,2\n', "utf-8", Layout()),
        ('"sample_id","catalog_content",image_link,price,\n 1 ,"ä",x,1.5,junk\n', "utf-8", Layout()),
        (gzip.compress((HEADER + "1,ä,x,1.5\n" * 1).encode(), mtime=0), None, Layout()),
    ],
)
def test_layouts(tmp_path, file, text, encoding, layout):
    path = file(text, encoding=encoding)
    found = rows_of(write(tmp_path, path, layout=layout))
    expected = read_products(path, labelled=True, layout=layout)
    for name in expected.columns:
        assert found[name].tolist() == expected[name].tolist(), name
    assert list(found.columns).count("") == 0


@pytest.mark.parametrize("several", [False, True])
def test_parquet(tmp_path, several):
    table = pa.Table.from_pandas(catalog().astype({"sample_id": "int64", "price": "float64"}), preserve_index=False)
    folder = tmp_path / "odd [folder]*"
    folder.mkdir()
    for part in range(2):
        pq.write_table(table.slice(part * 200, 200), folder / f"{part}.parquet")
    pq.write_table(table, tmp_path / "whole.parquet")
    found = rows_of(write(tmp_path, folder if several else tmp_path / "whole.parquet"))
    for name in table.column_names:
        assert found[name].tolist() == table[name].to_pylist(), name


def test_an_object_store(tmp_path):
    with fsspec.open("memory://shop/train.csv", "wb") as stream:
        stream.write((HEADER + "1,x,y,2\n").encode())
    assert rows_of(write(tmp_path, "memory://shop/train.csv"))["price"].tolist() == [2.0]
    with pytest.raises(DataError, match="is not there"):
        plan_of(tmp_path, "memory://shop/none.csv")


def test_the_same_again(tmp_path):
    path = tmp_path / "train.csv"
    catalog().to_csv(path, index=False)
    one, other = (write(tmp_path / name, path, splitting=SplittingParameters()) for name in "ab")
    assert one.fingerprint == other.fingerprint
    assert one.recipe == other.recipe
    assert rows_of(write(tmp_path / "c", path, splitting=SplittingParameters(), partitions=7)).equals(rows_of(one))


def test_the_recipe_tells_contents_apart(tmp_path):
    path = tmp_path / "train.csv"
    catalog().to_csv(path, index=False)
    recipes = [
        plan_of(tmp_path, path, **arguments).recipe
        for arguments in (
            {},
            {"seed": 2},
            {"partitions": 5},
            {"labelled": False},
            {"layout": Layout(decimal=",")},
            {"splitting": SplittingParameters()},
            {"tuned_on": {"a": np.array([1])}},
            {"tuned_on": {"a": np.array([2])}},
        )
    ]
    assert len(set(recipes)) == len(recipes)
    assert plan_of(tmp_path, path, memory_gb=3.0).recipe == recipes[0]
    path.write_text(path.read_text() + "999999,x,y,1,z\n")
    assert plan_of(tmp_path, path).recipe not in recipes


def test_the_recipe_follows_from_contents_and_not_from_size_and_time(tmp_path, file):
    def recipe(unit):
        path = file(HEADER + f"1,Unit: {unit},y,2\n")
        os.utime(path, ns=(10**18, 10**18))
        return plan_of(tmp_path, path).recipe

    assert recipe("Ounce") != recipe("Pound")
    before = recipe("Ounce")
    os.utime(tmp_path / "train.csv")
    assert plan_of(tmp_path, tmp_path / "train.csv").recipe == before


def test_goes_on_where_it_was_interrupted(tmp_path, monkeypatch):
    path = tmp_path / "train.csv"
    catalog().to_csv(path, index=False)
    whole = write(tmp_path / "whole", path).fingerprint
    made = []
    original = products._Products._partition

    def partition(self, workspace, number):
        if number == 2 and len(made) == 2:
            raise KeyboardInterrupt
        made.append(number)
        return original(self, workspace, number)

    monkeypatch.setattr(products._Products, "_partition", partition)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, path)
    assert not list((tmp_path / "spill").iterdir())
    made.append("again")
    assert write(tmp_path, path).fingerprint == whole
    assert made == [0, 1, "again", 2, 3]


def test_what_a_killed_run_left_is_not_used(tmp_path):
    path = tmp_path / "train.csv"
    catalog().to_csv(path, index=False)
    folder = tmp_path / "spill" / f"products-{plan_of(tmp_path, path).recipe[:12]}"
    dealt = folder / "dealt" / "partition=0"
    dealt.mkdir(parents=True)
    (dealt / "data_9.parquet").write_bytes(b"half")
    (folder / "database.duckdb").write_bytes(b"half")
    assert write(tmp_path, path).rows == 400


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """One for all groups: to open a database takes longer than to find a few of them."""
    found = Workspace(tmp_path_factory.mktemp("work"), 500_000_000)
    yield found
    found.close()


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=40))
def test_groups_are_those_found_in_memory(workspace, pairs):
    frame = pd.DataFrame({"row": range(len(pairs))})
    frame["image_link"] = [f"a{one}" if one else "" for one, _ in pairs]
    frame["catalog_content"] = [f"a{other}" if other else "" for _, other in pairs]
    assert found_groups(workspace, frame)[0] == smallest_rows(group_keys(frame))


def test_a_long_chain_takes_few_rounds(workspace):
    count = 3_000
    order = np.random.default_rng(0).permutation(count)
    frame = pd.DataFrame({"row": range(count)})
    frame["image_link"] = [f"a{place // 2}" for place in order]
    frame["catalog_content"] = [f"b{(place + 1) // 2}" for place in order]
    groups, rounds = found_groups(workspace, frame)
    assert set(groups) == {0}
    assert rounds < 25


def found_groups(workspace, frame):
    workspace.connection.register("products", frame)
    rounds = find_groups(workspace, "products", ["image_link", "catalog_content"])
    labels = dict(workspace.connection.execute("FROM labels").fetchall())
    return [labels.get(row, row) for row in frame["row"].tolist()], rounds


def smallest_rows(groups):
    first = {}
    return [first.setdefault(group, row) for row, group in enumerate(groups.tolist())]


def test_splits_keep_groups_whole_and_have_their_shares(tmp_path):
    path = tmp_path / "train.csv"
    catalog(8_000).to_csv(path, index=False)
    found = rows_of(write(tmp_path, path, splitting=SplittingParameters(proportions="60/10/30")))
    expected = smallest_rows(group_keys(read_products(path, labelled=True)))
    assert found["group_key"].tolist() == expected
    assert (found.groupby("group_key")[["split", "half"]].nunique() == 1).all(axis=None)
    shares = found["split"].value_counts(normalize=True)
    assert shares.to_dict() == pytest.approx({"train": 0.6, "validation": 0.1, "holdout": 0.3}, abs=0.003)
    other = rows_of(write(tmp_path / "other", path, splitting=SplittingParameters(proportions="60/10/30"), seed=2))
    assert (other["split"] != found["split"]).mean() > 0.3


@pytest.mark.parametrize("text_ids", [False, True])
def test_splits_folds_and_halves_are_those_of_memory(tmp_path, text_ids):
    path = tmp_path / "train.csv"
    catalog(1_500, text_ids=text_ids).to_csv(path, index=False)
    splitting = SplittingParameters(proportions="70/20/10", folds=4)
    products = read_products(path, labelled=True)
    tuned = {"clip": products["sample_id"].to_numpy()[30:90]}
    samples = products.assign(group_key=group_keys(products))
    settings = {"price_quantiles": splitting.price_quantiles, "folds": 4, "tuned_on": tuned, "seed": 7}
    expected = split_samples(samples, fractions=splitting.fractions, **settings)
    roles = roles_of_split(samples, expected, selects=True, seed=7)
    for partitions in (1, 3):
        folder = tmp_path / str(partitions)
        found = rows_of(write(folder, path, splitting=splitting, tuned_on=tuned, seed=7, partitions=partitions))
        for name in ("split", "fold", "tuned_on"):
            assert found[name].tolist() == expected[name].tolist(), name
        for half, rows in ((0, roles.stop), (1, roles.calibrate)):
            assert np.flatnonzero(found["half"] == half).tolist() == rows.tolist()


@pytest.mark.parametrize("text_ids", [False, True])
def test_groups_that_an_encoder_was_tuned_on_go_to_train(tmp_path, text_ids):
    frame = catalog(1_000, text_ids=text_ids)
    path = tmp_path / "train.csv"
    frame.to_csv(path, index=False)
    ids = frame["sample_id"].to_numpy(str)
    tuned = {"a": ids[:100] if text_ids else ids[:100].astype(np.int64), "b": np.array([*ids[50:150], "no product"])}
    partitions = write(tmp_path, path, splitting=SplittingParameters(proportions="1/1/1"), tuned_on=tuned)
    found = rows_of(partitions)
    assert found["tuned_on"].tolist() == [True] * 150 + [False] * 850
    bound = found["group_key"].isin(found.loc[found["tuned_on"], "group_key"])
    assert (found.loc[bound, "split"] == "train").all()
    assert (found.loc[~bound, "split"] != "train").any()
    report = merged_split(partitions)["splits"]
    assert report["train"]["rows_tuned_on"] == 150
    assert {name: one["rows"] for name, one in report.items()} == found["split"].value_counts().to_dict()


def test_tuned_ids_that_only_look_like_those_of_products(tmp_path, caplog):
    frame = catalog(300, text_ids=True)
    path = tmp_path / "train.csv"
    frame.to_csv(path, index=False)
    plain = frame["sample_id"].astype(int).to_numpy()
    with pytest.raises(AlignmentError, match=r"clip\.tuned_on_ids: .*look alike"):
        write(tmp_path, path, tuned_on={"clip": plain[plain < 10_000][:20]})
    ids = np.array([*frame["sample_id"][:20], str(plain[30])])
    write(tmp_path, path, tuned_on={"clip": ids})
    assert "look alike" in caplog.text


@pytest.mark.parametrize(("product", "tuned"), [("GRÖSSE{}", "größe{}"), ("x{}", "\uff38{}.0"), ("ﬂ-{}", "00FL-{}")])
def test_tuned_ids_are_compared_in_partitions_as_in_memory(tmp_path, product, tuned):
    """Every way that in-memory ``split_samples`` refuses; a product that is not recognised reaches the holdout."""
    frame = catalog(30, text_ids=True).assign(sample_id=[product.format(number) for number in range(1, 31)])
    frame.to_csv(tmp_path / "train.csv", index=False)
    ids = np.array([tuned.format(number) for number in range(1, 9)])
    with pytest.raises(AlignmentError, match=r"clip\.tuned_on_ids: 0 of its 8 ids .*8 id\(s\) look alike"):
        write(tmp_path, tmp_path / "train.csv", tuned_on={"clip": ids})
    samples = pd.DataFrame({"sample_id": frame["sample_id"], "price": 1.0, "group_key": range(30)})
    with pytest.raises(AlignmentError, match=r"clip\.tuned_on_ids: 0 of its 8 ids .*8 id\(s\) look alike"):
        split_samples(samples, fractions=[0.8, 0.1, 0.1], price_quantiles=2, folds=2, tuned_on={"clip": ids}, seed=1)


def test_placeholders_are_empty_as_in_memory(tmp_path, file):
    values = ["NaN", " null ", "N/A", "None", "-", "", "   ", "<NA>", "nan nan", "Nancy", "none.jpg", "NIL"]
    rows = [f"{number},{value},{value},1\n" for number, value in enumerate(values * 2)]
    path = file(HEADER + "".join(rows))
    found, expected = rows_of(write(tmp_path, path)), read_products(path, labelled=True)
    for name in ("catalog_content", "image_link"):
        assert found[name].tolist() == expected[name].tolist()
    assert set(expected["image_link"]) == {"", "nan nan", "Nancy", "none.jpg"}
    assert found["group_key"].tolist() == smallest_rows(group_keys(expected))
    assert found["group_key"].value_counts().max() == 2


def test_number_format_goes_with_the_products(tmp_path, file):
    path = file(HEADER.strip().replace(",", ";") + ";weight\n1;x;y;1,5;1.299\n2;z;w;2,5;0,5\n")
    layout = Layout(decimal=",", thousands=".")
    partitions = write(tmp_path, path, layout=layout)
    declaration = ColumnSourceParameters(kind="columns", group="facts", numeric=("weight",))
    frames = [frame_of(partitions, partition) for partition in range(PARTITIONS) if partitions.rows_in(partition)]
    found = sorted(value for frame in frames for value in column_matrix(frame, declaration, "x").ravel().tolist())
    assert found == [0.5, 1299.0]
    assert column_matrix(read_products(path, labelled=True, layout=layout), declaration, "x").ravel().tolist() == [
        1299.0,
        0.5,
    ]


def test_a_group_that_distorts_the_split_is_warned_of(tmp_path, file, caplog):
    rows = [f"{number},t{number % 90},{'soon.png' if number < 20 else number},1\n" for number in range(100)]
    path = file(HEADER + "".join(rows))
    write(tmp_path, path)
    assert f"{path}: one group" in caplog.text
    assert "holds 30 of 100 products (30 %); 20 of them have the image_link 'soon.png'" in caplog.text


def test_an_empty_split_is_refused(refusal, file):
    path = file(HEADER + "".join(f"{number},same,x,1\n" for number in range(30)))
    assert "gets none of the 30 products" in refusal(path, splitting=SplittingParameters())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "empty file"),
        (HEADER, "no products"),
        (
            HEADER + "1,x,y,2\n,,,\n,,,,\n",
            "2 record(s) with only empty fields, as spreadsheets leave them below a table: record 2, 3",
        ),
        ("\ufeff\ufeff" + HEADER + "1,x,y,2\n", "line 1 begins with two byte order marks"),
        ("Sample_ID,catalog_content,image_link,price\n1,x,y,2\n", "did you mean 'Sample_ID' for 'sample_id'?"),
        ("sample_id,catalog_content,image_link,prize\n1,x,y,2\n", "lacks the column(s) price"),
        ("sample_id,catalog_content,image_link,price,brand,brand\n1,x,y,2,3,4\n", "more than one column 'brand'"),
        ("sample_id,catalog_content,image_link,price,split\n1,x,y,2,3\n", "'split'"),
        (HEADER + "1,x,y,2\n2,x,y\n", "record 2 (beginning '2,x,y') has 3"),
        (HEADER + '1,x,y,2\n2,"x,y,2\n', "line 3"),
        (HEADER + '1,x,y,2\n2,"x"z,y,2\n', "line 3"),
        (HEADER.encode() + b"1,x,y,2\n2,\xe4,y,2\n", "line 3"),
        (HEADER + "1,x,y,2\n2,tea,green,y,\n3,x,y,2,\n", "record 2 (beginning '2,tea,green,y,') has 5; record 3"),
        (HEADER + '1,x,y,2\n2,"' + "x" * 17_000_000 + '",y,2\n', "line 3 has a field of more than"),
        (gzip.compress((HEADER + "1,x,y,2\n").encode(), mtime=0)[:-9], "expected a file compressed with gzip"),
        (gzip.compress(b"\x89HDF\r\n\x1a\n", mtime=0), "an HDF5 file, expected delimited text"),
        (HEADER + "1,x\0,y,2\n", "NUL byte"),
        (HEADER.encode() + b"1,x" + b" " * 1_100_000 + b"\0,y,2\n", "record(s) hold a NUL byte: record 1"),
        ((HEADER + "1,x,y,2\n").encode("utf-16"), "UTF-16"),
        (HEADER + "1,x,y,2\n2,x,y,-1\n3,x,y,$4\n", "record 2 (sample_id 2): price is '-1'"),
        (HEADER + "1,x,y,2\n,x,y,1\n", "id(s) missing: record 2"),
        (HEADER + "1,x,y,2\n=1,x,y,1\n", "record 2"),
        (
            HEADER + '1,x,http://a/1,2\n2,"x,http://a/2,2\n3,x,http://a/3,2\n4,x,http://a/4,2\n5,x"",http://a/2",y,2\n',
            "hold further records in a quoted field: record 2",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(refusal, file, content, said):
    assert said in refusal(file(content), partitions=1)


def test_ids_that_occur_twice(refusal, file):
    message = refusal(file(HEADER + "1,x,y,2\n2,x,y,1\n 1,z,z,3\n"), AlignmentError)
    assert "1 in records 1, 3" in message


def test_ids_that_only_unicode_tells_apart(refusal, file):
    path = file(HEADER + "k\u00e4se,x,y,2\n2,x,y,1\nka\u0308se,z,z,3\n")
    assert "look the same" in refusal(path, AlignmentError, partitions=64)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"none\.csv: is not there"):
        plan_of(tmp_path, tmp_path / "none.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="a folder without parquet files"):
        plan_of(tmp_path, tmp_path / "empty")


def test_a_digest_is_compared(tmp_path, file):
    path = file(HEADER + "1,x,y,2\n")
    plan = plan_of(tmp_path, path)
    plan.task.files = replace(plan.task.files, sha256="0" * 64)
    with pytest.raises(DataError, match="found the sha256"):
        write_partitions(str(tmp_path / "out"), plan, executor_of(ComputeParameters(workers=1)))


def test_bytes_of_another_encoding(refusal, file):
    path = file((HEADER + "1,x,y,2\n").encode() + b"2,\x81,y,2\n")
    assert "not CP1252" in refusal(path, layout=Layout(encoding="cp1252"))


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"sample_id": [1.0]}, "sample_id is of type DOUBLE"),
        ({"sample_id": [1], "price": [-1.0]}, "price is '-1.0'"),
        ({"sample_id": [1], "price": None}, "lacks the column(s) price"),
    ],
)
def test_parquet_that_cannot_be_used(refusal, tmp_path, columns, said):
    path = tmp_path / "train.parquet"
    whole = {"catalog_content": ["x"], "image_link": ["y"], "price": [1.0], **columns}
    pq.write_table(pa.table({name: values for name, values in whole.items() if values}), path)
    assert said in refusal(path)
    path.write_bytes(b"PAR1 no parquet")
    assert "damaged" in refusal(path)


def test_parameters_that_are_wanting(tmp_path, file):
    path = file(HEADER + "1,x,y,2\n")
    with pytest.raises(ParameterError, match=r"compute\.partitions"):
        plan_of(tmp_path, path, partitions=None)
    with pytest.raises(ParameterError, match="splitting"):
        plan_of(tmp_path, path, splitting=None)


def test_a_disk_that_is_full(tmp_path, monkeypatch):
    path = tmp_path / "train.csv"
    numbers = np.arange(150_000)
    pd.DataFrame(
        {
            "sample_id": numbers,
            "catalog_content": [f"{one} " * 60 for one in numbers],
            "image_link": numbers,
            "price": 1,
        }
    ).to_csv(path, index=False)

    class SmallDisk(Workspace):
        def __init__(self, folder, memory_bytes):
            super().__init__(folder, memory_bytes)
            self.run("SET max_temp_directory_size = '100KB'")

    monkeypatch.setattr(products, "Workspace", SmallDisk)
    monkeypatch.setattr(products, "_BYTES_A_ROW", 1)  # all rows wait to be written, beyond memory
    with pytest.raises(StorageError, match=re.escape(str(tmp_path / "spill"))) as caught:
        write(tmp_path, path, memory_gb=0.1)
    assert "compute.spill" in str(caught.value)
    assert "GB free" in str(caught.value)
    assert not list((tmp_path / "spill").iterdir())


def test_too_little_memory(tmp_path):
    workspace = Workspace(tmp_path / "work", 10_000_000)
    with pytest.raises(ComputeError, match=r"compute\.memory_gb"), duckdb_errors("train.csv", workspace.folder):
        workspace.run("SELECT list(range) FROM range(10_000_000)")
    workspace.close()


def test_messages_have_the_names_of_the_shop(refusal, file, tmp_path):
    names = ColumnNames("sku", "price_eur", ("title",), None)
    assert "(sku B-2): price_eur is '$2'" in refusal(file("sku,title,price_eur\nA-1,x,1\nB-2,y,$2\n"), names=names)
    assert "did you mean 'titel' for 'title'?" in refusal(file("sku,titel,price_eur\nA-1,x,1\n"), names=names)
    written = write(tmp_path, file("sku,title,price_eur\nA-1,x,1\n"), names=names, partitions=1)
    declared = ColumnSourceParameters(kind="columns", group="facts", numeric=("titles",))
    compute = ComputeParameters(workers=1, partitions=1)
    draft = draft_column_partitions(written, declared, "train_products", compute=compute)
    with pytest.raises(DataError, match=r"\(did you mean 'title' for 'titles'\?\); found sku, title, price_eur\."):
        write_table_partitions(str(tmp_path / "facts"), "facts", draft)
