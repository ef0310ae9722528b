"""From question to passages at scale: hybrid search over a synthetic store, two threads, in a process of its own.

The store (bench/synthetic.py: mixed English and Chinese, 20 chunks a document) is made with `Store.put` in a
temporary folder and deleted afterwards. Prints one JSON line:

- ``open_seconds``: a fresh process opens it and both indexes, as the first question finds it; ``first_milliseconds``
- ``p50``/``p95`` of `Searcher.search` (k = 5) with the question's vector known and without late interaction, and of
  its legs; what the bundled encoder does, which does not depend on the store's size, apart (``encode_milliseconds``,
  ``rerank_milliseconds``)
- ``recall_at_10``: of the dense leg against exact search over all vectors
- ``edit_visible_seconds``/``delete_visible_seconds``: from the change of one document to another process's finding
  it so, the worst of five; ``commit_seconds`` is the writer's part
- ``resident_megabytes`` after the questions: ``private`` to the process, and pages of files that it shares
- ``ratio``: p50 of the dense leg of a plain FAISS flat index (what LangChain's FAISS store searches) over ours

    python bench/query.py [--chunks 100000] [--questions 300] [--threads 2]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

PER_DOCUMENT = 20
PER_COMMIT = 50_000
SEED = 7


def build(home: Path, chunks: int) -> dict[str, float]:
    """Make the store."""
    from bench.synthetic import Texts, Vectors
    from ingest.encode import BUNDLED, read_stamp
    from ingest.store import Store

    stamp = replace(read_stamp(BUNDLED), languages=("en", "zh"))
    texts, vectors = Texts(SEED).chunks(chunks), Vectors(stamp.dimension, SEED)
    started, committing = time.perf_counter(), 0.0
    with Store.open(home, write=True, create=True, encoder=stamp) as store:
        store.warm()
        for start in range(0, chunks, PER_COMMIT):
            count = min(PER_COMMIT, chunks - start)
            rows = vectors.rows(count)
            for first in range(0, count, PER_DOCUMENT):
                part = rows[first : first + PER_DOCUMENT]
                put(store, f"/bench/{start + first:08}.txt", [next(texts) for _ in part], part)
            before = time.perf_counter()
            store.commit()
            committing += time.perf_counter() - before
            print(f"{start + count:,} chunks, {time.perf_counter() - started:.0f} s", file=sys.stderr)
        closing = time.perf_counter()
    ended = time.perf_counter()
    seconds = {"build": ended - started, "commits": committing, "close": ended - closing}
    return {name: round(value, 1) for name, value in seconds.items()}


def put(store: Any, path: str, parts: Sequence[tuple[str, str]], rows: Any) -> None:
    """Store a document of the given chunks: (language, text) and a vector each."""
    from ingest.store import NewDocument
    from ingest.types import Chunk

    chunks, place = [], 0
    for number, (_, text) in enumerate(parts):
        chunks.append(Chunk(number, place, place + len(text), text, ""))
        place += len(text) + 1
    text = "\n".join(text for _, text in parts)
    languages = [language for language, _ in parts]
    language = max(set(languages), key=languages.count)
    title = Path(path).stem
    store.put(NewDocument(path, "/bench", title, "text", language, len(text), 1, path, len(text), text), chunks, rows)


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """p50 and p95 in milliseconds."""
    cuts = statistics.quantiles(seconds, n=20, method="inclusive")
    return {"p50": round(1000 * statistics.median(seconds), 2), "p95": round(1000 * cuts[-1], 2)}


def timed(work: Callable[[Any], object], cases: Iterable[Any]) -> dict[str, float]:
    """`summary` of ``work`` over ``cases``."""
    taken = []
    for case in cases:
        started = time.perf_counter()
        work(case)
        taken.append(time.perf_counter() - started)
    return summary(taken)


def memory() -> dict[str, int]:
    """Resident megabytes of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    known = {
        name: int(value.split()[0]) // 1024
        for name, _, value in (line.partition(":") for line in lines)
        if "Rss" in name or "RSS" in name
    }
    return {"private": known["RssAnon"], "files": known["RssFile"]}


def changes(home: Path, searcher: Any) -> dict[str, float]:
    """Edits and deletes by a writer, seen by ``searcher``, which stands for another process."""
    from bench.synthetic import Vectors
    from ingest.store import Store

    rows = Vectors(searcher.store.encoder.dimension, SEED + 1).rows(PER_DOCUMENT)
    found: dict[str, list[float]] = {"edit_visible": [], "delete_visible": [], "commit": []}
    before = time.perf_counter()
    with Store.open(home, write=True) as writer:
        opened = time.perf_counter() - before
        for turn in range(6):
            record = searcher.store.document(searcher.store.chunk(searcher.store.chunk_ids()[1000 * turn]).doc_id)
            words = [("en", f"newlywritten{turn} passage number {number}") for number in range(len(rows))]
            for kind in ("edit_visible", "delete_visible"):
                before = time.perf_counter()
                if kind == "edit_visible":
                    put(writer, record.path, words, rows)
                else:
                    writer.remove(writer.pending(record.path) or 0)
                writer.commit()
                committed = time.perf_counter()
                hits = searcher.search(f"newlywritten{turn}", vector=rows[0], rerank=False).hits
                seen = time.perf_counter()
                assert any("newlywritten" in hit.chunk.text for hit in hits) == (kind == "edit_visible")
                assert all(hit.chunk.source != record.path for hit in hits) == (kind == "delete_visible")
                if turn:  # the first also loads what a writer needs
                    found[kind].append(seen - before)
                    found["commit"].append(committed - before)
    worst = {f"{name}_seconds": round(max(values), 3) for name, values in found.items()}
    return {"writer_open_seconds": round(opened, 3), **worst}


def measure(home: Path, chunks: int, questions: int) -> dict[str, Any]:
    """Everything that is measured in the fresh process."""
    import faiss
    import numpy as np

    from bench.synthetic import Texts, Vectors
    from ingest.store import Store
    from rag.search import Searcher

    texts = Texts(SEED)
    before = memory()["private"]
    started = time.perf_counter()
    store = Store.open(home)
    store.warm()
    opened = time.perf_counter() - started
    rows = Vectors(store.encoder.dimension, SEED + 2).rows(questions + 20)
    asked = list(zip(texts.questions(questions + 20), rows, strict=True))
    searcher = Searcher(store)

    def search(case: tuple[str, Any]) -> object:
        return searcher.search(case[0], vector=case[1], rerank=False)

    first = timed(search, asked[:2])["p95"]
    timed(search, asked[2:20])
    asked = asked[20:]
    hybrid = timed(search, asked)
    resident = memory()
    resident["private"] -= before
    lexical = timed(lambda case: store.lexical(case[0], 100), asked)
    dense = timed(lambda case: store.dense(case[1], 100), asked)
    ids = store.chunk_ids()
    scope = np.array(ids[len(ids) // 3 : len(ids) // 3 * 2])
    scoped = timed(
        lambda case: (store.lexical(case[0], 100, allowed=scope), store.dense(case[1], 100, allowed=scope)), asked[:50]
    )

    flat, source = faiss.IndexFlatIP(rows.shape[1]), Vectors(rows.shape[1], SEED)
    for start in range(0, chunks, PER_COMMIT):
        flat.add(source.rows(min(PER_COMMIT, chunks - start)))
    queries = np.stack([vector for _, vector in asked[:100]])
    peer = timed(lambda query: flat.search(query.reshape(1, -1), 100), queries)
    _, exact = flat.search(queries, 10)
    flat.reset()
    recall = [
        len({number for number, _ in store.dense(query, 10)} & {ids[place] for place in places}) / 10
        for query, places in zip(queries, exact, strict=True)
    ]
    return {
        "open_seconds": round(opened, 2),
        "first_milliseconds": first,
        "hybrid_milliseconds": hybrid,
        "lexical_milliseconds": lexical,
        "dense_milliseconds": dense,
        "both_legs_in_a_third_milliseconds": scoped,
        "recall_at_10": round(statistics.mean(recall), 4),
        "flat_milliseconds": peer,
        "ratio": round(peer["p50"] / dense["p50"], 1),
        "resident_megabytes": resident,
        **changes(home, searcher),
    }


def encoding(questions: int) -> dict[str, dict[str, float]]:
    """The bundled encoder on one question, and its late interaction with the passages that are ordered again."""
    from bench.synthetic import Texts
    from ingest.encode import BUNDLED, Encoder
    from rag.rerank import DEPTH, LateInteraction

    encoder, texts = Encoder.load(BUNDLED), Texts(SEED)
    again = LateInteraction(encoder)
    passages = [text for _, text in texts.chunks(DEPTH)]
    asked = texts.questions(questions + 3)
    for question in asked[:3]:
        encoder.encode([question])
        again.scores(question, passages)
    return {
        "encode_milliseconds": timed(lambda question: encoder.encode([question]), asked[3:]),
        "rerank_milliseconds": timed(lambda question: again.scores(question, passages), asked[3:]),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--inside", help=argparse.SUPPRESS)  # a store that is made already: measure, in this process
    args = parser.parse_args()
    if args.inside:
        print(json.dumps(measure(Path(args.inside), args.chunks, args.questions)))
        return
    os.environ |= {"OMP_NUM_THREADS": str(args.threads), "OPENBLAS_NUM_THREADS": str(args.threads)}
    scratch = Path(tempfile.mkdtemp(prefix="openbook-query-"))
    try:
        built = build(scratch / "store", args.chunks)
        size = sum(path.stat().st_size for path in scratch.rglob("*") if path.is_file())
        command = [sys.executable, __file__, "--inside", str(scratch / "store"), "--chunks", str(args.chunks)]
        done = subprocess.run(
            [*command, "--questions", str(args.questions)], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
        )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    result = {"bench": "query", "chunks": args.chunks, "threads": args.threads, **json.loads(done.stdout)}
    result |= {**encoding(30), "build_seconds": built, "megabytes": size // 2**20}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
