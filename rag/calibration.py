"""The learned numbers of an answer: which sentence to quote, how sure to be, when to refuse.

They live in ``calibration.json``, are fitted by ``python -m rag calibrate``, and are kept per language and
per profile: ``plain`` (no reader) and ``reader`` (the bundled GPT's span probabilities count too).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from rag.types import RagError


@dataclass(frozen=True, slots=True)
class Linear:
    """Weights by feature name; a feature without a weight counts nothing.

    A feature that is not known (NaN: a foreign retriever gives no BM25) counts as its mean in training.
    """

    weights: Mapping[str, float]
    bias: float = 0.0
    means: Mapping[str, float] = field(default_factory=dict)

    def score(self, names: Sequence[str], rows: Sequence[Sequence[float]] | np.ndarray) -> np.ndarray:
        """Scores (n,) of rows (n, len(names))."""
        weights = np.array([self.weights.get(name, 0.0) for name in names])
        matrix = np.asarray(rows, dtype=np.float64).reshape(-1, len(names))
        matrix = np.where(np.isnan(matrix), [self.means.get(name, 0.0) for name in names], matrix)
        return np.asarray(matrix @ weights + self.bias)


@dataclass(frozen=True, slots=True)
class Profile:
    """The model of one language: sentence scores, confidence in 0..1, and the threshold of refusal."""

    sentence: Linear
    confidence: Linear
    threshold: float
    curve: list[dict[str, float]] = field(default_factory=list)

    def sure(self, names: Sequence[str], row: Sequence[float]) -> float:
        """The calibrated probability (0..1) that the documents answer the question."""
        return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, float(self.confidence.score(names, [row])[0])))))


Calibration = dict[str, dict[str, Profile]]


def parse(content: Mapping[str, Any]) -> Calibration:
    """Language -> profile name -> Profile; RagError when a number is missing."""
    try:
        return {
            language: {
                name: Profile(
                    Linear(p["sentence"]),
                    Linear(p["confidence"]["weights"], p["confidence"]["bias"], p["confidence"]["means"]),
                    p["threshold"],
                    p.get("curve", []),
                )
                for name, p in profiles.items()
            }
            for language, profiles in content["languages"].items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise RagError(f"The calibration file lacks {error}: make it again with python -m rag calibrate.") from None


@lru_cache(maxsize=1)
def bundled() -> Calibration:
    """The calibration that comes with the package."""
    return parse(json.loads((resources.files("rag") / "calibration.json").read_text(encoding="utf-8")))


def load(path: Path | None = None) -> Calibration:
    """A calibration file, or the bundled one."""
    if path is None:
        return bundled()
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise RagError(f"The calibration file {path} cannot be read ({error}).") from None


def profile(calibration: Calibration, language: str, with_reader: bool) -> Profile:
    """The profile for a language; without one of its own a language takes English, a reader falls to plain."""
    profiles = calibration.get(language) or calibration["en"]
    return profiles["reader"] if with_reader and "reader" in profiles else profiles["plain"]
