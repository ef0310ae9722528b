"""Rows of spreadsheets as lines ``column: value; column: value``, so that a row is understood on its own."""

from __future__ import annotations

from ingest.parsers.draft import Draft
from ingest.parsers.ledger import Ledger

_LONGEST_NAME = 60  # characters; a longer first cell is text, and would be repeated in every row

Row = dict[int, str]  # column, from 0 -> what the cell shows; empty cells are not in it


def write_rows(draft: Draft, ledger: Ledger, rows: list[Row]) -> None:
    """Write a sheet. Single cells above the table are lines of their own; the first row with several names the columns
    unless it holds a number or a repetition, or is the last; else columns are called by their letters.
    """
    at = next((n for n, row in enumerate(rows) if len(row) > 1), len(rows))
    lines = [next(iter(row.values())) for row in rows[:at] if row]
    names: Row = {}
    if at + 1 < len(rows) and is_header(list(rows[at].values())):
        names = rows[at]
        at += 1
    # A name is repeated in every row that has a value under it, and stands alone when none has.
    unused = set(names)
    for row in rows[at:]:
        cells = []
        for column, value in sorted(row.items()):
            if column in unused:
                unused.discard(column)
                label = names[column]
            else:
                label = ledger.mark(names.get(column) or letters(column))
            cells.append(f"{label}{ledger.mark(':')} {value}")
        if cells:
            lines.append("; ".join(cells))
            ledger.mark(";" * (len(cells) - 1))
    lines += [names[column] for column in sorted(unused)]
    draft.add("\n".join(lines))


def is_header(names: list[str]) -> bool:
    """Whether a first row names its columns: no numbers, no repetition, nothing long."""
    fit = all(name and not is_number(name) and len(name) <= _LONGEST_NAME for name in names)
    return fit and len(set(names)) == len(names)


def is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "").rstrip("%"))
    except ValueError:
        return False
    return True


def letters(column: int) -> str:
    """The name of a column, counted from 0: A, B, …, Z, AA.

    >>> letters(27)
    'AB'
    """
    name = ""
    column += 1
    while column > 0:
        column, rest = divmod(column - 1, 26)
        name = chr(65 + rest) + name
    return name
