"""Mistakes in conf/ are named by file, line or entry."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from price_fusion.configuration import loader as loader_module
from price_fusion.configuration.loader import ProjectConfigLoader
from price_fusion.errors import ParameterError
from price_fusion.settings import CONFIG_LOADER_ARGS, CONFIG_LOADER_CLASS

CONF = Path(__file__).parents[2] / "conf"
GLOBALS = "raw: data/01_raw\ndata: data\n"
Load = Callable[..., dict[str, Any]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """A function that writes files below conf/ and loads one kind of configuration."""

    def load(key: str = "parameters", **files: str | bytes) -> dict[str, Any]:
        contents = {"base__globals": GLOBALS, "base__parameters": "seed: 1\n", "local__none": ""} | files
        for name, content in contents.items():
            path = tmp_path / "conf" / f"{name.replace('__', '/')}.yml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return ProjectConfigLoader(str(tmp_path / "conf"), **CONFIG_LOADER_ARGS)[key]

    return load


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\nb: 2\nc:\n\td: 3\n", 4, "a tab, where YAML wants blanks; replace the tab: '\\td: 3'"),
        ("a: 1\nb: [1, 2\nc: 3\n", 2, "a bracket is opened here and not closed: 'b: [1, 2'"),
        ("a: {b: 1\n", 1, "a bracket is opened here"),
        ('a: 1\nb: "x\n', 2, "a quotation mark is opened here and not closed"),
        ("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n", 5, "the key 'c' is there twice"),
        ("a: @b\n", 1, "a value cannot begin so; quote it: 'a: @b'"),
        ("a: 1\nb: *.csv\n", 2, "a value that begins with * is a reference; quote it"),
        ("a: *train\n", 1, "no anchor &train in this file"),
        ("a: price: 3\n", 1, "a second colon in one line"),
        ("a: !!python/object:os.system x\n", 1, "a tag (!...) of YAML"),
        ("a: 1\n<<<<<<< HEAD\nb: 2\n=======\nb: 3\n>>>>>>> other\n", 2, "a merge conflict of git that is not resolved"),
        (b"a: 1\nb: caf\xe9\n", 2, "the byte 0xe9 is not UTF-8"),
    ],
)
def test_the_line_of_a_mistake_is_named(text: str | bytes, line: int, said: str, load: Load) -> None:
    with pytest.raises(ParameterError) as raised:
        load(local__parameters_x=text)
    assert f"conf/local/parameters_x.yml, line {line}: {said}" in str(raised.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a\n- b\n", "holds a list, expected a mapping"),
        ("12\n", "expected a mapping, such as 'seed: 41'"),
        ("a: b\x00\n", "which text has not"),
        ("a: 1\n".encode("utf-16"), "is in UTF-16"),
        ("a: ${globals:raw\n", "Close each ${...}"),
    ],
)
def test_what_has_no_line_is_named_by_its_file(text: str | bytes, said: str, load: Load) -> None:
    with pytest.raises(ParameterError) as raised:
        load("catalog", base__catalog=text)
    assert "conf/base/catalog.yml" in str(raised.value)
    assert said in str(raised.value)


def test_all_files_with_mistakes_are_named_at_once(load: Load) -> None:
    with pytest.raises(ParameterError) as raised:
        load(local__parameters="a: [\n", base__parameters_x="b: {\n")
    named = [line.split(",")[0].rpartition("/")[2] for line in str(raised.value).splitlines()]
    assert named == ["parameters.yml", "parameters_x.yml"]


def test_a_key_in_two_files_of_one_environment(load: Load) -> None:
    with pytest.raises(ParameterError, match=r"seed.* take it out of the others"):
        load(base__parameters_more="seed: 2\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "x: {filepath: '${globals:rwa}/a.csv'}\n",
            "catalog.yml, x.filepath: ${globals:rwa}: globals.yml has no 'rwa'; did",
        ),
        (
            "x: {filepath: '${oc.env:HOME}/a.csv'}\n",
            "catalog.yml, x.filepath: ${oc.env:NAME} is for credentials.yml only",
        ),
        ("x: {filepath: '${global:raw}/a.csv'}\n", "no resolver of that name; did you mean 'globals'?"),
        ("x: {filepath: '${raw}/a.csv'}\n", "Interpolation key 'raw' not found. ${name} refers to"),
        (
            "x: {filepath: '${runtime_params:shop}/a.csv'}\n",
            "no value for ${runtime_params:shop}. Give it: --params shop=...",
        ),
        ("x: {filepath: '${env:NO_SUCH_FOLDER_7}/a.csv'}\n", "the environment variable NO_SUCH_FOLDER_7 is not set"),
        ("x: data/a.csv\n", "catalog.yml, x: found 'data/a.csv', expected a mapping with 'type'"),
        (
            "x: {tpye: pandas.CSVDataset}\n",
            "catalog.yml, x: has no 'type', such as pandas.CSVDataset; did you mean it by 'tpye'?",
        ),
    ],
)
def test_entries_are_named(text: str, said: str, load: Load) -> None:
    with pytest.raises(ParameterError) as raised:
        load("catalog", local__catalog=text)
    assert said in str(raised.value)


def test_home_and_file_addresses_are_spelt_out(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/anna")
    found = load("globals", local__globals="raw: ~/shop\ndata: file:///srv/data\nown: ~/x\n")
    assert [found[name] for name in ("raw", "data", "own")] == ["/home/anna/shop", "/srv/data", "/home/anna/x"]
    entries = load(
        "catalog", local__catalog="x: {type: a.B, filepath: '${globals:raw}/a.csv'}\ny: {type: a.B, filepath: ~/b}\n"
    )
    assert [entries[name]["filepath"] for name in "xy"] == ["/home/anna/shop/a.csv", "/home/anna/b"]


def test_paths_within_an_entry_are_spelt_out(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/anna")
    text = """
x:
  type: a.B
  dataset: {type: c.D, filepath: ~/d.csv}
  made_from: {model: {filepath: file:///srv/m}, split: {filepath: ~/s, if_there: true}}
  parts: [{filepath: ~/p}, ~/kept]
  load_args: {sep: "~", filepath: null}
"""
    assert load("catalog", local__catalog=text)["x"] == {
        "type": "a.B",
        "dataset": {"type": "c.D", "filepath": "/home/anna/d.csv"},
        "made_from": {"model": {"filepath": "/srv/m"}, "split": {"filepath": "/home/anna/s", "if_there": True}},
        "parts": [{"filepath": "/home/anna/p"}, "~/kept"],
        "load_args": {"sep": "~", "filepath": None},
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("data: s3://bucket/out\n", "the address of a store, expected a local folder"),
        ("data: null\n", "'data' is missing"),
        ("raw: 3\n", "'raw' is 3, expected the name of a folder"),
        ("partitions: 4\n", "partitions is 4, expected a folder or the address of one in a store"),
        ("buckets: s3://shop/tables\n", "'buckets' has become 'partitions'. Write partitions: s3://shop/tables"),
    ],
)
def test_folders_of_a_run(text: str, said: str, load: Load) -> None:
    with pytest.raises(ParameterError) as raised:
        load("globals", local__globals=text)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("", "data/03_primary/partitions"),
        ("data: data/shop\n", "data/shop/03_primary/partitions"),
        ("data: file:///srv/other/\npartitions:\n", "/srv/other/03_primary/partitions"),
        ("data: data/shop\npartitions: s3://shop/tables\n", "s3://shop/tables"),
    ],
)
def test_each_environment_has_its_own_folder_of_partitions(text: str, folder: str, tmp_path: Path) -> None:
    shutil.copytree(CONF / "base", tmp_path / "base")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/globals.yml").write_text(text)
    loader = CONFIG_LOADER_CLASS(str(tmp_path), env="shop", **CONFIG_LOADER_ARGS)
    assert loader["globals"]["partitions"] == folder
    assert loader["catalog"]["{part}_product_partitions"]["filepath"] == f"{folder}/products/{{part}}"


def test_a_folder_without_configuration_says_how_to_name_it(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"no configuration is here .*--conf-source .*PRICE_FUSION_CONF"):
        ProjectConfigLoader(str(tmp_path), env="prod", **CONFIG_LOADER_ARGS)["parameters"]


def test_files_that_nobody_reads_are_warned_of_once(
    load: Load, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader_module, "_said", set())
    for _ in range(2):
        load(local__params="seed: 2\n", local__spark="a: 1\n")
    (message,) = caplog.messages
    assert message.endswith("conf/local/params.yml: is not read; the name of such files is parameters*.yml.")
