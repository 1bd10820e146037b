"""Digests are those of the bytes that are there, and are computed once per version of a file."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.storage import digests
from price_fusion.storage.digests import CheckRecord, FileVersion, digest_of, digests_below, first_problem, problem_with


def sha(contents: bytes) -> str:
    return hashlib.sha256(contents).hexdigest()


def age(path: Path, nanoseconds: int = 10**10) -> Path:
    then = time.time_ns() - nanoseconds
    os.utime(path, ns=(then, then))
    return path


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file; whatever was written counts as written a while ago."""
    monkeypatch.setattr(digests, "SETTLED_NS", -(10**10))
    path = tmp_path / "a.bin"
    path.write_bytes(b"contents")
    return path


@given(st.lists(st.tuples(st.binary(max_size=3), st.booleans()), min_size=1, max_size=8))
def test_whatever_happens_to_a_file_its_digest_is_that_of_its_bytes(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[bytes, bool]]
) -> None:
    path = tmp_path_factory.mktemp("digest") / "a"
    for number, (contents, replaced) in enumerate(changes):
        if replaced:
            other = path.with_name("b")
            other.write_bytes(contents)
            other.replace(path)
        else:
            path.write_bytes(contents)
        if number % 2:
            age(path, 10**10 - number)
        assert digest_of(path) == digest_of(path) == sha(contents)


def test_an_unchanged_file_is_not_read_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = digest_of(path)
    monkeypatch.setattr(digests, "sha256", None)
    assert digest_of(path) == digest
    path.with_name("b").write_bytes(b"contents")
    os.utime(path.with_name("b"), ns=(path.stat().st_mtime_ns,) * 2)
    path.with_name("b").replace(path)  # as long, of the same time, and another file
    with pytest.raises(TypeError):
        digest_of(path)


def test_a_file_that_changes_while_it_is_read_is_not_remembered(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def changed_under_way(path: Path) -> str:
        digest = sha(path.read_bytes())
        path.write_bytes(b"other contents")
        return digest

    with monkeypatch.context() as patch:
        patch.setattr(digests, "sha256", changed_under_way)
        assert digest_of(path) == sha(b"contents")
    assert digest_of(path) == sha(b"other contents")


def test_a_version_is_settled_after_a_while(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = FileVersion.of(path)
    assert before.is_settled
    assert before.is_at(path)
    monkeypatch.setattr(digests, "SETTLED_NS", 10**11)
    assert not before.is_settled
    age(path)  # setting the time back is a change, too
    assert not before.is_at(path)
    assert not FileVersion.of(path).is_settled
    path.unlink()
    assert not before.is_at(path)


def test_digests_of_a_folder_are_by_path(tmp_path: Path) -> None:
    for name in ("b/deep/x", "b/a", "c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    assert digests_below(tmp_path / "b", tmp_path) == {name: sha(name.encode()) for name in ("b/a", "b/deep/x")}
    assert digests_below(tmp_path / "c", tmp_path) == {"c": sha(b"c")}


def test_problems_are_named(path: Path) -> None:
    right = sha(b"contents")
    assert problem_with(path, right) is None
    assert problem_with(path, "0" * 64) == (f"damaged or exchanged: its sha256 is {right[:12]}, expected 000000000000")
    assert problem_with(path.with_name("b"), right) == "missing"
    assert problem_with(path.parent, right) == "cannot be read (Is a directory)"
    assert first_problem(path.parent, {"a.bin": right, "b": right, "c": right}) == (path.with_name("b"), "missing")
    assert first_problem(path.parent, {"a.bin": right}) is None


def test_a_record_knows_versions_and_digests(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {"a.bin": sha(b"contents"), "absent": "0f"}
    assert CheckRecord(path.parent).unchecked(expected) == expected
    CheckRecord(path.parent).note({"a.bin": expected["a.bin"]})
    assert CheckRecord(path.parent).unchecked(expected) == {"absent": "0f"}
    assert CheckRecord(path.parent).unchecked({"a.bin": "0f"}) == {"a.bin": "0f"}
    path.write_bytes(b"CONTENTS")
    assert CheckRecord(path.parent).unchecked(expected) == expected
    monkeypatch.setattr(digests, "SETTLED_NS", 10**11)
    CheckRecord(path.parent).note({"a.bin": sha(b"CONTENTS")})  # of moments ago: not noted
    assert CheckRecord(path.parent).unchecked({"a.bin": sha(b"CONTENTS")})
    path.unlink()
    assert CheckRecord(path.parent).unchecked(expected) == expected


def test_as_many_bytes_of_the_same_time_in_the_same_file_are_another_version(path: Path) -> None:
    """As ``cp -p`` leaves them, and ``np.save`` where an archive sets the time back."""
    before = path.stat()
    assert digest_of(path) == sha(b"contents")
    time.sleep(0.02)  # beyond a tick of the clock of file systems
    path.write_bytes(b"CONTENTS")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert digest_of(path) == sha(b"CONTENTS")


def test_digests_of_a_record_are_known_to_the_process(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = path.with_name("b.bin")
    other.write_bytes(b"other")
    expected = {path: sha(b"contents"), other: sha(b"other")}
    assert CheckRecord(path.parent).digests_of(expected) == expected
    monkeypatch.setattr(digests, "_known", {})  # as in another process
    monkeypatch.setattr(digests, "sha256", None)
    with pytest.raises(TypeError):
        digest_of(path)
    assert CheckRecord(path.parent).digests_of(expected) == expected
    assert digest_of(path) == expected[path]
