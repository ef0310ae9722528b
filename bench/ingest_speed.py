"""Chunks per second of ``ingest`` against the plain LangChain flow, with the same MiniLM, in one run.

The peer is what most tutorials build: RecursiveCharacterTextSplitter(1000, 200), SentenceTransformer.encode with its
defaults (which is what LangChain's embeddings call), vectors added to a flat FAISS index; nothing is stored but the
index in memory. Ours is the whole pipeline into a fresh store on disk: sandboxed parsing, splitting by word-pieces,
encoding, SQLite, both indexes. Models are loaded and warmed beforehand; rounds alternate; medians are compared. The
peer is run with torch's thread number and with one thread, and the better of the two is the one that counts.

    python bench/ingest_speed.py [--files 12] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

SUBJECTS = (
    "the committee|a small engine|our neighbour|the northern harbour|this method|every sample|the old library".split(
        "|"
    )
)
VERBS = "describes|measures|follows|improves|cannot replace|was built beside|depends on|slowly changes".split("|")
OBJECTS = (
    "the water level|an early report|several hundred readings|the second bridge|its own history|a wider market".split(
        "|"
    )
)


def make_files(folder: Path, count: int) -> int:
    """Files of about 8,000 characters of English sentences; returns the characters."""
    generator = random.Random(11)
    folder.mkdir()
    total = 0
    for number in range(count):
        paragraphs = []
        for _ in range(14):
            sentences = [
                " ".join(
                    (generator.choice(SUBJECTS), generator.choice(VERBS), generator.choice(OBJECTS), f"in {year}.")
                )
                for year in generator.sample(range(1700, 2020), 9)
            ]
            paragraphs.append(" ".join(sentence.capitalize() for sentence in sentences))
        text = "\n\n".join(paragraphs)
        (folder / f"report{number:03}.txt").write_text(text)
        total += len(text)
    return total


def peer(folder: Path, model: Any) -> tuple[int, float]:
    """(chunks, seconds) of the plain flow."""
    import faiss
    from langchain_core.documents import Document
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    started = time.perf_counter()
    documents = [Document(path.read_text(), metadata={"source": str(path)}) for path in sorted(folder.iterdir())]
    chunks = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200).split_documents(documents)
    vectors = model.encode([chunk.page_content for chunk in chunks], show_progress_bar=False)
    index = faiss.IndexFlatL2(vectors.shape[1])
    index.add(vectors)
    return len(chunks), time.perf_counter() - started


def main() -> None:
    """Run the benchmark."""
    import torch
    from sentence_transformers import SentenceTransformer

    from ingest.encode import Encoder
    from ingest.pipeline import ingest

    parser = argparse.ArgumentParser(description="Chunks per second against the plain LangChain flow.")
    parser.add_argument("--files", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    encoder = Encoder.load()
    plain = SentenceTransformer(str(encoder.folder), device="cpu", local_files_only=True)
    encoder.encode(["warm up"] * 8)
    plain.encode(["warm up"] * 8, show_progress_bar=False)
    threads = torch.get_num_threads()
    rates: dict[str, list[float]] = {"ours": [], "peer_default_threads": [], "peer_one_thread": []}
    seconds: dict[str, list[float]] = {name: [] for name in rates}
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary)
        characters = make_files(base / "docs", options.files)
        for number in range(options.rounds):
            started = time.perf_counter()
            report = ingest([base / "docs"], base / f"store{number}", encoder=encoder)
            took = time.perf_counter() - started
            rates["ours"].append(report.encoded / took)
            seconds["ours"].append(took)
            for name, count in (("peer_default_threads", threads), ("peer_one_thread", 1)):
                torch.set_num_threads(count)
                chunks, took = peer(base / "docs", plain)
                torch.set_num_threads(threads)
                rates[name].append(chunks / took)
                seconds[name].append(took)
    median = {name: statistics.median(values) for name, values in rates.items()}
    best = max(median["peer_default_threads"], median["peer_one_thread"])
    fastest = min(statistics.median(seconds[name]) for name in rates if name != "ours")
    result: dict[str, Any] = {"bench": "ingest_speed", "rounds": options.rounds, "files": options.files}
    result |= {"characters": characters, "chunks": report.encoded, "peer_chunks": chunks, "torch_threads": threads}
    result |= {f"{name}_chunks_per_second": round(value, 2) for name, value in median.items()}
    result["ratio"] = round(median["ours"] / best, 2)
    result["ratio_same_text"] = round(fastest / statistics.median(seconds["ours"]), 2)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
