"""Files are whole or absent, whenever the process dies."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from price_fusion.errors import StorageError
from price_fusion.storage.files import remove_leftovers, remove_partials_of_the_dead, sha256, whole_file, write_whole


def test_takes_its_name_only_when_it_is_done(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    with whole_file(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_keeps_what_was_there_until_it_is_done(tmp_path: Path) -> None:
    path = tmp_path / "b.txt"
    path.write_text("old")
    with path.open() as reader:
        with whole_file(path) as temporary:
            temporary.write_text("new")
            assert path.read_text() == "old"
        assert path.read_text() == "new"
        assert reader.read() == "old"


def test_leaves_nothing_when_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "b.txt"
    path.write_text("old")

    def fail_half_way() -> None:
        with whole_file(path) as temporary:
            temporary.write_text("ha")
            raise RuntimeError("disk")

    with pytest.raises(RuntimeError, match="disk"):
        fail_half_way()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_process_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "b.txt"
    path.write_text("old")
    code = (
        "import os, pathlib, sys; from price_fusion.storage.files import whole_file\n"
        "with whole_file(pathlib.Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('ha'); os.kill(os.getpid(), 9)"
    )
    result = subprocess.run([sys.executable, "-c", code, str(path)], check=False, timeout=60)
    assert result.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    assert [other.suffix for other in tmp_path.iterdir() if other != path] == [".partial"]


def test_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "b"
    path.write_bytes(b"abc" * 100_000)
    assert sha256(path) == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_a_folder_that_is_removed_while_a_file_is_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "b.txt"

    def remove_half_way() -> None:
        with whole_file(path) as temporary:
            temporary.write_text("new")
            shutil.rmtree(path.parent)

    with pytest.raises(
        StorageError, match=r"gone/b\.txt: could not be written \(No such file or directory; .* GB free"
    ):
        remove_half_way()
    with whole_file(path) as temporary:  # the next one makes it again
        temporary.write_text("newer")
    assert path.read_text() == "newer"


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    target, link = tmp_path / "disk" / "prices.csv", tmp_path / "out.csv"
    target.write_bytes(b"old")
    link.symlink_to("disk/prices.csv")
    write_whole(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["disk", "out.csv", "prices.csv"]


def test_leftovers_behind_links_are_found_once(tmp_path: Path) -> None:
    data, disk = tmp_path / "data", tmp_path / "disk"
    data.mkdir()
    (disk / ".table.41.replaced").mkdir(parents=True)
    (disk / ".a.bin.42.partial").touch()
    (data / "models").symlink_to(disk)
    (disk / "back").symlink_to(data)  # a circle
    assert [path.name for path in remove_leftovers(data)] == [".a.bin.42.partial", ".table.41.replaced"]
    assert sorted(path.name for path in disk.iterdir()) == ["back", "table"]


def test_partials_of_dead_processes_alone_are_removed_where_others_may_write(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for process in (dead.pid, 10**30, os.getpid()):
        folder = tmp_path / f".shop.{process}.partial"
        folder.mkdir()
        (folder / "globals.yml").touch()
    kept = [f".shop.{os.getpid()}.partial", ".shop.partial", "shop"]
    (tmp_path / ".shop.partial").touch()
    (tmp_path / "shop").mkdir()
    remove_partials_of_the_dead(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)
