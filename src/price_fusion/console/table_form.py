"""The form of tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table


def titled(title: str, texts: Iterable[str], numbers: Iterable[str] = ()) -> Table:
    """A table without rows: columns of text by their headings, then columns of numbers."""
    table = Table(title=title, title_justify="left")
    for heading in texts:
        table.add_column(heading)
    for heading in numbers:
        table.add_column(heading, justify="right")
    return table


def folded(table: Table) -> Table:
    """The table with cells that fold in a narrow terminal: rich's own way cuts 84.52 to 8…, which reads as a figure."""
    for column in table.columns:
        column.overflow = "fold"
    return table
