"""Which English terms translate a run of Chinese characters: IBM's Model 1 (Brown et al., 1993), learned by EM.

A Chinese sentence is all its runs of one to four characters, without segmentation: the run that is a word explains its
translation best, and takes the probability from its parts. The English side is the stemmed terms of the lexical index,
each explained by exactly one run; there is no empty word, because frequent terms are left out instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ingest.bilingual.dictionary import LONGEST, Dictionary
from ingest.bilingual.table import HAN
from ingest.bilingual.training.parallel import NAME, Pair
from ingest.fold import fold, terms

ROUNDS = 6  # of EM
LONGEST_ENGLISH, LONGEST_CHINESE = 350, 120  # characters of a pair: in longer ones everything meets everything
DOUBT = 0.5  # added to a run's count: what was seen once is at most two thirds sure
LINKS = 4_000_000  # (run, term) pairs handled at once, 32 MB an array

LEAST = 0.15  # probability of a run's best translation; below, it is a part of something
LEAST_SINGLE = 0.3  # the same for one character, which is nearly always a part
KEPT, SHARE, FLOOR = 6, 0.15, 0.08  # translations kept: how many, as a share of the best, and at least
RARE = 8  # a run seen at most so often goes when its parts translate it, as sure as below
PART, BEST_PART = 0.4, 0.5

_COMMON = frozenset(
    terms(
        "the a an of to in is are was were be been and or for on at by with from as that this it its he she they we "
        "you i his her their not have has had do does did will would can could should may if but so than then there "
        "here which who whom what when where how why me my your our us him them no up out about into over am just very "
        "all any some"
    )
)
# What a question asks with: it names nothing, and its translations are in every text.
ASKING = (
    "什么 谁 哪 哪里 哪些 哪个 哪位 哪一 哪种 怎么 怎样 如何 为什么 为何 多少 几 几个 何 何时 时候 吗 呢 "
    "什么时候 哪一个 是什么 是谁 的是 是否 可以 以及 或 或者 因为 所以 如果 其 该 此 某 哪儿 啥 "
    "的 了 是 有 在 和 与 为 中 被 一个 这个 那个 个 们 它 他 她 它们 他们 她们 这 那 这些 那些 之 于 以 由 对 "
    "从 到 把 将 来 去 着 过 也 都 就 还 而 并 但"
).split()


@dataclass(frozen=True, slots=True)
class Learned:
    """``found[run]``: its best terms with their probabilities, best first; ``counts[run]``: sentences with the run."""

    found: dict[str, list[tuple[str, float]]]
    counts: Counter[str]


def make_dictionary(pairs: Sequence[Pair]) -> Dictionary:
    """Learn from ``pairs`` and keep what is sure; ValueError when they have no words in common use."""
    learned = learn(pairs)
    if not learned.found:
        raise ValueError("The parallel texts hold no sentence pair that is short enough to learn translations from.")
    return Dictionary.of(pruned(learned) | {run: [] for run in ASKING})


def learn(pairs: Sequence[Pair]) -> Learned:
    """Translation probabilities of all runs that are frequent enough, by EM from equal ones."""
    rows = [row for pair in pairs for row in _row(pair)]
    counts = Counter(run for runs, _, _ in rows for run in runs)
    # Two sentences that share a run tell which word it means; a name in brackets is nearly a translation itself.
    numbers = {run: 0 for run, count in counts.items() if count > 2 or (len(run) > 1 and count == 2)}
    numbers |= {run: 0 for runs, _, kind in rows if kind == NAME for run in runs if len(run) > 1}
    numbers = {run: number for number, run in enumerate(numbers)}
    words = {word: number for number, word in enumerate(dict.fromkeys(word for _, found, _ in rows for word in found))}
    sides = [
        ([numbers[run] for run in runs if run in numbers], [words[word] for word in found]) for runs, found, _ in rows
    ]
    del rows
    kinds, chances = _expectation([(np.array(a), np.array(b)) for a, b in sides if a], len(numbers), len(words))
    return Learned(_best(kinds, chances, list(numbers), list(words)), counts)


def _row(pair: Pair) -> Iterator[tuple[list[str], list[str], str]]:
    """(runs, terms, kind), each distinct; nothing for a pair that is too long or has none."""
    if len(pair.english) > LONGEST_ENGLISH or len(pair.chinese) > LONGEST_CHINESE:
        return
    found = [t for t in dict.fromkeys(terms(pair.english)) if len(t) > 1 and t.isascii() and t.isalpha()]
    found = [term for term in found if term not in _COMMON]
    runs: dict[str, None] = {}
    for run in HAN.findall(fold(pair.chinese)):
        for length in range(1, LONGEST + 1):
            runs |= dict.fromkeys(run[at : at + length] for at in range(len(run) - length + 1))
    if found and runs:
        yield list(runs), found, pair.kind


def _expectation(
    sides: Sequence[tuple[np.ndarray, np.ndarray]], runs: int, words: int
) -> tuple[np.ndarray, np.ndarray]:
    """EM: the distinct links (run * words + term, ascending) and p(term | run) of each."""
    parts = [(*_distinct(links), sizes) for links, sizes in _blocks(sides, words)]
    merged = np.sort(np.concatenate([np.empty(0, dtype=np.int64), *(found for found, _, _ in parts)]))
    kinds = merged[np.diff(merged, prepend=-1) > 0]  # np.unique hashes: ten seconds for six million links, against one
    del merged
    # Only what is distinct in a block is looked up, and in order: neighbours are found near each other.
    blocks = [(np.searchsorted(kinds, found)[back].astype(np.int32), sizes) for found, back, sizes in parts]
    del parts
    of_run = (kinds // max(words, 1)).astype(np.int32)
    chances = np.ones(len(kinds))
    for _ in range(ROUNDS):
        counts = np.zeros(len(kinds))
        for links, sizes in blocks:  # each term of a sentence is shared among the sentence's runs
            shares = chances[links]
            totals = np.add.reduceat(shares, np.cumsum(sizes) - sizes)
            np.add.at(counts, links, shares / np.repeat(totals, sizes))
        chances = counts / (np.bincount(of_run, counts, minlength=runs)[of_run] + DOUBT)
    return kinds, chances


def _distinct(links: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different ``links``, ascending, and the place of each link among them."""
    found, back = np.unique(links, return_inverse=True)
    return found, back.astype(np.int32)


def _blocks(sides: Sequence[tuple[np.ndarray, np.ndarray]], words: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All links, about LINKS at once: for each term of a sentence its links to every run, and how many those are."""
    links: list[np.ndarray] = []
    sizes: list[np.ndarray] = []
    total = 0
    for runs, found in sides:
        links.append((runs[None, :].astype(np.int64) * words + found[:, None]).ravel())
        sizes.append(np.full(len(found), len(runs)))
        total += links[-1].size
        if total > LINKS:
            yield np.concatenate(links), np.concatenate(sizes)
            links, sizes, total = [], [], 0
    if links:
        yield np.concatenate(links), np.concatenate(sizes)


def _best(
    kinds: np.ndarray, chances: np.ndarray, runs: Sequence[str], words: Sequence[str]
) -> dict[str, list[tuple[str, float]]]:
    """The KEPT best terms of each run that are above FLOOR."""
    sure = np.flatnonzero(chances >= FLOOR)
    if not sure.size:
        return {}
    kinds, chances = kinds[sure], chances[sure]
    of_run, of_word = kinds // len(words), kinds % len(words)
    order = np.lexsort((-chances, of_run))
    found: dict[str, list[tuple[str, float]]] = {}
    for place in order.tolist():
        mine = found.setdefault(runs[of_run[place]], [])
        if len(mine) < KEPT:
            mine.append((words[of_word[place]], float(chances[place])))
    return found


def pruned(learned: Learned) -> dict[str, list[tuple[str, float]]]:
    """Without runs that are unsure, translations far behind the best, and rare runs that their parts translate."""
    kept: dict[str, list[tuple[str, float]]] = {}
    for run, found in learned.found.items():
        top = found[0][1]
        if top >= (LEAST if len(run) > 1 else LEAST_SINGLE):
            kept[run] = [(word, chance) for word, chance in found if chance >= SHARE * top]
    for run in sorted(kept, key=len, reverse=True):  # parts are still there when the whole is looked at
        if len(run) > 2 and learned.counts[run] <= RARE and _composed(run, kept):
            del kept[run]
    return kept


def _composed(run: str, kept: Mapping[str, list[tuple[str, float]]]) -> bool:
    """Whether two parts of ``run`` together have its two best translations, and are sure of themselves."""
    wanted = {word for word, _ in kept[run][:2]}
    for at in range(1, len(run)):
        first, second = run[:at], run[at:]
        parts = [kept.get(first, []), kept.get(second, [])]
        chances = [part[0][1] if part else 0.0 for part in parts]
        # A single character beside a known word is an ending (市, 人): nothing is asked of it.
        sure = [chance if len(part) > 1 else 1.0 for part, chance in zip((first, second), chances, strict=True)]
        if wanted <= {word for part in parts for word, _ in part} and max(chances) >= BEST_PART and min(sure) >= PART:
            return True
    return False
