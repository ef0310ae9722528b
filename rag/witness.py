"""A second opinion on whether a sentence answers a question, from a model that has seen neither our training questions
nor our sense of a match: all-MiniLM-L6-v2, by late interaction (ColBERT's MaxSim, Khattab and Zaharia, 2020).

The confidence is fitted on questions that the bundled encoder and reader learned from, so their scores promise more
there than elsewhere. On squad-en-dev the best sentence's MaxSim alone tells unanswerable questions (SQuAD 2.0's) from
others with AUROC .674, where the fit without it had .571, and questions without their paragraph with .830 (.822).
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ingest.bilingual.model import BilingualModel
from ingest.encoder_files import BUNDLED_FOLDER
from ingest.fold import language
from ingest.minilm import MiniLM
from ingest.types import IngestError

log = logging.getLogger("openbook.rag")
SENTENCES = 8  # read for a question, by the calibrated order; about 15 ms of one core when none was read before
KEPT = 4096  # sentences remembered: 20 kB each


class Testimony(NamedTuple):
    """``likeness``: the best sentence's MaxSim, each word-piece of the question weighted by rarity, at most 1;
    ``least``: of the question's word-pieces, the cosine of the one that sentence answers worst; ``cosine``: the best
    cosine of a whole sentence."""

    likeness: float
    least: float
    cosine: float


class Witness:
    """Loads MiniLM at the first English question; without it, and for Chinese, there is no testimony. Safe between
    threads."""

    def __init__(self, model: MiniLM | None = None, rarity: np.ndarray | None = None) -> None:
        self._model, self._rarity = model, rarity
        self._gone = False
        self._known: OrderedDict[str, tuple[np.ndarray, np.ndarray]] = OrderedDict()
        self._lock = threading.Lock()

    def hear(self, question: str, sentences: Sequence[tuple[str, str]]) -> Testimony | None:
        """What is to be said of the best of ``sentences``, of which there should be few; None when nothing is.

        Each comes with what stands above it: a word of the question that the title names is not missing.
        """
        english = [pair for pair in dict.fromkeys(sentences) if language(pair[0]) == "en"]
        if not english or language(question) != "en" or self._gone:
            return None
        with self._lock:
            try:
                return self._hear(question, english)
            except (IngestError, OSError) as error:
                log.warning("Answers are judged without a second opinion: %s", error)
                self._gone = True
                return None

    def _hear(self, question: str, sentences: list[tuple[str, str]]) -> Testimony | None:
        if self._model is None:
            self._model = MiniLM()
        if self._rarity is None:
            self._rarity = BilingualModel.load(BUNDLED_FOLDER).rarity  # of the same word-pieces
        texts = dict.fromkeys(text for pair in sentences for text in pair if text)
        missing = [text for text in texts if text not in self._known]
        (asked, pieces, whole), *found = self._model.states([question, *missing])
        for text, (states, _, mean) in zip(missing, found, strict=True):
            self._known[text] = states.astype(np.float16), mean
        weights = self._rarity[pieces]
        if not len(weights) or weights.sum() <= 0:
            return None
        weights = weights / weights.sum()
        best = Testimony(-1.0, -1.0, -1.0)
        for text, above in sentences:
            states, mean = self._known[text]
            cosine = max(best.cosine, float(whole @ mean))
            if len(states):
                nearest = (asked @ states.T.astype(np.float32)).max(axis=1)
                if above:
                    title = self._known[above][0].astype(np.float32)
                    nearest = np.maximum(nearest, (asked @ title.T).max(axis=1, initial=-1.0))
                likeness = float(weights @ nearest)
                if likeness > best.likeness:
                    best = Testimony(likeness, float(nearest.min()), cosine)
            best = best._replace(cosine=cosine)
        for text in texts:
            self._known.move_to_end(text)
        while len(self._known) > KEPT:
            self._known.popitem(last=False)
        return best if best.likeness > -1.0 else None
