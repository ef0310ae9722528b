"""Many chats, one model: a fair queue of answers that outlive the page that asked.

One thread computes, because answers computed side by side would only slow each other down on the same cores. The
next job is the next owner's in turn, and among an owner's the next lane's (a conversation, a tab): who asks twenty
questions at once waits for them, not the others.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from app.job import Event, Job, Status, new_id
from ingest.types import IngestError
from rag.types import Cancelled, ChainInput, RagError

if TYPE_CHECKING:
    from app.workspace import Chain

__all__ = ["Busy", "Event", "Job", "Jobs", "Status", "new_id"]

log = logging.getLogger("openbook.app")
KEPT = 600.0  # seconds an ended job can be found, by a page that was away
MAX_KEPT = 128  # ended jobs in all; one of five passages holds some 100 kB
MAX_WAITING = 128
MAX_WAITING_OF_ONE = 32
SWEEP = 1.0  # seconds between looks for jobs that nobody reads


class Busy(Exception):
    """The queue takes no more; ``key`` and ``values`` name the sentence for the page, ``retry_after`` is in seconds."""

    def __init__(self, key: str, retry_after: int, **values: int) -> None:
        super().__init__(key)
        self.key, self.retry_after, self.values = key, retry_after, values

    def __str__(self) -> str:
        from app.i18n import say

        return say("en", self.key, **self.values)


class Jobs:
    """The queue, its worker, and the ended jobs while they can still be asked for. Any thread may call."""

    def __init__(self, workers: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self._workers, self._clock = workers, clock
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._turns: OrderedDict[str, OrderedDict[str, deque[Job]]] = OrderedDict()  # owner -> lane -> waiting
        self._known: OrderedDict[str, Job] = OrderedDict()  # by id, oldest first
        self._totals: dict[str, int] = dict.fromkeys(("done", "stopped", "failed"), 0)
        self._took = 1.0  # seconds an answer takes, smoothed
        self._threads: list[threading.Thread] = []
        self._closing = False
        self.watch: Callable[[Job], None] = lambda job: None  # called with each job that ends, for `app.api.metrics`

    def submit(
        self,
        owner: str,
        asked: ChainInput,
        chain: Callable[[], Chain],
        *,
        lane: str = "",
        keep: float = 30.0,
        id: str = "",
        on_end: Callable[[Job], None] | None = None,
    ) -> Job:
        """Queues a question; ``chain`` is called by the worker, for it may have to load the models first.

        ``keep``: seconds the job goes on when nobody reads its events (a page that is loaded again finds it); 0 for
        readers who cannot come back: it stops with the last of them. ``id``: from `new_id`, where it has to be known
        before. ``on_end`` is called once, in the thread that
        ended the job, before readers see its last event. Busy when too many wait.
        """

        def ended(job: Job) -> None:
            with self._lock:
                self._totals[job.status] += 1
            if on_end is not None:
                on_end(job)
            self.watch(job)

        job = Job(
            id or new_id(),
            owner,
            lane,
            asked,
            chain,
            keep=keep,
            on_end=ended,
            on_stop=self._withdraw,
            clock=self._clock,
        )
        with self._lock:
            self._admit(owner)
            self._known[job.id] = job
            self._turns.setdefault(owner, OrderedDict()).setdefault(lane, deque()).append(job)
            self._start()
            self._tell()
            self._changed.notify_all()
        return job

    def admit(self, owner: str) -> None:
        """Busy when the owner's next question would not be taken."""
        with self._lock:
            self._admit(owner)

    def _admit(self, owner: str) -> None:
        if self._closing:
            raise Busy("jobs.closing", 30)
        waiting = self._order()
        mine = sum(other.owner == owner for other in waiting)
        wait = 1 + int(len(waiting) * self._took / self._workers)
        if mine >= MAX_WAITING_OF_ONE:
            raise Busy("jobs.busy_owner", wait, n=mine)
        if len(waiting) >= MAX_WAITING:
            raise Busy("jobs.busy", wait, n=len(waiting))

    def get(self, id: str, owner: str) -> Job | None:
        """The job, open or ended not long ago; None for one of another owner."""
        with self._lock:
            job = self._known.get(id)
        return job if job is not None and job.owner == owner else None

    def of(self, owner: str, lane: str | None = None) -> list[Job]:
        """The owner's jobs, oldest first."""
        with self._lock:
            known = list(self._known.values())
        return [job for job in known if job.owner == owner and lane in (None, job.lane)]

    def counts(self) -> dict[str, int]:
        """``waiting``, ``running`` and ``kept`` now; ``done``, ``stopped`` and ``failed`` since the start."""
        with self._lock:
            known = list(self._known.values())
            waiting = len(self._order())
            totals = dict(self._totals)
        running = sum(job.status == "running" for job in known)
        return {"waiting": waiting, "running": running, "kept": sum(not job.open for job in known), **totals}

    def sweep(self) -> None:
        """Stops what nobody has read for its ``keep``, and forgets what ended long ago."""
        now = self._clock()
        with self._lock:
            known = list(self._known.values())
        for job in known:
            if job.open and job.deadline is not None and now >= job.deadline:
                log.info("an answer that nobody reads was stopped")
                job.stop()
        ended = [job for job in known if job.ended is not None and job.readers == 0]
        old = [job for job in ended if now - cast(float, job.ended) >= (KEPT if job.keep else 0.0)]
        old += [job for job in ended if job not in old][: max(0, len(ended) - len(old) - MAX_KEPT)]
        with self._lock:
            for job in old:
                self._known.pop(job.id, None)

    def close(self, timeout: float = 5.0) -> None:
        """Stops every job and the worker; waits ``timeout`` seconds for what is being computed to end."""
        with self._lock:
            self._closing = True
            known = list(self._known.values())
            self._changed.notify_all()
        for job in known:
            job.stop()
        until = time.monotonic() + timeout
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, until - time.monotonic()))

    def _start(self) -> None:
        """Threads are made with the first job: a server that only searches has none."""
        if self._threads:
            return
        works = [threading.Thread(target=self._work, name=f"model-{n}", daemon=True) for n in range(self._workers)]
        self._threads = [*works, threading.Thread(target=self._watch, name="jobs", daemon=True)]
        for thread in self._threads:
            thread.start()

    def _order(self) -> list[Job]:
        """The waiting jobs in the order they will run, if nobody else asks."""
        owners = [[list(jobs) for jobs in lanes.values()] for lanes in self._turns.values()]
        return _in_turn([_in_turn(lanes) for lanes in owners])

    def _next(self) -> Job | None:
        if not self._turns:
            return None
        owner, lanes = self._turns.popitem(last=False)
        lane, jobs = lanes.popitem(last=False)
        job = jobs.popleft()
        if jobs:
            lanes[lane] = jobs  # behind the other lanes
        if lanes:
            self._turns[owner] = lanes  # behind the other owners
        return job

    def _withdraw(self, job: Job) -> None:
        """Takes a stopped job out of the queue."""
        with self._lock:
            lanes = self._turns.get(job.owner, OrderedDict())
            jobs = lanes.get(job.lane, deque())
            if job not in jobs:
                return
            jobs.remove(job)
            if not jobs:
                del lanes[job.lane]
            if not lanes:
                del self._turns[job.owner]
            job.freed.set()
            self._tell()

    def _tell(self) -> None:
        for position, job in enumerate(self._order(), 1):
            if job.position != position:
                job.place(position)

    def _work(self) -> None:
        while True:
            with self._lock:
                while not self._turns and not self._closing:
                    self._changed.wait()
                job = self._next()
                if job is None:
                    return
            try:
                if job.begin():
                    with self._lock:
                        self._tell()
                    _compute(job)
            finally:
                job.freed.set()
            if job.status == "done":
                self._took += (job.seconds - self._took) / 8
            del job  # or its answer would be kept until the next question

    def _watch(self) -> None:
        while True:
            with self._lock:
                if self._closing:
                    return
                self._changed.wait(SWEEP if self._known else None)
            self.sweep()


def _in_turn(rows: list[list[Any]]) -> list[Any]:
    """The first of each row, then the second of each, and so on."""
    longest = max(map(len, rows), default=0)
    return [row[turn] for turn in range(longest) for row in rows if len(row) > turn]


def _compute(job: Job) -> None:
    """Answers a job's question; whatever goes wrong becomes one sentence."""
    try:
        chain = _made(job)
        from gpt.cancelling import cancelled_by  # with torch, which the chain has loaded by now

        asked = cast(Any, {**job.asked, "cancel": job.cancel})
        # The chain looks at the event between its steps, the model in each of its layers.
        with cancelled_by(job.cancel), contextlib.closing(cast(Any, chain.stream(asked))) as events:
            for event in events:
                if job.cancel.is_set():
                    break
                job.take(event)
        job.close("stopped" if job.answer is None else "done")
    except Cancelled:
        job.close("stopped")
    except (RagError, IngestError) as error:  # both are sentences fit to print
        job.close("failed", error, str(error))
    except Exception as error:
        if not job.cancel.is_set():
            log.exception("a question failed")
        job.close("failed", error, f"Something went wrong ({type(error).__name__}); the log has the details.")


def _made(job: Job) -> Chain:
    """The job's chain. Loading the models cannot be interrupted and is wanted by the next question anyway: a job that
    is stopped meanwhile does not wait for it. Raises what making it raised; Cancelled.
    """
    made: list[Chain | BaseException] = []
    ready = threading.Event()

    def make() -> None:
        try:
            made.append(job.chain())
        except BaseException as error:
            made.append(error)
        ready.set()

    threading.Thread(target=make, name="loading", daemon=True).start()
    while not ready.wait(0.02):
        if job.cancel.is_set():
            raise Cancelled("The answer was cancelled.")
    if isinstance(made[0], BaseException):
        raise made[0]
    return made[0]
