"""A small world for fault trials: folders of documents, the stores made from them, and what must come out of those."""

from __future__ import annotations

import hashlib
import itertools
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import ingest.batch as batch
import ingest.pipeline as pipeline
from ingest.encode import Encoder
from ingest.limits import Budget, Limits
from ingest.parsers import parse_file
from ingest.plan import Put
from ingest.report import Event
from ingest.sandbox import ParseResult, Splitting, read_file
from ingest.store import Store
from ingest.store.layout import forget_indexes
from ingest.types import IngestError
from tests.ingest.tiny_encoder import write_static

WORDS = [
    a + b + c for a, b, c in itertools.product(("bra", "cli", "dro", "fen"), ("ko", "me", "ni"), ("ld", "st", "x"))
]
QUERIES = ("brakold climex", "dronist fenkox everywhere", "clinix brameld", "drokox")
EVERYWHERE = "everywhere"  # a word of every chunk

State = dict[str, str]  # path -> text
Results = list[list[tuple[str, int, int, float]]]


class ReadHere:
    """In place of `ingest.ahead.ReadAhead`: parses in this process, since starting another takes longer than a trial."""

    def __init__(self, puts: Sequence[Put], splitting: Splitting | None, check: Callable[[], None]) -> None:
        self._puts = puts

    def __enter__(self) -> ReadHere:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __iter__(self) -> Iterator[tuple[Put, ParseResult | IngestError]]:
        for put in self._puts:
            data, status = read_file(put.found.path, Limits())
            digest = hashlib.blake2b(data, digest_size=20).hexdigest()
            document = parse_file(put.found.path, data, Budget(Limits(), len(data)))
            yield put, ParseResult(document, digest, len(data), status.st_mtime_ns)


def prepare() -> None:
    """Make ingestion quick and rich in commits; for this process and its children."""
    pipeline.ReadAhead = ReadHere  # type: ignore[assignment,misc]
    batch.FILES_PER_COMMIT, batch.COMMIT_SHARE = 3, 0


@dataclass(slots=True)
class Scenario:
    """A store before a run, the folder to ingest, and every state that the run commits, the first one included."""

    base: Path | None
    docs: Path
    states: list[State]
    finished: Path  # the store after the run
    logged: Path  # the same as a crash right after the last commit leaves it: that commit is in the log alone
    dense: Results
    lexical: Results
    texts: dict[str, set[str]] = field(default_factory=dict)  # every text a file ever had
    keeps_up: bool = True  # whether the encoder is quick enough to give each commit its vectors
    calls: int = 0  # system calls of the run that change files, and the bytes of the store after it
    bytes: int = 0


class World:
    """Builds scenarios in ``folder``, which should be in memory."""

    def __init__(self, folder: Path, seed: int, scenarios: int = 5) -> None:
        self.folder = folder
        self.random = random.Random(seed)
        self.encoder = Encoder.load(str(write_static(folder / "encoder", dimension=16, words=["[UNK]", *WORDS])))
        self.encoder.encode(["brakold"])
        self.vectors = self.encoder.encode(QUERIES)
        self.scenarios = [self._scenario(number) for number in range(scenarios)]

    def _text(self, name: str) -> str:
        def part(number: int) -> str:
            words = " ".join(self.random.choice(WORDS) for _ in range(self.random.randint(8, 90)))
            return f"# Part {number}\n\n{words} {EVERYWHERE} 资料{number} in {name}."

        return "\n\n".join(part(number) for number in range(self.random.randint(1, 4)))

    def _write(self, scenario: Scenario, name: str) -> None:
        path = scenario.docs / name
        path.write_text(self._text(name))
        scenario.texts.setdefault(str(path), set()).add(path.read_text())

    def _scenario(self, number: int) -> Scenario:
        place = self.folder / f"scenario{number}"
        folders = [place / name for name in ("docs", "finished", "logged")]
        scenario = Scenario(None, folders[0], [{}], folders[1], folders[2], [], [], keeps_up=number % 2 == 0)
        scenario.docs.mkdir(parents=True)
        names = [f"file{count}.md" for count in range(9)]
        for name in names:
            self._write(scenario, name)
        if number:  # the first starts from nothing
            scenario.base = place / "base"
            for _ in range(number):
                self.ingest(scenario, scenario.base)
                self._change(scenario, names)
            scenario.states = [read_state(scenario.base)]
            shutil.copytree(scenario.base, scenario.finished)

        def on_event(event: Event) -> None:
            if event.kind == "commit":
                scenario.states.append(read_state(scenario.finished))
                shutil.rmtree(scenario.logged, ignore_errors=True)
                shutil.copytree(scenario.finished, scenario.logged)

        self.ingest(scenario, scenario.finished, on_event)
        scenario.dense, scenario.lexical = self.results(scenario.finished)
        return scenario

    def _change(self, scenario: Scenario, names: list[str]) -> None:
        chosen = self.random.sample(sorted(path.name for path in scenario.docs.iterdir()), 5)
        for name in chosen[:3]:
            self._write(scenario, name)
        for name in chosen[3:4]:
            fresh = f"file{len(names)}.md"
            names.append(fresh)
            (scenario.docs / name).rename(scenario.docs / fresh)
            scenario.texts[str(scenario.docs / fresh)] = set(scenario.texts[str(scenario.docs / name)])
        (scenario.docs / chosen[4]).unlink()
        names.append(f"file{len(names)}.md")
        self._write(scenario, names[-1])

    def ingest(self, scenario: Scenario, home: Path, on_event: Callable[[Event], None] | None = None) -> None:
        """The run that faults happen to; how quick the machine is just now must not change its commits."""
        batch.KEEPS_UP = 0.0 if scenario.keeps_up else 1e12
        pipeline.ingest([scenario.docs], home, encoder=self.encoder, on_event=on_event)

    def results(self, home: Path) -> tuple[Results, Results]:
        """What both legs find, by place instead of by id; the lexical index is made anew first, because BM25 counts
        deleted chunks until a tenth of all are.
        """
        with Store.open(home, encoder=self.encoder.stamp) as store:
            dense = [_places(store, store.dense(vector, 200)) for vector in self.vectors]
        forget_indexes(home)
        with Store.open(home, encoder=self.encoder.stamp) as store:
            lexical = [_places(store, store.lexical(query, 200)) for query in QUERIES]
        return dense, lexical

    def use(self, home: Path, scenario: Scenario) -> State:
        """Read everything in a store as a chat would; AssertionError when any of it is not what was written.

        Returns the state. StoreError is what the store itself may say.
        """
        with Store.open(home, encoder=self.encoder.stamp) as store:
            return check(store, self, scenario)


def check(store: Store, world: World, scenario: Scenario) -> State:
    """`World.use` for a store that is open."""
    state: State = {}
    known: dict[int, str] = {}
    for record in store.documents():
        text = store.text(record.id)
        assert text in scenario.texts.get(record.path, ()), f"{record.path} was never so"
        assert store.find(record.path) == record and record.path not in state
        state[record.path] = text
        chunks = store.chunks_of(record.id)
        assert len(chunks) == record.chunk_count
        for chunk in chunks:
            assert text[chunk.start : chunk.end] == chunk.text and chunk.source == record.path
            known[chunk.id] = f"{chunk.header}\n{chunk.text}" if chunk.header else chunk.text
        assert "".join(text.split()) == "".join("".join(chunk.text for chunk in chunks).split())
    assert sorted(known) == store.chunk_ids()
    waiting = set(store.waiting_ids().tolist())
    embedded = {number: text for number, text in known.items() if number not in waiting}
    for vector in world.vectors[:2]:
        assert {number for number, _ in store.dense(vector, len(known) + 9)} == set(embedded)
    if embedded:
        stored = store.vectors(sorted(embedded))
        assert abs(stored - world.encoder.encode([embedded[number] for number in sorted(embedded)])).max() < 1e-5
    assert {number for number, _ in store.lexical(EVERYWHERE, len(known) + 9)} == set(known)
    for number, _ in store.lexical(QUERIES[1], 5):
        assert set(QUERIES[1].split()) & set(known[number].replace(".", " ").split())
    return state


def read_state(home: Path) -> State:
    """The documents of a store."""
    with Store.open(home) as store:
        return {record.path: store.text(record.id) for record in store.documents()}


def _places(store: Store, hits: list[tuple[int, float]]) -> list[tuple[str, int, int, float]]:
    chunks = {chunk.id: chunk for chunk in store.chunks([number for number, _ in hits])}
    found = [(chunks[n].source, chunks[n].start, chunks[n].end, round(score, 4)) for n, score in hits]
    return sorted(found, key=lambda place: (-place[3], place))


def leftovers(home: Path) -> list[str]:
    """Files in a store's folder that nothing will ever use."""
    expected = {"store.sqlite3", "store.sqlite3-wal", "store.sqlite3-shm", "writer.lock", "lexical", "vectors"}
    return [str(path) for path in home.iterdir() if path.name not in expected] + [str(p) for p in home.rglob("*.tmp")]
