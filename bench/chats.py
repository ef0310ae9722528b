"""Twenty chats at once against a real ``python -m app``: answers lost, memory, waits of each, how long Stop takes.

Each client has a key of its own, asks the manual one question after the other over HTTP and checks that the answer is
to its question. One more client is greedy and keeps eight questions waiting: the others are not to wait for it. Then
Stop: a client alone closes its connection at a random moment of an answer, and the server's processor time is watched
until it stands still. Prints one JSON line; seconds, MB (resident memory of the server), milliseconds for ``stop``.

    python bench/chats.py [--minutes 5] [--clients 20] [--stops 60] [--store DIR]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

GREEDY = 8  # questions at once of the greedy client
TICK = 1000 / os.sysconf("SC_CLK_TCK")  # milliseconds
QUIET = 0.1  # seconds without more than a tick of work: nothing is computed any more
QUESTIONS = [
    *("What does temperature 0 do?", "How do I add documents?", "Which file formats are supported?"),
    *("How do I change the port of the chat?", "Where does Openbook keep its data?", "What are the exit codes?"),
    *(
        "温度为 0 时会怎样？",
        "怎么添加文档？",
        "支持哪些文件格式？",
        "怎么更换聊天界面的端口？",
        "文档里没有答案时会怎样？",
    ),
    *("What is the capital of France?", "How are chunks made?", "怎么从别的电脑访问聊天界面？"),
]


@dataclass
class Client:
    """What one client has met, in seconds from asking: until its question ran, and until its answer was whole."""

    name: str
    key: str
    waits: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def ask(self, http: httpx.Client, question: str, seed: int, k: int = 5) -> None:
        began, ran = time.monotonic(), 0.0
        body = {
            "model": "openbook", "messages": [{"role": "user", "content": question}], "stream": True, "seed": seed,
            "temperature": 0.7, "openbook": {"k": k},
        }  # fmt: skip
        whole: dict[str, Any] | None = None
        try:
            with http.stream("POST", "/v1/chat/completions", json=body, headers=self.headers) as reply:
                for data in chunks(reply):
                    told = data.get("openbook") or {}
                    if not ran and (told.get("position") == 0 or "stage" in told):
                        ran = time.monotonic()
                    whole = told.get("answer", whole)
        except (httpx.HTTPError, RuntimeError) as error:
            self.lost.append(f"{type(error).__name__}: {error}"[:200])
            return
        if whole is None or whole["question"] != question or whole["seed"] != seed:
            self.lost.append(f"{question} {seed}: {json.dumps(whole, ensure_ascii=False)[:200]}")
            return
        self.waits.append((ran or time.monotonic()) - began)
        self.answers.append(time.monotonic() - began)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


def chunks(reply: httpx.Response) -> Iterator[dict[str, Any]]:
    """The events of a stream; RuntimeError for an error and for a stream that was cut off."""
    if reply.status_code != 200:
        raise RuntimeError(f"{reply.status_code} {reply.read()[:150]!r}")
    for line in reply.iter_lines():
        if line == "data: [DONE]":
            return
        if line.startswith("data: "):
            data = json.loads(line[6:])
            if "error" in data:
                raise RuntimeError(str(data["error"]))
            yield data
    raise RuntimeError("the stream ended before [DONE]")


@contextlib.contextmanager
def server(store: Path, access: Path) -> Iterator[tuple[str, int]]:
    """Address and process id of the application, once its models are loaded."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    line = [sys.executable, "-m", "app", "--port", str(port), "--store", str(store)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBOOK_ACCESS": str(access)}
    process = subprocess.Popen(line, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        until = time.monotonic() + 180
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{url}/health/ready", timeout=10).status_code == 200:
                    break
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit("the server did not start")
            time.sleep(0.2)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(30)


def resident(pid: int) -> float:
    """MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def worked(pid: int) -> int:
    """Ticks of processor time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """MB per minute over the samples (seconds, MB), by least squares."""
    if len(samples) < 3:
        return 0.0
    seconds, sizes = zip(*samples, strict=True)
    return statistics.linear_regression(seconds, sizes).slope * 60


def load(url: str, pid: int, clients: list[Client], greedy: Client, minutes: float) -> list[tuple[float, float]]:
    """All clients at once for so long; memory every two seconds."""
    until = time.monotonic() + minutes * 60

    def chat(client: Client, lane: int) -> None:
        generator = random.Random(f"{client.name} {lane}")
        with httpx.Client(base_url=url, timeout=300) as http:
            while time.monotonic() < until:
                client.ask(http, generator.choice(QUESTIONS), generator.randrange(2**31))

    threads = [threading.Thread(target=chat, args=(client, 0)) for client in clients]
    threads += [threading.Thread(target=chat, args=(greedy, lane)) for lane in range(GREEDY)]
    for thread in threads:
        thread.start()
    samples = []
    while any(thread.is_alive() for thread in threads):
        samples.append((time.monotonic(), resident(pid)))
        time.sleep(2)
    return samples


def stops(url: str, pid: int, client: Client, number: int) -> list[float]:
    """Milliseconds from closing the connection at a random moment until the server computes no more."""
    found: list[float] = []
    generator = random.Random(3)
    with httpx.Client(base_url=url, timeout=300) as http:
        while len(found) < number:
            k, question = generator.choice((5, 20, 50)), generator.choice(QUESTIONS)
            began = time.monotonic()
            client.ask(http, question, 1, k)
            took = time.monotonic() - began
            body = {"model": "openbook", "messages": [{"role": "user", "content": question}], "stream": True}
            with http.stream(
                "POST", "/v1/chat/completions", json={**body, "openbook": {"k": k}}, headers=client.headers
            ):
                time.sleep(generator.random() * took)
            found.append(still(pid, time.monotonic()))
    return found


def still(pid: int, closed: float) -> float:
    """When the last work was seen, in milliseconds after ``closed``."""
    last, ticks, since = closed, worked(pid), closed
    while time.monotonic() - since < QUIET:
        time.sleep(0.005)
        now = worked(pid)
        if now > ticks + 1:  # a tick in a tenth of a second is the server's own housekeeping
            ticks, last, since = now, time.monotonic(), time.monotonic()
    return max(0.0, (last - closed) * 1000)


def spread(values: Sequence[float], digits: int) -> dict[str, float]:
    ordered = sorted(values) or [0.0]
    at = {"p50": 0.5, "p95": 0.95, "max": 1.0}
    return {
        name: round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], digits) for name, share in at.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--stops", type=int, default=60)
    parser.add_argument("--store", type=Path, help="a store of the manual (default: made anew)")
    chosen = parser.parse_args()
    from app.guard.access import AccessFile

    with tempfile.TemporaryDirectory(prefix="openbook-chats-") as folder:
        store = chosen.store or Path(folder) / "store"
        if chosen.store is None:
            line = [sys.executable, "-m", "ingest", "docs/en", "docs/zh", "--store", str(store)]
            subprocess.run(line, cwd=ROOT, check=True, capture_output=True)
        access = AccessFile(Path(folder) / "access.json")
        names = [f"client-{n}" for n in range(chosen.clients)]
        clients = [Client(name, access.add_key(name)) for name in names]
        greedy = Client("greedy", access.add_key("greedy"))
        with server(store, access.path) as (url, pid):
            samples = load(url, pid, clients, greedy, chosen.minutes)
            lone = Client("lone", clients[0].key)
            stopped = stops(url, pid, lone, chosen.stops)
    everyone = [*clients, greedy]
    means = [statistics.mean(client.waits) for client in clients if client.waits]
    later = samples[len(samples) // 3 :]  # caches fill in the first third
    result = {
        "bench": "chats",
        "clients": chosen.clients,
        "minutes": chosen.minutes,
        "answers": sum(len(client.answers) for client in everyone),
        "lost": sum(len(client.lost) for client in everyone) + len(lone.lost),
        "why_lost": [reason for client in [*everyone, lone] for reason in client.lost][:3],
        "answer_seconds": spread([x for client in clients for x in client.answers], 2),
        "wait_seconds": spread([x for client in clients for x in client.waits], 2),
        "mean_wait_max_over_median": round(max(means) / statistics.median(means), 3) if means else None,
        "answers_of_a_client": [min(len(c.answers) for c in clients), max(len(c.answers) for c in clients)],
        "answers_of_the_greedy": len(greedy.answers),
        "memory_mb": {
            "start": round(samples[0][1], 1),
            "end": round(samples[-1][1], 1),
            "per_minute": round(slope(later), 2),
        },
        "stop_ms": spread(stopped, 0),
        "stops": len(stopped),
        "cores": os.cpu_count(),
    }
    print(json.dumps(result, ensure_ascii=False))


if __name__ == "__main__":
    main()
