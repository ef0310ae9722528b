"""The parsing process: ``python -m ingest.worker LIMITS [SPLITTING]`` reads requests from standard input and answers on
standard output.

A request is a length, a JSON header and the bytes of the file; an answer is a length and JSON, before which a length of
0 may come any number of times: another member or page is done, and the time for the next one begins. With SPLITTING
the answer also holds the chunks of the document: splitting reads what strangers wrote just as parsing does. Nothing is
pickled, and this process opens no document itself.
"""

from __future__ import annotations

import dataclasses
import json
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from ingest.limits import Budget, Limits
from ingest.types import Chunk, IngestError, ParsedDocument

LENGTH = struct.Struct(">Q")

Split = Callable[[ParsedDocument], list[Chunk]]


def _serve(limits: Limits, split: Split | None) -> None:
    from ingest.confine import confine  # the parent, which imports this module as well, has no need of ctypes

    source = os.fdopen(os.dup(0), "rb")
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(0, 1)  # what a library prints must not end up in an answer
    confine(limits.memory)
    sink.write(b"\0")
    sink.flush()

    def step() -> None:
        sink.write(LENGTH.pack(0))
        sink.flush()

    while header := source.read(LENGTH.size):
        request = json.loads(_exactly(source, LENGTH.unpack(header)[0]))
        path = Path(os.fsdecode(bytes.fromhex(request["path"])))
        data = _exactly(source, request["size"])
        reply = _answer(path, data, Budget(limits, len(data), step), split)
        sink.write(LENGTH.pack(len(reply)) + reply)
        sink.flush()


def _exactly(source: BinaryIO, length: int) -> bytes:
    data = source.read(length)
    if len(data) != length:
        sys.exit(0)  # the parent has gone
    return data


def _answer(path: Path, data: bytes, budget: Budget, split: Split | None) -> bytes:
    """The answer to one request as JSON."""
    from ingest.fold import indexed
    from ingest.parsers import parse_file

    limits = budget.limits
    try:
        document = parse_file(path, data, budget)
        if len(document.text) > limits.characters:
            raise IngestError(
                f"{path.name} holds {len(document.text)} characters, over the limit of {limits.characters}; split it."
            )
        fields = {field.name: getattr(document, field.name) for field in dataclasses.fields(document)}
        fields["sections"] = [(s.start, s.end, s.headings, s.page, s.kind) for s in document.sections]
        fields["omissions"] = [(o.reason, o.characters) for o in document.omissions]
        reply: dict[str, object] = {"document": fields}
        if split is not None:
            budget.step()
            chunks = split(document)
            reply["chunks"] = [(c.start, c.end, c.header, c.headings, c.page) for c in chunks]
            reply["bodies"] = [indexed(c.embed_text) for c in chunks]
        return json.dumps(reply, ensure_ascii=False).encode("utf-8", "backslashreplace")
    except IngestError as error:
        message, fatal = str(error), False
    except MemoryError:
        message = f"{path.name} needs more than {limits.memory / 2**20:.0f} MiB of memory to be read; split it."
        fatal = True
    except Exception as error:  # any fault of a parser library concerns this file alone
        message = f"{path.name} cannot be parsed ({type(error).__name__}); save it again or leave it out."
        fatal = True
    return json.dumps({"error": message, "fatal": fatal}).encode("ascii")


def _splitter(settings: dict[str, object]) -> Split:
    """`split` with the tokenizer in the file ``tokenizer``, up to ``max_tokens`` word-pieces."""
    from ingest.count import TokenCounter, read_tokenizer
    from ingest.split import split

    counter, limit = TokenCounter(read_tokenizer(Path(str(settings["tokenizer"])))), int(str(settings["max_tokens"]))
    return lambda document: split(document, counter, limit)


if __name__ == "__main__":
    _serve(Limits(**json.loads(sys.argv[1])), _splitter(json.loads(sys.argv[2])) if sys.argv[2:] else None)
