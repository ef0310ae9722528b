"""kill -9 during ``python -m ingest``: what was committed serves, and running it again gives what it should.

OPENBOOK_KILLS sets the number of kills (6 by default; 1,000 were run before release).
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ingest.encode import Encoder
from ingest.pipeline import ingest
from ingest.store import Store
from tests.ingest.tiny_encoder import write_static

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("OPENBOOK_KILLS", "6"))
STARTS, MIDDLES, ENDS = ("bra", "cli", "dro", "fen", "gul", "hob"), ("ko", "me", "ni", "pa"), ("ld", "r", "st", "x")
WORDS = [start + middle + end for start in STARTS for middle in MIDDLES for end in ENDS]
# The real command, with a commit for every four files instead of 64: sixty files then have fifteen moments to lose.
COMMAND = (
    "import runpy, ingest.batch as batch; batch.FILES_PER_COMMIT = 4; batch.COMMIT_SHARE = 0; "
    "runpy.run_module('ingest', run_name='__main__', alter_sys=True)"
)


class Corpus:
    """A folder of text files that changes from one version to the next, and every text it ever had."""

    def __init__(self, folder: Path, generator: random.Random) -> None:
        self.folder = folder
        self.random = generator
        self.texts: dict[str, set[str]] = {}
        folder.mkdir()
        for _ in range(60):
            self.write(self.new_name())

    def new_name(self) -> str:
        return f"file{len(self.texts):04}.txt"

    def write(self, name: str) -> None:
        text = "\n\n".join(
            " ".join(self.random.choice(WORDS) for _ in range(60)) + f" {name} part{part}." for part in range(8)
        )
        (self.folder / name).write_text(text)
        self.texts.setdefault(name, set()).add(text)

    def change(self) -> None:
        """Edit, rename, delete and add some files."""
        names = sorted(path.name for path in self.folder.iterdir())
        chosen = self.random.sample(names, 20)
        for name in chosen[:12]:
            self.write(name)
        for name in chosen[12:16]:
            fresh = self.new_name()
            (self.folder / name).rename(self.folder / fresh)
            self.texts[fresh] = set(self.texts[name])
        for name in chosen[16:]:
            (self.folder / name).unlink()
            self.write(self.new_name())


def start(docs: Path, home: Path, encoder: Path) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-c", COMMAND, str(docs), "--store", str(home), "--encoder", str(encoder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT, env=environment)


def check_committed(home: Path, corpus: Corpus, encoder: Encoder) -> tuple[int, int]:
    """The store is at some commit: whole documents, and both indexes agree with them.

    Returns (generation, number of documents).
    """
    with Store.open(home, encoder=encoder.stamp) as store:
        records = store.documents()
        known: set[int] = set()
        for record in records:
            text = store.text(record.id)
            assert text in corpus.texts[Path(record.path).name]
            chunks = store.chunks_of(record.id)
            assert len(chunks) == record.chunk_count > 0
            assert all(text[chunk.start : chunk.end] == chunk.text for chunk in chunks)
            assert "".join(text.split()) == "".join("".join(chunk.text for chunk in chunks).split())
            known.update(chunk.id for chunk in chunks)
        assert set(store.chunk_ids()) == known
        if known:
            found = {chunk_id for chunk_id, _ in store.dense(encoder.encode(["brakor"])[0], len(known) + 10)}
            assert found == known
            assert store.vectors(sorted(known)).shape == (len(known), encoder.stamp.dimension)
            assert {chunk_id for chunk_id, _ in store.lexical("part0", len(known))} <= known
        return store.generation, len(records)


QUERIES = ("brakor climex", "dronist fenpar part3", "gulkold", "file0007.txt part2", "clinir brapax hobmer fenkor")
Place = tuple[str, int, int]


def top_ten(store: Store, hits: list[tuple[int, float]]) -> list[Place]:
    """(path, start, end) of the ten best; equal scores in order of place."""
    chunks = {chunk.id: chunk for chunk in store.chunks([chunk_id for chunk_id, _ in hits])}
    ranked = sorted((-round(score, 4), chunks[n].source, chunks[n].start, chunks[n].end) for n, score in hits)
    return [(path, first, last) for _, path, first, last in ranked[:10]]


def dense_results(home: Path, encoder: Encoder) -> list[list[Place]]:
    with Store.open(home, encoder=encoder.stamp) as store:
        return [top_ten(store, store.dense(encoder.encode([query])[0], 60)) for query in QUERIES]


def lexical_results(home: Path, encoder: Encoder) -> list[list[Place]]:
    with Store.open(home, encoder=encoder.stamp) as store:
        return [top_ten(store, store.lexical(query, 60)) for query in QUERIES]


@pytest.mark.timeout(1200)
def test_kill_at_random_moments(tmp_path: Path) -> None:
    generator = random.Random(20261122)
    folder = write_static(tmp_path / "encoder", dimension=32, words=["[UNK]", *WORDS])
    encoder = Encoder.load(str(folder))
    corpus = Corpus(tmp_path / "docs", generator)
    home, undisturbed = tmp_path / "store", tmp_path / "undisturbed"

    started = time.monotonic()
    rehearsal = start(corpus.folder, tmp_path / "rehearsal", folder)
    assert rehearsal.wait(timeout=120) == 0
    whole = time.monotonic() - started

    kills = finished = states = reached = 0
    while kills < KILLS or states < 2:  # at least two kills have to fall between the commits of a run
        process = start(corpus.folder, home, folder)
        assert process.stderr is not None
        begun = time.monotonic()
        try:
            process.wait(timeout=generator.uniform(0.2, 1.0) * whole)
            whole = (whole + time.monotonic() - begun) / 2  # the machine has become less busy: kill earlier
        except subprocess.TimeoutExpired:
            process.kill()
        killed = process.wait(timeout=60) == -9
        message = process.stderr.read().decode()
        process.stderr.close()
        kills += killed
        if not killed:
            assert process.returncode == 0, message
            finished += 1
            ingest([corpus.folder], undisturbed, encoder=encoder)  # the same history, never killed
            corpus.change()
        if (home / "store.sqlite3").exists() and (home / "store.sqlite3").stat().st_size:
            generation, _ = check_committed(home, corpus, encoder)
            assert generation >= reached  # a commit once seen is never lost
            states += killed and generation > reached
            reached = generation

    last = start(corpus.folder, home, folder)
    _, err = last.communicate(timeout=120)
    assert last.returncode == 0, err.decode()
    assert check_committed(home, corpus, encoder)[1] == 60
    ingest([corpus.folder], undisturbed, encoder=encoder)
    assert dense_results(home, encoder) == dense_results(undisturbed, encoder)
    # BM25 counts deleted chunks until they are a tenth of all, so the two are compared with their lexical indexes made
    # anew from the database: only what was deleted when may differ before that.
    for store in (home, undisturbed):
        shutil.rmtree(store / "lexical")
    assert lexical_results(home, encoder) == lexical_results(undisturbed, encoder)
    print(f"{kills} kills, {finished} runs finished in between, {states} kills after a commit of their own run")
