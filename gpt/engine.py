"""From a prompt's ids to a stream of steps: the prompt is read once, then each short pass makes a token or several.

The engine adds to the model what a conversation needs: a key/value cache and a memory of prompts' beginnings
(``gpt/decoding/prefix.py``), drafts (``lookup.py``), batches (``batch.py``), sampling, constraints, whole characters,
stop strings and seeds (``steps.py``), cancellation and the limit of the context. It knows the model and the tokenizer
only by ``gpt/interfaces.py``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from gpt.decoding.batch import Row, write_rows
from gpt.decoding.lookup import Lookup
from gpt.decoding.prefix import PrefixPool
from gpt.decoding.steps import Constraint, Generation, Stats, Step, Writer, is_set
from gpt.decoding.stream import TextStream
from gpt.grounding import prompt_kinds
from gpt.interfaces import Cache, Decoder, TextTokenizer, forward_only
from gpt.load import load_model
from gpt.model import GPT
from gpt.sampling import SamplingParams
from gpt.tokenizer import Tokenizer

# Tokens of a prompt that are read in one pass, between two looks at `cancel`, and the unit of what is remembered. 512
# tokens of GPT-2 take 328 ms in bf16 in blocks of 64, 265 of 128, 237 of 256 and 276 at once; with 8-bit weights 306,
# 278, 254 and 256.
BLOCK = 256
KEEP_BYTES = 512 << 20  # of prompts' beginnings, all together


class Engine:
    """A model with its tokenizer. Several threads may generate at once: each call has its own cache.

    The model's weights must stay as they are while ``prefixes`` remembers what was computed with them.
    """

    def __init__(
        self, model: Decoder, tokenizer: TextTokenizer, *, block: int = BLOCK, keep_bytes: int = KEEP_BYTES
    ) -> None:
        if tokenizer.vocab_size > model.config.vocab_size:  # embeddings may be padded beyond the vocabulary
            raise ValueError(
                f"the tokenizer has {tokenizer.vocab_size} tokens and the model {model.config.vocab_size}"
            )
        if isinstance(model, torch.nn.Module):
            model.eval()
        self.model, self.tokenizer = model, tokenizer
        self.end_ids = tokenizer.end_ids
        self.block, self.prefixes = block, PrefixPool(block, keep_bytes)
        # Specials that say how to read a prompt are our own tokenizer's; other models read from left to right.
        self._grounded = tokenizer if isinstance(tokenizer, Tokenizer) else None

    @classmethod
    def load(
        cls,
        name: str | Path = "bundled",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        weights: str = "auto",
    ) -> Engine:
        """An engine of "bundled", a model folder or a hub id; arguments and ValueError as :func:`load_model`'s."""
        return cls(*load_model(name, device=device, dtype=dtype, weights=weights))

    @property
    def device(self) -> torch.device:
        return self.model.device

    def own(self) -> tuple[GPT, Tokenizer]:
        """Our model and tokenizer: reading needs their special tokens and copy head. ValueError for others."""
        if not isinstance(self.model, GPT) or not isinstance(self.tokenizer, Tokenizer):
            raise ValueError("this model was not tuned to read passages; it can only continue text")
        return self.model, self.tokenizer

    def prompt(self, text: str) -> list[int]:
        """The ids of a text to be continued; ValueError for half a surrogate pair, which is no character."""
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError(f"the prompt is not valid text at character {error.start}") from None
        return self.tokenizer.prompt(text)

    @torch.inference_mode()
    def logits(self, ids: Sequence[int], *, prefix: bool | None = None) -> Tensor:
        """The scores (V,), float32, of every token as the next one after `ids`."""
        prompt = self.checked(ids)
        both = self.reads_both_ways(prompt) if prefix is None else prefix
        return self.read(prompt, None, both)[0]

    def generate(
        self,
        ids: Sequence[int],
        *,
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        repetition_penalty: float = 1.0,
        seed: int | None = None,
        stop: Sequence[str] = (),
        allowed: Constraint | None = None,
        cancel: threading.Event | None = None,
        prefix: bool | None = None,
        lookup: bool = True,
        logprobs: int = 0,
    ) -> Generation:
        """Continue `ids`, one :class:`Step` per token, as each becomes known.

        `allowed`   limits every token; it is reset first, and the end is then its alone to decide.
        `cancel`    when set, the stream ends before the next token or block of the prompt, without a last step.
        `prefix`    whether the prompt is read in both directions. None: as the model was tuned, which is so
                    for a prefix-LM whose prompt ends with <answer>.
        `lookup`    drafts from the prompt, which change how fast the steps come and not what they are.
        `logprobs`  how many of the most probable tokens each step names.
        The same prompt, settings and seed give the same steps; without a seed each call draws anew.
        ValueError, before anything is generated, for settings out of range, an empty prompt, an id outside
        the vocabulary, and a prompt longer than the context.
        """
        params = SamplingParams(temperature, top_k, top_p, seed, min_p, repetition_penalty)
        prompt = self.checked(ids)
        writer = self._writer(prompt, params, max_new_tokens, stop, allowed, logprobs, len(prompt))
        both = self.reads_both_ways(prompt) if prefix is None else prefix
        drafts = Lookup(prompt, allowed) if lookup and not forward_only(self.model) else None
        stats = Stats(prompt=len(prompt))
        return Generation(self._steps(prompt, writer, both, drafts, cancel, stats), stats)

    def generate_batch(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        repetition_penalty: float = 1.0,
        seeds: Sequence[int | None] | None = None,
        stop: Sequence[str] = (),
        allowed: Sequence[Constraint | None] | None = None,
        cancel: threading.Event | None = None,
        prefix: bool | None = None,
        logprobs: int = 0,
    ) -> Iterator[tuple[int, Step]]:
        """Continue several prompts at once: (number of the prompt, its next step), as :meth:`generate` would have made
        it. `seeds` and `allowed` have one entry for each prompt. All share the longest prompt's room in the context.
        """
        checked = [self.checked(ids) for ids in prompts]
        for name, given in (("seeds", seeds), ("allowed", allowed)):
            if given is not None and len(given) != len(checked):
                raise ValueError(f"{name} has {len(given)} entries and there are {len(checked)} prompts; give one each")
        longest = max(map(len, checked), default=0)
        rows = []
        for number, prompt in enumerate(checked):
            seed = None if seeds is None else seeds[number]
            params = SamplingParams(temperature, top_k, top_p, seed, min_p, repetition_penalty)
            limit = None if allowed is None else allowed[number]
            writer = self._writer(prompt, params, max_new_tokens, stop, limit, logprobs, longest)
            both = self.reads_both_ways(prompt) if prefix is None else prefix
            rows.append(Row(number, prompt, writer, self._kinds(prompt) if both else None, both))
        if forward_only(self.model):
            return (
                (row.number, step)
                for row in rows
                for step in self._steps(row.prompt, row.writer, row.both, None, cancel, Stats())
            )
        return write_rows(self.model, rows, self.block, cancel)

    def _writer(
        self,
        prompt: list[int],
        params: SamplingParams,
        max_new_tokens: int,
        stop: Sequence[str],
        allowed: Constraint | None,
        logprobs: int,
        longest: int,
    ) -> Writer:
        return Writer(
            self.tokenizer,
            self.end_ids,
            prompt,
            params,
            TextStream(stop),
            vocab_size=self.model.config.vocab_size,
            max_new_tokens=max_new_tokens,
            # The last token drawn is never read back, so a full context still leaves room for one.
            room=self.model.config.context - longest + 1,
            allowed=allowed,
            logprobs=logprobs,
        )

    def _steps(
        self,
        prompt: list[int],
        writer: Writer,
        both: bool,
        drafts: Lookup | None,
        cancel: threading.Event | None,
        stats: Stats,
    ) -> Iterator[Step]:
        if is_set(cancel):
            return
        capacity = len(prompt) + writer.left - 1
        keeps = not both and not forward_only(self.model)
        cache = self.prefixes.get(prompt, capacity) if keeps else None
        if cache is None:
            cache = self.model.new_cache(1, capacity)
        stats.reused = cache.length
        try:
            logits = self.read(prompt, cache, True) if both else self._blocks(prompt, cache, cancel)
            draft: list[int] = []
            while logits is not None:
                stats.passes += 1
                accepted = 0
                for row in logits:
                    if is_set(cancel):
                        return
                    step = writer.take(row)
                    if drafts is not None:
                        drafts.add(step.id)
                    stats.accepted += accepted < len(draft) and draft[accepted] == step.id
                    yield step
                    if step.finish is not None:
                        return
                    if accepted == len(draft) or draft[accepted] != step.id:
                        break
                    accepted += 1
                if draft:
                    cache.rollback(cache.length - len(draft) + accepted)
                if drafts is not None:
                    drafts.learn(len(draft), accepted)
                    draft = drafts.propose(writer.left - 1)
                    stats.drafted += len(draft)
                logits = self._next([step.id, *draft], cache)
        finally:
            if keeps:
                self.prefixes.put(prompt, cache)

    @torch.inference_mode()
    def _blocks(self, prompt: list[int], cache: Cache, cancel: threading.Event | None) -> Tensor | None:
        """Logits (1, V) after a causal prompt, of which the cache holds whole blocks; None when cancelled."""
        hidden = None
        while cache.length < len(prompt):
            if is_set(cancel):
                return None
            start = cache.length
            hidden = self.model(torch.tensor([prompt[start : start + self.block]], device=self.device), cache=cache)
        assert hidden is not None
        return self.model.unembed(hidden[0, -1:])

    @torch.inference_mode()
    def read(self, prompt: list[int], cache: Cache | None, both: bool) -> Tensor:
        """Logits (1, V) after a prompt of which the cache may hold a beginning: one pass, in both directions or one."""
        start, kinds = 0 if cache is None else cache.length, self._kinds(prompt) if both else None
        mask = torch.ones(len(prompt), len(prompt), dtype=torch.bool, device=self.device) if both else None
        marked = None if kinds is None else torch.tensor([kinds], device=self.device)
        ids = torch.tensor([prompt[start:]], device=self.device)
        return self.model.unembed(self.model(ids, cache=cache, mask=mask, kinds=marked)[0, -1:])

    @torch.inference_mode()
    def _next(self, tokens: list[int], cache: Cache) -> Tensor:
        """Logits (T, V) after each of the next tokens."""
        return self.model.unembed(self.model(torch.tensor([tokens], device=self.device), cache=cache)[0])

    def reads_both_ways(self, prompt: list[int]) -> bool:
        """Whether the model was tuned to see all of this prompt from each of its tokens."""
        return self.model.config.prefix_lm and self._grounded is not None and prompt[-1] == self._grounded.answer

    def _kinds(self, prompt: list[int]) -> list[int] | None:
        """The kinds of a grounded prompt's tokens."""
        t = self._grounded
        return None if t is None or prompt[-1] != t.answer or t.passage not in prompt else prompt_kinds(t, prompt)

    def checked(self, ids: Sequence[int]) -> list[int]:
        """The ids of a prompt; ValueError when it is empty or too long, or holds an id outside the vocabulary."""
        prompt = [int(token) for token in ids]
        config = self.model.config
        if not prompt:
            raise ValueError("the prompt is empty; give at least one token")
        if len(prompt) > config.context:
            raise ValueError(
                f"the prompt has {len(prompt):,} tokens and the model's context is {config.context:,};"
                " shorten the question or give fewer or shorter passages"
            )
        foreign = next((token for token in prompt if not 0 <= token < config.vocab_size), None)
        if foreign is not None:
            raise ValueError(f"no token has the id {foreign}; the vocabulary has {config.vocab_size:,}")
        return prompt
