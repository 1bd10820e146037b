"""The format is sha256sum's, and what it says is what is there."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from price_fusion.datasets.errors import DatasetFileError
from price_fusion.datasets.sidecar import Sidecar


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def made(folder: Path, name: str = "table.csv", origins: tuple[str, ...] = ()) -> tuple[Path, Sidecar]:
    """A file and its origins, with a sidecar."""
    for path in (folder / name, *(folder / origin for origin in origins)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.fsencode(path.name))
    sidecar = Sidecar(folder / name)
    sidecar.write(digest_of(folder / name), [folder / origin for origin in origins])
    return folder / name, sidecar


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs coreutils")
@pytest.mark.parametrize("name", ["table.csv", "with space.csv", "back\\slash.csv", "two\nlines.csv", "ürün.csv"])
def test_sha256sum_checks_the_file_and_its_origins(tmp_path: Path, name: str) -> None:
    path, sidecar = made(tmp_path / "reports", name, origins=("../models/a.bin", "../models/b.bin"))
    command = ["sha256sum", "--check", "--strict", "--status", sidecar.path.name]
    assert subprocess.run(command, cwd=path.parent, check=False).returncode == 0
    sidecar.check()
    for changed in (path, tmp_path / "models/b.bin"):
        kept = changed.read_bytes()
        changed.write_bytes(b"else")
        assert subprocess.run(command, cwd=path.parent, check=False).returncode == 1
        changed.write_bytes(kept)


def test_a_sidecar_that_sha256sum_wrote_is_taken(tmp_path: Path) -> None:
    path, sidecar = made(tmp_path)
    sidecar.path.write_text(f"{digest_of(path)} *./{path.name}\n")
    sidecar.check()
    assert sidecar.is_current()


def test_follows_a_project_that_is_moved(tmp_path: Path) -> None:
    made(tmp_path / "here/reports", origins=("../models/a.bin",))
    (tmp_path / "here").rename(tmp_path / "there")
    assert Sidecar(tmp_path / "there/reports/table.csv").is_current()
    (tmp_path / "there/models/a.bin").write_bytes(b"another")
    assert not Sidecar(tmp_path / "there/reports/table.csv").is_current()


@pytest.mark.parametrize("name", ["a.bin", "../up/a.bin", "back\\slash.bin", "two\nlines.bin", "ürün.bin"])
def test_what_it_was_made_from_is_read_back(tmp_path: Path, name: str) -> None:
    _, sidecar = made(tmp_path / "reports", origins=(name,))
    origin = (tmp_path / "reports" / name).resolve()
    assert sidecar.origins() == {origin: digest_of(origin)}


def test_an_origin_counts_by_its_contents_not_by_its_age(tmp_path: Path) -> None:
    path, sidecar = made(tmp_path, origins=("origin.bin",))
    origin = tmp_path / "origin.bin"
    later = path.stat().st_mtime_ns + 10**12
    os.utime(origin, ns=(later, later))
    assert sidecar.is_current()
    origin.write_bytes(b"another")
    assert not sidecar.is_current()
    origin.write_bytes(b"origin.bin")
    assert sidecar.is_current()
    origin.unlink()
    assert sidecar.is_current()  # it may be made again as it was


@pytest.mark.parametrize("contents", ["", "\n", "table.csv\n", f"{'0' * 63}  table.csv\n", f"{'0' * 64}"])
def test_a_sidecar_of_another_form_is_refused_by_name(tmp_path: Path, contents: str) -> None:
    _, sidecar = made(tmp_path)
    sidecar.path.write_text(contents)
    assert not sidecar.is_current()
    with pytest.raises(DatasetFileError, match=r"\.table\.csv\.sha256: its first line is .* expected a sha256 digest"):
        sidecar.check()


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs coreutils")
def test_facts_are_kept_with_the_file_that_they_are_of(tmp_path: Path) -> None:
    path, sidecar = made(tmp_path, origins=("a.bin",))
    assert sidecar.made_from() is None
    facts = {"params:text": ("a\nb \u2028 ü",), "products": ({"files": {"p.csv": "0f"}},)}
    sidecar.write(digest_of(path), [tmp_path / "a.bin"], facts)
    assert sidecar.made_from() == facts
    assert sidecar.is_current()
    command = ["sha256sum", "--check", "--strict", "--status", sidecar.path.name]
    assert subprocess.run(command, cwd=path.parent, check=False).returncode == 0
    path.write_bytes(b"another file in its place")
    assert sidecar.made_from() is None
    path.unlink()
    assert sidecar.made_from() is None
