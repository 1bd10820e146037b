"""Says of each figure in the built pages how many commits to ``src`` came after the one that it is of.

benchmarks/report.py writes the commit of each section. How far the code has moved since then depends on when the site is
built, so it is worked out then, by git.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

PAGES = ("benchmarks.md", "reliability.md")
COMMIT = re.compile(r"^(- Date: .*?commit )([0-9a-f]{7,40})(\+?)", re.MULTILINE)
"""A line of ``report.describe``; the plus sign says that files differed from the commit."""


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:
    """Insert the counts into pages with figures; called by mkdocs for each page."""
    if page.file.src_uri not in PAGES:
        return markdown
    return with_counts(markdown, Path(config["config_file_path"]).parent)


def with_counts(markdown: str, repository: Path) -> str:
    """A page whose lines with a commit say how many commits to ``src`` came after it."""
    return COMMIT.sub(lambda found: f"{found[0]} ({commits_since(found[2], repository)})", markdown)


def commits_since(commit: str, repository: Path) -> str:
    """How many commits to ``src`` came after a commit, in words."""
    try:
        counted = _git(repository, "rev-list", "--count", f"{commit}..HEAD", "--", "src")
        shallow = _git(repository, "rev-parse", "--is-shallow-repository")
    except OSError:
        return "commits since then are not known: git is not installed"
    if counted.returncode:
        return "commit not in this clone"
    if shallow.stdout.strip() == "true":  # what was cut off could have been counted
        return "commits since then are not known: shallow clone"
    count = int(counted.stdout)
    return f"{count or 'no'} commit{'' if count == 1 else 's'} to src since"


def _git(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=repository, capture_output=True, text=True, check=False)  # noqa: S603, S607
