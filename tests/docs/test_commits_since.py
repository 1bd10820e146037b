"""The built pages say how far the code has moved since their figures were measured."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

PATH = Path(__file__).parents[2] / "docs/hooks/commits_since.py"
SPEC = importlib.util.spec_from_file_location("commits_since", PATH)
assert SPEC is not None
assert SPEC.loader is not None
HOOK = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(HOOK)


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Some One", "-c", "user.email=one@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def commit(folder: Path, name: str) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(path.read_text() + "x" if path.exists() else "x")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", name)
    return git(folder, "rev-parse", "--short", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "clone"
    folder.mkdir()
    git(folder, "init", "-q")
    return folder


def test_commits_to_src_are_counted_and_no_others(repository: Path) -> None:
    first = commit(repository, "src/one.py")
    commit(repository, "docs/page.md")
    second = commit(repository, "src/two.py")
    commit(repository, "src/one.py")
    page = f"## Training\n\n- Date: 2026-11-22 17:57 UTC, commit {first}+, machine 1\n- Date: 2026-11-23 UTC, commit {second}\n"
    assert HOOK.with_counts(page, repository) == (
        f"## Training\n\n- Date: 2026-11-22 17:57 UTC, commit {first}+ (2 commits to src since), machine 1\n"
        f"- Date: 2026-11-23 UTC, commit {second} (1 commit to src since)\n"
    )
    last = commit(repository, "src/three.py")
    assert HOOK.commits_since(last, repository) == "no commits to src since"


def test_what_git_cannot_tell_is_said_plainly(repository: Path, tmp_path: Path) -> None:
    first = commit(repository, "src/one.py")
    last = commit(repository, "src/two.py")
    assert HOOK.commits_since("abcdef0", repository) == "commit not in this clone"
    git(tmp_path, "clone", "-q", "--depth", "1", repository.as_uri(), "shallow")
    assert HOOK.commits_since(first, tmp_path / "shallow") == "commit not in this clone"
    assert "shallow clone" in HOOK.commits_since(last, tmp_path / "shallow")
    assert HOOK.with_counts("- Date: today, commit unknown, machine 1", repository).endswith(
        "commit unknown, machine 1"
    )


def test_a_checkout_without_history_or_git_still_builds(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = commit(repository, "src/one.py")
    bare = tmp_path / "copy"
    bare.mkdir()
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert HOOK.commits_since(first, bare) == "commit not in this clone"
    monkeypatch.setenv("PATH", str(bare))
    assert "git is not installed" in HOOK.commits_since(first, repository)


def test_only_pages_with_figures_are_changed(repository: Path) -> None:
    line = f"- Date: today, commit {commit(repository, 'src/one.py')}"
    config = {"config_file_path": str(repository / "mkdocs.yml")}
    for name, changed in (("benchmarks.md", True), ("reliability.md", True), ("index.md", False)):
        page = SimpleNamespace(file=SimpleNamespace(src_uri=name))
        assert (HOOK.on_page_markdown(line, page=page, config=config, files=None) != line) == changed


def test_the_pages_of_this_repository_have_lines_that_the_hook_knows() -> None:
    for name in HOOK.PAGES:
        text = (PATH.parents[1] / name).read_text(encoding="utf-8")
        assert len(HOOK.COMMIT.findall(text)) == text.count("\n- Date: ") > 0
