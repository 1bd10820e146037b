"""A notice on top of a page that has been written: what has become of it since."""

from __future__ import annotations

import html
import re

_END = "</header>"
_NOTICE = re.compile(r'</header>(\n<p class="warning" id="notice">[^<]*</p>)?')


def with_notice(page: str, text: str | None) -> str:
    """The page with a notice in place of an earlier one.

    Args:
        page: as ``page.render`` gives it; texts of others in it are escaped, so that its first header is its own.
        text: of the notice; None: without one.
    """
    notice = "" if text is None else f'\n<p class="warning" id="notice">{html.escape(text)}</p>'
    return _NOTICE.sub(lambda _: _END + notice, page, count=1)
