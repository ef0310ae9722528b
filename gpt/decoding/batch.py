"""Several prompts at once: each pass reads one token of every answer that is not finished yet.

Prompts of unequal length are padded at the left, so that all rows' next tokens take the same slot of the cache; a mask
hides the padding and positions count from each prompt's first token, which makes a row the same computation as alone.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gpt.decoding.steps import Step, Writer, is_set
from gpt.interfaces import Decoder


@dataclass(slots=True)
class Row:
    """A prompt and the answer that is being written: `both` when the prompt is read in both directions, `kinds` of its
    tokens where it is a reading prompt."""

    number: int
    prompt: list[int]
    writer: Writer
    kinds: list[int] | None
    both: bool


def write_rows(
    model: Decoder, rows: list[Row], block: int, cancel: threading.Event | None
) -> Iterator[tuple[int, Step]]:
    """(number, step) of every row, pass by pass, until all have finished or `cancel` is set."""
    if not rows or is_set(cancel):
        return
    width, device = max(len(row.prompt) for row in rows), model.device
    capacity = width + max(row.writer.left for row in rows) - 1
    cache = model.new_cache(len(rows), capacity)
    pads = torch.tensor([width - len(row.prompt) for row in rows])
    ids, kinds, mask = _padded(rows, width)
    # What is read in both directions has to be read at once.
    step_size = width if any(row.both for row in rows) else block
    hidden = None
    for start in range(0, width, step_size):
        if is_set(cancel):
            return
        part = slice(start, start + step_size)
        hidden = _forward(model, ids[:, part], cache, mask[:, :, part], pads, start, kinds[:, part])
    assert hidden is not None
    live = list(rows)
    while True:
        tokens, kept = [], []
        logits = _unembed(model, hidden[:, -1])
        for place, row in enumerate(live):
            if is_set(cancel):
                return
            step = row.writer.take(logits[place])
            yield row.number, step
            if step.finish is None:
                tokens.append([step.id])
                kept.append(place)
        if not kept:
            return
        if len(kept) < len(live):
            # Finished rows leave: their keys and values would be read again at every pass.
            index = torch.tensor(kept)
            cache, pads = cache.copy(cache.length, capacity, index.to(device)), pads[index]
            live = [live[place] for place in kept]
        at = cache.length
        keys = torch.arange(at + 1)
        sees = None if not pads.any() else (keys >= pads[:, None])[:, None, None]
        hidden = _forward(model, torch.tensor(tokens), cache, sees, pads, at, None)


def _padded(rows: list[Row], width: int) -> tuple[Tensor, Tensor, Tensor]:
    """ids and kinds (B, W), padded at the left, and the mask (B, 1, W, W) of reading them."""
    ids, kinds = torch.zeros(len(rows), width, dtype=torch.long), torch.zeros(len(rows), width, dtype=torch.long)
    # Padding sees itself: an empty softmax would be NaN, and NaN times a weight of zero is NaN too.
    mask = torch.eye(width, dtype=torch.bool).repeat(len(rows), 1, 1, 1)
    for place, row in enumerate(rows):
        size = len(row.prompt)
        ids[place, width - size :] = torch.tensor(row.prompt)
        if row.kinds is not None:
            kinds[place, width - size :] = torch.tensor(row.kinds)
        sees = torch.ones(size, size, dtype=torch.bool)
        mask[place, 0, width - size :, width - size :] = sees if row.both else sees.tril()
    return ids, kinds, mask


@torch.inference_mode()
def _forward(
    model: Decoder, ids: Tensor, cache: object, mask: Tensor | None, pads: Tensor, start: int, kinds: Tensor | None
) -> Tensor:
    """Hidden states of ids (B, T), which take the slots from `start` on; `mask` ends with the last of them."""
    device, end = model.device, start + ids.shape[1]
    positions = (torch.arange(start, end) - pads[:, None]).clamp(min=0).to(device)
    return model(
        ids.to(device),
        cache=cache,
        mask=None if mask is None else mask[..., :end].to(device),
        positions=positions,
        kinds=kinds.to(device) if kinds is not None and bool(kinds.any()) else None,
    )


@torch.inference_mode()
def _unembed(model: Decoder, hidden: Tensor) -> Tensor:
    return model.unembed(hidden)
