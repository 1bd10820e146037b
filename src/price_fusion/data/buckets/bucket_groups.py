"""Groups of products that share an image or a text, and their splits, by DuckDB: of tables that do not fit in memory.

A group is named by the smallest ``row`` in it. Its split follows from a hash of that name and the seed, whatever else there
is, so that any number of rows is divided without being sorted.
"""
# ruff: noqa: S608 - the SQL is made of our own names and numbers

from __future__ import annotations

from collections.abc import Sequence

from price_fusion.data.splits import SPLITS
from price_fusion.storage.workspace import Workspace


def find_groups(workspace: Workspace, products: str, columns: Sequence[str]) -> int:
    """Make the table ``labels`` (``row``, ``label``): the groups of those products that share something.

    Labels spread from products to what they have in common and back, to the products that the old labels name, too; and each
    product then takes the label of the product that its label names. So long chains take few rounds as well ("FastSV").

    Args:
        workspace: where.
        products: a table with ``row``, or what SQL can read like one.
        columns: of it; products with the same text in one of them belong together. Empty texts are shared by nobody.

    Returns:
        the rounds that it took.
    """
    workspace.run("CREATE OR REPLACE TABLE edges (row BIGINT, value BIGINT)")
    for number, column in enumerate(columns):
        # All 128 bits of the MD5: no two of any number of texts have the same by chance.
        workspace.run(
            f"CREATE OR REPLACE TABLE hashes AS SELECT row, md5_number({column}) AS hash FROM {products} WHERE {column} <> ''"
        )
        workspace.run(
            f"INSERT INTO edges SELECT row, {len(columns)} * first + {number} FROM hashes JOIN "
            "(SELECT hash, min(row) AS first FROM hashes GROUP BY hash HAVING count(*) > 1) USING (hash)"
        )
        workspace.run("DROP TABLE hashes")
    workspace.run("CREATE OR REPLACE TABLE labels AS SELECT DISTINCT row, row AS label FROM edges")
    rounds = 0
    while _spread(workspace):
        rounds += 1
    workspace.run("DROP TABLE edges")
    return rounds


def _spread(workspace: Workspace) -> bool:
    """One round; whether a label changed."""
    workspace.run(
        "CREATE OR REPLACE TABLE least_of_value AS SELECT value, min(label) AS label FROM edges JOIN labels USING (row) "
        "GROUP BY value"
    )
    workspace.run(
        "CREATE OR REPLACE TABLE nearer AS SELECT row, min(label) AS label FROM (SELECT "
        "unnest([edges.row, labels.label]) AS row, least_of_value.label FROM edges JOIN labels USING (row) "
        "JOIN least_of_value USING (value)) GROUP BY row"
    )
    workspace.run(
        "CREATE OR REPLACE TABLE jumped AS SELECT one.row, least(one.label, other.label) AS label FROM nearer AS one "
        "JOIN nearer AS other ON one.label = other.row"
    )
    before, after = (workspace.value(f"SELECT sum(label) FROM {table}") for table in ("labels", "jumped"))
    workspace.run(
        "DROP TABLE labels; DROP TABLE nearer; DROP TABLE least_of_value; ALTER TABLE jumped RENAME TO labels"
    )
    return bool(before != after)  # labels never grow


def split_sql(group: str, bound: str, fractions: Sequence[float], seed: int) -> str:
    """The split of a group, as an expression.

    Args:
        group: an expression of its name.
        bound: one of whether it must go to train.
        fractions: of train, validation and holdout, summing to 1.
        seed: of the draw.
    """
    last = max(place for place, fraction in enumerate(fractions) if fraction > 0)
    cases, edge = [f"WHEN {bound} THEN 'train'"], 0.0
    for name, fraction in list(zip(SPLITS, fractions, strict=True))[:last]:
        edge += fraction
        cases.append(
            f"WHEN md5_number_lower('{seed}:' || {group}) / 18446744073709551616.0::DOUBLE < {edge!r} THEN '{name}'"
        )
    return f"CASE {' '.join(cases)} ELSE '{SPLITS[last]}' END"


def half_sql(group: str, seed: int) -> str:
    """One of two halves (0, 1) of a group, as an expression; has nothing to do with its split."""
    return f"(md5_number_lower('half:{seed}:' || {group}) % 2)::TINYINT"
