"""Chunks per second of ``ingest``, and what is found afterwards, against the plain LangChain flow in one run.

The peer is what most tutorials build: RecursiveCharacterTextSplitter(1000, 200), MiniLM by SentenceTransformer.encode
with its defaults (which is what LangChain's embeddings call), vectors added to a flat FAISS index, which is a best case
of ``FAISS.from_documents``: nothing is stored but the index in memory, and questions ask that index alone. Ours is the
whole pipeline into a fresh store on disk with the bundled encoder: sandboxed parsing, splitting, encoding, storing in
SQLite and both indexes; questions go through the search that answers are made from. Models are loaded and warmed
beforehand; rounds alternate; medians are compared. The peer is run with torch's thread number and with one thread, and
the better of the two is the one that counts.

The text is generated, with questions about facts that stand once in it; --questions takes the paragraphs of a file in
SQuAD's shape instead, a file each. A question is answered by the first five hits when one of them comes from the right
file and holds the answer; ``recall5`` is the share of those.

    python bench/ingest_speed.py [--files 60] [--rounds 3] [--questions SQUAD.json] [--limit 500] [--encoder NAME]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
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
STARTS, ENDS = (
    "Bel|Cor|Dun|Fal|Har|Lin|Mor|Nor|Pel|Sand|Thor|Wen".split("|"),
    "by|den|field|ham|ley|mouth|stead|wick".split("|"),
)
PEOPLE = "Ada|Boris|Clara|Dmitri|Elena|Felix|Greta|Hugo|Irene|Jonas|Karla|Ludwig".split("|")
K = 5


@dataclass(frozen=True, slots=True)
class Question:
    """``file`` is the name of the one that answers it; one of ``answers`` must stand in a hit."""

    text: str
    file: str
    answers: tuple[str, ...]


def generate(folder: Path, count: int) -> list[Question]:
    """Files of about 8,000 characters of English sentences; questions about one fact in each, which stands once."""
    generator = random.Random(11)
    towns = generator.sample([f"{a}{b}" for a in STARTS for b in ENDS], len(STARTS) * len(ENDS))
    questions = []
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
        town = f"{towns[number % len(towns)]}{'' if number < len(towns) else f' {number // len(towns) + 1}'}"
        person = f"{generator.choice(PEOPLE)} {generator.choice(STARTS)}{generator.choice(ENDS)}"
        place = generator.randrange(len(paragraphs))
        paragraphs[place] += f" The lighthouse of {town} was painted white by {person}."
        name = f"report{number:03}.txt"
        (folder / name).write_text("\n\n".join(paragraphs))
        questions.append(Question(f"Who painted the lighthouse of {town}?", name, (person,)))
    return questions


def take(path: Path, folder: Path, limit: int) -> list[Question]:
    """The paragraphs of a question file, a file each, and at most ``limit`` of its questions, evenly spread."""
    from rag.questions import read

    found = read(path).spread(limit)
    for number, paragraph in enumerate(found.paragraphs):
        (folder / f"p{number:05}.txt").write_text(paragraph)
    return [
        Question(asked.text, f"p{asked.paragraph:05}.txt", tuple(asked.golds))
        for asked in found.questions
        if asked.answerable
    ]


class Peer:
    """The plain flow; `build` makes the index of a folder, `find` gives (file name, text) of the best chunks."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.chunks: list[Any] = []
        self.index: Any = None

    def build(self, folder: Path) -> int:
        """Index a folder; the number of chunks."""
        import faiss
        from langchain_core.documents import Document
        from langchain_text_splitters import RecursiveCharacterTextSplitter

        documents = [Document(path.read_text(), metadata={"source": path.name}) for path in sorted(folder.iterdir())]
        self.chunks = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200).split_documents(documents)
        vectors = self.model.encode([chunk.page_content for chunk in self.chunks], show_progress_bar=False)
        self.index = faiss.IndexFlatL2(vectors.shape[1])
        self.index.add(vectors)
        return len(self.chunks)

    def find(self, question: str) -> list[tuple[str, str]]:
        _, numbers = self.index.search(self.model.encode([question], show_progress_bar=False), K)
        return [(self.chunks[n].metadata["source"], self.chunks[n].page_content) for n in numbers[0] if n >= 0]


def recall(questions: list[Question], find: Callable[[str], list[tuple[str, str]]]) -> float:
    """The share of questions that the first hits answer."""
    found = 0
    for question in questions:
        hits = [text for name, text in find(question.text) if name == question.file]
        found += any(answer in text for answer in question.answers for text in hits)
    return found / max(1, len(questions))


def ours(home: Path, encoder: Any) -> Callable[[str], list[tuple[str, str]]]:
    """Our search over a store."""
    from rag.search import Searcher

    searcher = Searcher.open(home, encoder)
    return lambda question: [(Path(hit.chunk.source).name, hit.chunk.text) for hit in searcher.search(question, K).hits]


def main() -> None:
    """Run the benchmark."""
    import torch
    from sentence_transformers import SentenceTransformer

    from ingest.encode import Encoder
    from ingest.encoder_files import minilm_folder
    from ingest.pipeline import ingest

    parser = argparse.ArgumentParser(description="Chunks per second and recall against the plain LangChain flow.")
    parser.add_argument("--files", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--questions", type=Path, metavar="SQUAD.json")
    parser.add_argument("--limit", type=int, default=500, help="questions asked of --questions")
    parser.add_argument("--encoder", default="bundled", help="ours (default: bundled)")
    options = parser.parse_args()
    encoder = Encoder.load(options.encoder)
    peer = Peer(SentenceTransformer(str(minilm_folder()), device="cpu", local_files_only=True))
    encoder.encode(["warm up"] * 8)
    peer.model.encode(["warm up"] * 8, show_progress_bar=False)
    threads = torch.get_num_threads()
    rates: dict[str, list[float]] = {"ours": [], "peer_default_threads": [], "peer_one_thread": []}
    seconds: dict[str, list[float]] = {name: [] for name in rates}
    with tempfile.TemporaryDirectory() as temporary:
        docs = Path(temporary) / "docs"
        docs.mkdir()
        questions = take(options.questions, docs, options.limit) if options.questions else generate(docs, options.files)
        for number in range(options.rounds):
            home = Path(temporary) / f"store{number}"
            started = time.perf_counter()
            report = ingest([docs], home, encoder=encoder)
            took = time.perf_counter() - started
            rates["ours"].append(report.encoded / took)
            seconds["ours"].append(took)
            for name, count in (("peer_default_threads", threads), ("peer_one_thread", 1)):
                torch.set_num_threads(count)
                started = time.perf_counter()
                chunks = peer.build(docs)
                took = time.perf_counter() - started
                torch.set_num_threads(threads)
                rates[name].append(chunks / took)
                seconds[name].append(took)
        found = {"ours": recall(questions, ours(home, encoder)), "peer": recall(questions, peer.find)}
    median = {name: statistics.median(values) for name, values in rates.items()}
    best = max(median["peer_default_threads"], median["peer_one_thread"])
    fastest = min(statistics.median(seconds[name]) for name in rates if name != "ours")
    result: dict[str, Any] = {"bench": "ingest_speed", "rounds": options.rounds, "files": report.files}
    result |= {"text": options.questions.name if options.questions else "generated", "encoder": encoder.stamp.name}
    result |= {"characters": report.characters_indexed, "chunks": report.chunks, "peer_chunks": chunks}
    result |= {"torch_threads": threads}
    result |= {f"{name}_chunks_per_second": round(value, 2) for name, value in median.items()}
    result["ratio"] = round(median["ours"] / best, 2)
    result["ratio_same_text"] = round(fastest / statistics.median(seconds["ours"]), 2)
    result["questions"] = len(questions)
    result |= {f"recall5_{name}": round(value, 4) for name, value in found.items()}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
