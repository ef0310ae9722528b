"""kill -9 at random moments: what comes back is a committed state, and both indexes agree with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROUNDS = 24

# Runs in a process of its own that imports everything once and then forks writers to kill. Every commit
# rewrites three documents with the same number, one of which changes its name, so a torn commit shows as
# numbers that differ.
PROGRAM = """
import json, os, random, signal, sys, time
import numpy as np
from ingest.store import EncoderStamp, NewDocument, Store
from ingest.types import Chunk

home, rounds = sys.argv[1], int(sys.argv[2])
stamp = EncoderStamp("toy", "0123", 8, 254, ("en",))
chance = random.Random(20)

def row(name, number):
    v = np.random.default_rng([ord(name), number]).normal(size=8)
    return (v / np.linalg.norm(v)).astype(np.float32)

def write(pipe):
    with Store.open(home, write=True, create=True, encoder=stamp) as store:
        number = store.generation
        while True:
            number += 1
            for record in store.documents():
                if record.title == "c":
                    store.remove(record.id)
            for name in "abc":
                text = f"every {name} number{number}"
                path = f"/docs/{name}{number % 2 if name == 'c' else ''}"
                new = NewDocument(path, "/docs", name, "text", "en", 1, 1, "", len(text), text)
                store.put(new, [Chunk(0, 0, len(text), text, "")], row(name, number).reshape(1, -1))
            assert store.commit() == number
            os.write(pipe, b"%d\\n" % number)

def check(acknowledged):
    with Store.open(home) as store:
        number = store.generation
        assert acknowledged <= number <= acknowledged + 1, (acknowledged, number)
        texts = sorted(store.text(record.id) for record in store.documents())
        assert texts == ([f"every {name} number{number}" for name in "abc"] if number else []), texts
        ids = store.chunk_ids()
        assert sorted(i for i, _ in store.dense(np.ones(8, np.float32), 99)) == ids
        assert sorted(i for i, _ in store.lexical("every", 99)) == ids
        assert sorted(i for i, _ in store.lexical(f"number{number}", 99)) == ids
        for chunk in store.chunks(ids):
            assert store.dense(row(chunk.title, number), 1)[0][0] == chunk.id
            assert store.lexical(chunk.title + f" number{number}", 1)[0][0] == chunk.id
    return number

last, early = 0, 0
for turn in range(rounds):
    read, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        write(tell)
    os.close(tell)
    time.sleep(chance.choice((0.05, 0.2, 0.5)) * chance.random())
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    said = os.read(read, 1 << 16).split()
    os.close(read)
    acknowledged = int(said[-1]) if said else last
    if not os.path.exists(home + "/store.sqlite3") or os.path.getsize(home + "/store.sqlite3") == 0:
        early += 1
        continue
    judge, tell = os.pipe()
    child = os.fork()  # FAISS keeps threads, which do not survive fork: so judge in a child as well
    if child == 0:
        try:
            os.write(tell, b"%d" % check(acknowledged))
        except BaseException as error:
            if "There is no store" in str(error) and acknowledged == 0:
                os.write(tell, b"0")
                os._exit(0)
            import traceback
            traceback.print_exc()
        os._exit(0)
    os.close(tell)
    answer = os.read(judge, 100)
    os.close(judge)
    os.waitpid(child, 0)
    if not answer:
        sys.exit(f"round {turn} failed")
    last = int(answer)
print(json.dumps({"rounds": rounds, "commits": last, "early": early}))
"""


def test_kill_at_random_moments(tmp_path: Path) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "store"), str(ROUNDS)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=200,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    report = json.loads(result.stdout.splitlines()[-1])
    assert report["rounds"] == ROUNDS
    assert report["commits"] >= 3  # enough happened for the kills to mean something
