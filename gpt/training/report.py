"""What a run tells: a line that stays on the screen, a log of JSON lines, and the losses as a picture."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from gpt.training.checkpoint import Progress
from gpt.training.schedule import Schedule

LOSSES = ("prose", "start", "stop", "reward")
SMOOTH = 0.97  # share of the running mean that a step leaves


class Report:
    """Progress of one run in ``folder``; silent in processes that do not write."""

    def __init__(self, folder: Path, schedule: Schedule, progress: Progress, *, writes: bool = True) -> None:
        self.folder, self.schedule, self.progress, self.writes = folder, schedule, progress, writes
        self.means: dict[str, float] = {}
        self.log: TextIO | None = None
        self.since = (time.monotonic(), progress.tokens)

    def __enter__(self) -> Report:
        if self.writes:
            self.log = (self.folder / "log.jsonl").open("a", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.log is not None:
            self.log.close()

    def take(self, losses: dict[str, float]) -> None:
        """The losses of one step, into running means."""
        for name, value in losses.items():
            self.means[name] = value if name not in self.means else SMOOTH * self.means[name] + (1 - SMOOTH) * value

    def line(self) -> None:
        """A line of the log, and the same for people on stderr: speed is that since the last line."""
        now, p = time.monotonic(), self.progress
        speed = (p.tokens - self.since[1]) / max(1e-9, now - self.since[0])
        self.since = (now, p.tokens)
        entry: dict[str, Any] = {"step": p.step, "seconds": round(p.seconds, 1), "tokens": p.tokens}
        entry |= {"tokens_per_second": round(speed), "rate": round(self.schedule.rate(p), 4)}
        entry |= {name: round(value, 4) for name, value in self.means.items()}
        self.write(entry)
        if self.writes:
            losses = "  ".join(f"{name} {value:.3f}" for name, value in self.means.items())
            left = clock(self.schedule.seconds_left(p))
            line = f"step {p.step:,}  {self.schedule.done(p):.1%}  {losses}  {speed:,.0f} tokens/s  {left} left"
            print(f"\r{line:<100}", end="", file=sys.stderr, flush=True)

    def write(self, entry: dict[str, Any]) -> None:
        if self.log is not None:
            print(json.dumps(entry), file=self.log, flush=True)

    def say(self, text: str) -> None:
        if self.writes:
            print(f"\n{text}", file=sys.stderr, flush=True)

    def draw(self) -> None:
        if self.writes:
            draw_losses(self.folder / "log.jsonl", self.folder / "loss.png")


def clock(seconds: float) -> str:
    """12:34 or 1:02:34; a question mark for what is not known."""
    if seconds == float("inf"):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def draw_losses(log: Path, picture: Path) -> None:
    """The losses of a log over the tokens trained on, and the held-out scores where there are any."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # draws without a screen
    from matplotlib.figure import Figure

    entries = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    curves: dict[str, list[tuple[float, float]]] = {}
    tokens = 0.0
    for entry in entries:
        tokens = entry.get("tokens", 1e6 * tokens) / 1e6
        for name in LOSSES:
            if name in entry:
                curves.setdefault(name, []).append((tokens, entry[name]))
        for score, values in entry.get("scores", {}).items():
            for name, value in values.items():
                curves.setdefault(f"held out: {score.replace('_', ' ')} {name}", []).append((tokens, value))
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(xlabel="million tokens", ylabel="nats, bits per byte, or reward")
    for name, points in curves.items():
        axes.plot(*zip(*points, strict=True), label=name, marker="." if name.startswith("held out") else "")
    axes.grid(alpha=0.3)
    if curves:
        axes.legend()
    fresh = picture.with_name(picture.name + ".new")
    figure.savefig(fresh, format="png", dpi=120)
    fresh.replace(picture)
