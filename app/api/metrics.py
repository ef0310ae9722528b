"""``/metrics`` in Prometheus' text format: requests, answers, tokens, the queue, and the process."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

from fastapi import APIRouter, Request
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)  # fmt: skip
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.responses import Response

from app.api.errors import described
from app.api.shapes import Usage
from app.jobs import Job
from app.workspace import Workspace

disable_created_metrics()  # a time stamp beside each counter: twice the text for nothing that a graph shows
router = APIRouter(tags=["operation"])
_Message = MutableMapping[str, Any]
_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **described()},
    operation_id="metrics",
)
def metrics(request: Request) -> Response:
    """What Prometheus collects."""
    meter: Meter = request.app.state.meter
    return Response(generate_latest(meter.registry), media_type=CONTENT_TYPE_LATEST)


class Meter:
    """The numbers of one server; its registry is its own, so that two servers in a process do not add up."""

    def __init__(self, workspace: Workspace) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.registry.register(_Queue(workspace))
        self._requests = Counter(
            "openbook_requests", "HTTP requests.", ("method", "path", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "openbook_request_seconds", "Seconds to the end of a reply.", ("path",), buckets=_SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self._waited = Histogram(
            "openbook_wait_seconds", "Seconds that questions waited for the model.", buckets=_SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self._answers = Counter("openbook_answers", "Answers given.", ("mode", "refused"), registry=self.registry)
        self._stages = Counter(
            "openbook_answer_seconds", "Seconds spent on answers, by stage.", ("stage",), registry=self.registry
        )
        self._tokens = Counter(
            "openbook_tokens", "Tokens of answers over OpenAI's protocol.", ("kind",), registry=self.registry
        )
        workspace.jobs.watch = self._ended

    def _ended(self, job: Job) -> None:
        """Counts a question that came to an end, by whatever door it came in."""
        self._waited.observe(job.waited)
        if job.answer is not None:
            self._answers.labels(job.answer.mode, str(job.answer.refused).lower()).inc()
            for stage, seconds in job.answer.timings.items():
                self._stages.labels(stage).inc(seconds)

    def sent(self, usage: Usage) -> None:
        """Counts the tokens of an answer that was sent."""
        self._tokens.labels("prompt").inc(usage.prompt_tokens)
        self._tokens.labels("completion").inc(usage.completion_tokens)

    def requested(self, method: str, path: str, status: int, seconds: float) -> None:
        self._requests.labels(method, path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)


class _Queue(Collector):
    """The jobs as they are at the moment of asking."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def collect(self) -> Iterator[Metric]:
        counts = self._workspace.jobs.counts()
        now = GaugeMetricFamily("openbook_jobs", "Questions by what becomes of them now.", labels=["status"])
        for status in ("waiting", "running"):
            now.add_metric([status], counts[status])
        ended = CounterMetricFamily("openbook_jobs_ended", "Questions that came to an end.", labels=["status"])
        for status in ("done", "stopped", "failed"):
            ended.add_metric([status], counts[status])
        yield from (now, ended)


class Measure:
    """ASGI middleware that counts each request under the path of its description, never under what a client made up."""

    def __init__(self, app: Any, meter: Meter, path_of: Callable[[_Message], str]) -> None:
        self.app, self.meter, self.path_of = app, meter, path_of

    async def __call__(
        self,
        scope: _Message,
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def watched(message: _Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST", "DELETE", "OPTIONS") else "other"
            self.meter.requested(method, self.path_of(scope), status, time.perf_counter() - began)
