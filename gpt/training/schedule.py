"""How far a run is, by steps or by time, and the learning rate that follows from it."""

from __future__ import annotations

from dataclasses import dataclass

from gpt.training.checkpoint import Progress

WARM_UP_STEPS = 40
LOWEST = 0.02


@dataclass(frozen=True, slots=True)
class Schedule:
    """``steps`` or, where they are None, ``minutes``. By time, a slow machine still reaches the end of its warm-down;
    by steps, a run gives the same weights wherever it is stopped and resumed."""

    minutes: float
    steps: int | None
    warm_down: float
    warm_up: int = WARM_UP_STEPS  # steps

    def done(self, progress: Progress) -> float:
        """How much of the run is over, 0 to 1."""
        if self.steps is not None:
            return min(1.0, progress.step / max(1, self.steps))
        return min(1.0, progress.seconds / max(1e-9, 60 * self.minutes))

    def rate(self, progress: Progress) -> float:
        """Share of the peak learning rate: short warm-up, constant, then linear to 2 % over the last part."""
        warm = min(1.0, (progress.step + 1) / self.warm_up)
        left = (1 - self.done(progress)) / max(1e-9, self.warm_down)
        return warm * max(LOWEST, min(1.0, left))

    def seconds_left(self, progress: Progress) -> float:
        """At the pace so far; infinite before the first step."""
        share = self.done(progress)
        return progress.seconds / share - progress.seconds if share else float("inf")
