"""All strategies by name, the simplest first."""

from __future__ import annotations

from rag.strategies.consistency import SelfConsistency
from rag.strategies.decompose import Decompose
from rag.strategies.plain import ChainOfThought, Direct, FewShot
from rag.strategies.tree import TreeOfThoughts
from rag.strategies.work import Strategy

STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (Direct(), FewShot(), ChainOfThought(), SelfConsistency(), TreeOfThoughts(), Decompose())
}
