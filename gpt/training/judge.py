"""The exact log-probability that a reader gives to the right answer of each of many reading rows."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gpt.attention import prefix_mask
from gpt.grounding import start_logprobs
from gpt.model import GPT
from gpt.tokenizer import Tokenizer
from gpt.training.examples import IGNORE, Row, micro_batches

POSITIONS = 4096  # padded tokens in one pass


@torch.inference_mode()
def answer_logprobs(model: GPT, tokenizer: Tokenizer, rows: Sequence[Row]) -> list[float]:
    """log p(start) + log p(<more>) + … + log p(<end>) of each row's answer, in nats; log p(<none>) where it has none.

    The same probabilities as :class:`gpt.reader.Reader` chooses by, whatever form the model's matrices are kept in.
    """
    found: dict[int, float] = {}
    order = sorted(range(len(rows)), key=lambda i: len(rows[i].ids))
    at = 0
    # micro_batches keeps rows of equal length in the order given, so answers come back in the order of `order`.
    for batch in micro_batches([rows[i] for i in order], tokenizer.pad, POSITIONS, str(model.device)):
        ids, stops = batch.ids, batch.stops  # type: ignore[union-attr]
        width = ids.shape[1]
        hidden = model(ids, mask=prefix_mask(batch.prefixes, width), kinds=batch.kinds)  # type: ignore[union-attr]
        start = start_logprobs(model, tokenizer, hidden, batch.prefixes, batch.kinds)  # type: ignore[union-attr]
        chosen = torch.where(batch.starts >= 0, batch.starts, width)  # type: ignore[union-attr]
        total = start.gather(1, chosen[:, None])[:, 0]
        going = model.unembed(hidden, [tokenizer.more, tokenizer.end]).float().log_softmax(-1)  # (B, T, 2)
        said = going.gather(2, stops.clamp_min(0)[..., None])[..., 0]
        total = total + said.masked_fill(stops == IGNORE, 0.0).sum(1)
        for value in total.tolist():
            found[order[at]] = value
            at += 1
    return [found[i] for i in range(len(rows))]
