"""Corpus shards, and the files that stages leave for each other: JSON lines, plain or zstd, without pickles."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest.fold import language

HEAD = 2000  # characters by which a document's language is told


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a shard; ``source`` is the collection that it is from, ``path`` its place in that."""

    text: str
    source: str
    path: str

    @property
    def language(self) -> str:
        return language(self.text[:HEAD])


def read_shards(paths: Sequence[Path]) -> Iterator[Document]:
    """The documents of all shards (``{"text", "source", "path"}``); ValueError on a missing or damaged one."""
    for path in paths:
        try:
            for line in _lines(path):
                found = json.loads(line)
                yield Document(str(found["text"]), str(found["source"]), str(found["path"]))
        except FileNotFoundError:
            raise ValueError(f"The corpus shard {path} does not exist.") from None
        except ImportError:
            raise ValueError(f"{path} is zstd-compressed; to read it run: pip install zstandard") from None
        except Exception as error:  # zstandard's own error type too, where the package is there
            raise ValueError(f"The corpus shard {path} is damaged ({type(error).__name__}: {error}).") from None


def _lines(path: Path) -> Iterator[str]:
    if path.suffix != ".zst":
        with path.open(encoding="utf-8") as lines:
            yield from lines
        return
    with path.open("rb") as raw:
        import zstandard

        yield from io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), encoding="utf-8")


def write_lines(path: Path, values: Iterable[Any]) -> None:
    """One JSON value a line; the file is there only when it is complete."""
    part = path.with_suffix(".tmp")
    with part.open("w", encoding="utf-8") as stream:
        for value in values:
            stream.write(json.dumps(value, ensure_ascii=False) + "\n")
    part.replace(path)


def read_lines(path: Path) -> list[Any]:
    """What :func:`write_lines` wrote."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
