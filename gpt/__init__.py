"""The generator: a GPT decoder that can be read, trained and watched, from token ids to token ids."""

from gpt.config import GPTConfig
from gpt.decoding.steps import Step
from gpt.engine import Engine
from gpt.model import GPT
from gpt.reader import Cancelled, Reader, Reading, Span
from gpt.sampling import SamplingParams
from gpt.tokenizer import Tokenizer

__all__ = [
    "GPT",
    "Cancelled",
    "Engine",
    "GPTConfig",
    "Reader",
    "Reading",
    "SamplingParams",
    "Span",
    "Step",
    "Tokenizer",
]
