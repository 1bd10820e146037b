"""Groups of products that share an image or a text, by DuckDB: of tables that do not fit in memory. A label is the smallest ``row`` of a group."""
# ruff: noqa: S608 - the SQL is made of our own names and numbers

from __future__ import annotations

from collections.abc import Sequence

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
