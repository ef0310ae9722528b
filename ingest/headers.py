"""The header of a chunk: ``title > section``, as long as the encoder can afford, and the names of a table's columns."""

from __future__ import annotations

from ingest.count import TokenCounter

HEADER_TOKENS = 40


def headers_of(
    title: str, paths: list[tuple[str, ...]], counter: TokenCounter, max_tokens: int
) -> dict[tuple[str, ...], tuple[str, int]]:
    """For each heading path its header and the word-pieces of it (with one more for the line break)."""
    limit = min(HEADER_TOKENS, max_tokens // 4)
    distinct = list(dict.fromkeys(paths))
    full = [_header_parts(title, path) for path in distinct]
    counts = counter.estimate([" > ".join(parts) for parts in full])
    headers = {}
    for path, parts, count in zip(distinct, full, counts, strict=True):
        shown, tokens = (parts, count) if count <= limit else _shorten(parts, counter, limit)
        headers[path] = (" > ".join(shown), tokens + 1)
    return headers


def _header_parts(title: str, path: tuple[str, ...]) -> list[str]:
    parts: list[str] = []
    for raw in (title, *path):
        part = " ".join(raw.split())
        if part and not (parts and parts[-1].casefold() == part.casefold()):
            parts.append(part)
    return parts


def _shorten(parts: list[str], counter: TokenCounter, limit: int) -> tuple[list[str], int]:
    """Drop the middle of a heading path, then cut its longest part, until it takes ``limit`` word-pieces."""
    while True:
        count = counter.estimate([" > ".join(parts)])[0]
        if count <= limit:
            return parts, count
        if len(parts) > 2:
            parts = [parts[0], *parts[2:]]
            continue
        longest = max(range(len(parts)), key=lambda i: len(parts[i]))
        kept = parts[longest][: len(parts[longest]) * 2 // 3]
        kept = kept[: kept.rfind(" ")] if kept.rfind(" ") > len(kept) // 2 else kept
        parts = [kept.rstrip() if i == longest else part for i, part in enumerate(parts)]
        parts = [part for part in parts if part]
        if not parts:
            return [], 0


def under(header: str, names: str) -> str:
    """A header with the names of the columns of the table that the chunk is in the middle of."""
    return f"{header}\n{names}" if header and names else header or names
