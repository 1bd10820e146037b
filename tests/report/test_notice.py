"""A notice takes the place of an earlier one, and cannot be anything but text."""

from __future__ import annotations

from price_fusion.report.notice import with_notice

PAGE = "<header>\n<h1>Which?</h1>\n</header>\n<main><p>&lt;/header&gt;</p></main>\n"


def test_comes_changes_and_goes() -> None:
    first = with_notice(PAGE, "Stale: <moe> & others")
    assert '</header>\n<p class="warning" id="notice">Stale: &lt;moe&gt; &amp; others</p>\n<main>' in first
    second = with_notice(first, "another")
    assert second.count('id="notice"') == 1
    assert "another" in second
    assert with_notice(second, None) == PAGE
