"""What reading a damaged product CSV gives: the named error, or exactly what the bytes say; never anything else.

Each mutation is one flipped bit, truncation, removed or doubled line, swap or removal of bytes. What the bytes say is
decided by a parser of its own, written here from RFC 4180. A CSV has no checksum: a changed digit is another number, and
counts as what the bytes say; the argument ``sha256`` of the catalog entry notices it.

    python -m tests.robustness.csv_mutations --count 2000
"""

from __future__ import annotations

import argparse
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from benchmarks.common import Column, Goal, ResultTable, Section, parse_arguments, scratch_folder, start

from price_fusion.data.products import read_products
from price_fusion.errors import DataError

REFUSED, SAME, OTHER = "refused by name", "read, nothing changed", "read, as the bytes say"
WRONG, FOREIGN = "READ, BUT NOT WHAT THE BYTES SAY", "ANOTHER EXCEPTION"
BAD = (WRONG, FOREIGN)
FIELD = re.compile(r'(?:"((?:[^"]|"")*+)"|([^",\r\n][^,\r\n]*+|))(,|\r\n|\n|\r|\Z)')
PRICE = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def sample(text_ids: bool, newline: str = "\n") -> bytes:
    """A product CSV with all that CSVs may have: quotes, delimiters and newlines in fields, emoji, empty fields."""
    texts = [
        '"Item Name: Käse, ""hot""\nValue: 12.5\nUnit: Ounce"',
        "plain text",
        '"5"" pipe, with 2 ends"',
        '"\n, leading newline and delimiter"',
        '"Größe 🧀\n\n- bullet, one\n- bullet, two"',
        'a 6" ruler',
        "",
    ]
    rows = ["sample_id,catalog_content,image_link,price"]
    for number in range(36):
        name = f"B{number:03d}X" if text_ids else str(1_000 + 37 * number)
        link = "" if number % 9 == 4 else f"https://images.example/{number}.jpg"
        rows.append(f"{name},{texts[number % len(texts)]},{link},{3.5 + number * 1.17:.2f}")
    return ("\n".join(rows) + "\n").replace("\n", newline).encode()


def parse(content: bytes) -> list[list[str]]:
    """Records of a comma-separated file that are not blank.

    Raises:
        ValueError: if it is none.
    """
    text = content.decode("utf-8").removeprefix("\ufeff")
    rows: list[list[str]] = [[]]
    place = 0
    while place < len(text) or rows[-1]:
        field = FIELD.match(text, place)
        if not field:
            raise ValueError(f"no field at character {place}")
        quoted, plain, end = field.groups()
        rows[-1].append(plain if quoted is None else quoted.replace('""', '"'))
        place = field.end()
        if end != ",":
            rows.append([])
    return [row for row in rows if len(row) > 1 or "".join(row).strip()]


def said(content: bytes) -> pd.DataFrame:
    """The product table that the bytes say, by the parser of this file.

    Raises:
        ValueError: if they say none.
    """
    header, *rows = parse(content)
    if any(len(row) != len(header) for row in rows):
        raise ValueError("ragged")
    columns = {name: [row[place] for row in rows] for place, name in enumerate(header) if name}
    ids = [value.strip() for value in columns["sample_id"]]
    whole = all(re.fullmatch(r"0|-?[1-9][0-9]*", value) and -(2**63) <= int(value) < 2**63 for value in ids)
    prices = [value.strip() for value in columns["price"]]
    if not all(PRICE.fullmatch(value) for value in prices):
        raise ValueError("prices")
    return pd.DataFrame(
        columns | {"sample_id": [int(value) if whole else value for value in ids], "price": list(map(float, prices))}
    )


def _flip(content: bytes, draws: random.Random) -> bytes:
    place = draws.randrange(len(content))
    return content[:place] + bytes([content[place] ^ (1 << draws.randrange(8))]) + content[place + 1 :]


def _truncate(content: bytes, draws: random.Random) -> bytes:
    return content[: draws.randrange(len(content))]


def _remove_line(content: bytes, draws: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    del lines[draws.randrange(len(lines))]
    return b"".join(lines)


def _double_line(content: bytes, draws: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    place = draws.randrange(len(lines))
    return b"".join([*lines[:place], lines[place], *lines[place:]])


def _swap(content: bytes, draws: random.Random) -> bytes:
    changed = bytearray(content)
    one, other = draws.randrange(len(content)), draws.randrange(len(content))
    changed[one], changed[other] = changed[other], changed[one]
    return bytes(changed)


def _remove_bytes(content: bytes, draws: random.Random) -> bytes:
    place = draws.randrange(len(content))
    return content[:place] + content[place + draws.randrange(1, 40) :]


def _insert(content: bytes, draws: random.Random) -> bytes:
    place = draws.randrange(len(content))
    return content[:place] + draws.choice([b'"', b",", b"\n", b"\r", b"\0", b'""', b";", b"\xff"]) + content[place:]


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flip,
    _truncate,
    _remove_line,
    _double_line,
    _swap,
    _remove_bytes,
    _insert,
)


def outcome(path: Path, content: bytes, original: pd.DataFrame) -> str:
    """What reading the bytes gives."""
    path.write_bytes(content)
    try:
        found = read_products(path, labelled=True)
    except DataError as error:
        return REFUSED if str(path) in str(error) and all(str(path) in text for text in error.problems) else FOREIGN
    except Exception as error:
        # Whatever else comes is what is looked for.
        print(f"{type(error).__name__}: {error}")
        return FOREIGN
    try:
        expected = said(content)
    except ValueError as error:
        print(f"expected {error}")
        return WRONG
    if not found.astype(object).equals(expected.astype(object)):
        return WRONG
    return SAME if found.equals(original) else OTHER


def mutate(count: int, seed: int, folder: Path) -> Counter[tuple[str, str]]:
    """Read ``count`` mutations; the number of each kind of mutation and outcome."""
    draws = random.Random(seed)  # noqa: S311
    path = folder / "train.csv"
    found: Counter[tuple[str, str]] = Counter()
    originals = [sample(text_ids, newline) for text_ids in (False, True) for newline in ("\n", "\r\n")]
    tables = []
    for content in originals:
        path.write_bytes(content)
        tables.append(read_products(path, labelled=True))
    for number in range(count):
        which = draws.randrange(len(originals))
        mutation = MUTATIONS[number % len(MUTATIONS)]
        result = outcome(path, content := mutation(originals[which], draws), tables[which])
        found[mutation.__name__.strip("_").replace("_", " "), result] += 1
        if result in BAD:
            print(f"mutation {number}, {mutation.__name__}: {content!r}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2_000, help="mutations")
    parser.add_argument("--seed", type=int, default=20)
    options = parse_arguments(parser, {"count": 70})
    start("Damage to product CSVs")
    with scratch_folder(options) as folder:
        found = mutate(options.count, options.seed, Path(folder))
    kinds = sorted({kind for kind, _ in found})
    rows = [
        {"kind": kind, **{result: found[kind, result] for result in (REFUSED, SAME, OTHER, *BAD)}} for kind in kinds
    ]
    columns = [
        Column("kind", "damage"),
        *(Column(result, result.lower(), ",d") for result in (REFUSED, SAME, OTHER, *BAD)),
    ]
    bad = sum(count for (_, result), count in found.items() if result in BAD)
    Section(
        "csv_mutations",
        "Damage to product CSVs",
        f"{options.count:,} mutations of four small files (whole and text ids, LF and CRLF), drawn at seed {options.seed}",
        tables=[ResultTable("Outcomes of reading", columns, rows)],
        goals=[
            Goal("damaged CSVs that are neither refused by name nor read as they say", 0, bad, "of all", at_least=False)
        ],
        values={"mutations": options.count, "bad": bad},
    ).finish(options)


if __name__ == "__main__":
    main()
