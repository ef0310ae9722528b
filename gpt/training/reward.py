"""The third stage: tuning by a reward that can be checked, the F1 of the answer given or a right refusal.

The loss of tuning asks for one exact span; people ask for an answer that is right. A span's probability is known
exactly (copy head, then <more> or <end>), so the expected reward over the likely spans can be written down and its
gradient taken, without drawing samples and without a baseline: the policy gradient of Williams (1992, REINFORCE) in
the expectation, as in minimum risk training (Shen et al. 2016), with F1 as the reward of reading (Xiong et al. 2018,
DCN+) and a share of the supervised loss that keeps the model near what it has learned (the same paper).
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gpt.grounding import PASSAGE, start_logprobs
from gpt.tokenizer import Tokenizer
from gpt.training.examples import IGNORE, Prosaic, Readings
from gpt.training.losses import Counts, Scorer, Supervised

RUN = 16  # tokens of the longest answer that is weighed; 97 % of the answers in the training sets are shorter
UNIT = re.compile(r"[\u3400-\u9fff]|[^\W_\u3400-\u9fff]+")
ARTICLES = frozenset(("a", "an", "the"))


def units(text: str) -> Counter[str]:
    """What F1 counts: words without case, articles and punctuation (SQuAD), and single Han characters (CMRC)."""
    return Counter(unit for unit in UNIT.findall(text.lower()) if unit not in ARTICLES)


def f1(answer: Counter[str], right: Counter[str]) -> float:
    """Harmonic mean of the precision and the recall of the answer's units, 0 to 1; 1 where both are empty."""
    if not answer or not right:
        return float(answer == right)
    return 2 * (answer & right).total() / (answer.total() + right.total())


@dataclass(frozen=True, slots=True)
class Weighed:
    """Likely answers of B questions: K starts with up to ``RUN`` ends each.

    ``logprobs`` (B, K, RUN) are exact, -inf where a span would leave its passage; ``rewards`` are theirs; ``none``
    (B,) is the log-probability of a refusal and ``refusals`` its reward. ``start`` (B,) and ``stop`` (), are the
    supervised losses of the same pass.
    """

    logprobs: Tensor
    rewards: Tensor
    none: Tensor
    refusals: Tensor
    start: Tensor
    stop: Tensor

    def expected(self) -> Tensor:
        """Expected reward (B,); an answer that was not weighed counts as wrong."""
        return (self.logprobs.exp() * self.rewards).sum((1, 2)) + self.none.exp() * self.refusals

    def best(self) -> Tensor:
        """Reward (B,) of the most probable answer or refusal."""
        scores = torch.cat((self.logprobs.flatten(1), self.none[:, None]), 1)
        rewards = torch.cat((self.rewards.flatten(1), self.refusals[:, None]), 1)
        return rewards.gather(1, scores.argmax(1, keepdim=True))[:, 0]


def weigh(scorer: Scorer, tokenizer: Tokenizer, batch: Readings, starts: int) -> Weighed:
    """Score the spans from the ``starts`` most probable places and from the right one, all in one pass: what follows
    each place stands behind the prompt as a branch that sees the prompt and itself (as ``gpt/reader.py`` reads)."""
    chosen = _shortlist(scorer, tokenizer, batch, starts)  # (B, K), the right start first
    B, K = chosen.shape
    device, prompt = batch.ids.device, int(batch.prefixes.max())
    place = torch.arange(RUN, device=device)
    source = chosen[:, :, None] + place  # (B, K, RUN), places in the prompt
    inside = source < batch.prefixes[:, None, None] - 1
    runs = batch.ids.gather(1, source.clamp(max=prompt - 1).flatten(1)).masked_fill(~inside.flatten(1), tokenizer.pad)
    within = torch.arange(prompt, device=device) < batch.prefixes[:, None]  # (B, P)
    ids = torch.cat((batch.ids[:, :prompt].masked_fill(~within, tokenizer.pad), runs), 1)
    kinds = torch.cat((batch.kinds[:, :prompt], torch.zeros_like(runs)), 1)
    behind = (batch.prefixes[:, None] + place.repeat(K)).clamp(max=scorer.model.config.context - 1)
    positions = torch.cat((torch.arange(prompt, device=device).expand(B, -1), behind), 1)
    hidden = scorer.hidden(ids, _tree_mask(within, K), kinds, positions)
    first = start_logprobs(scorer, tokenizer, hidden, batch.prefixes, kinds)  # (B, P + K·RUN + 1)
    going = scorer.unembed(hidden[:, prompt:], [tokenizer.more, tokenizer.end]).log_softmax(-1).view(B, K, RUN, 2)
    more = F.pad(going[..., :-1, 0], (1, 0)).cumsum(-1)
    logprobs = first.gather(1, chosen)[:, :, None] + more + going[..., 1]
    answered = batch.starts >= 0
    right = torch.where(answered, batch.starts, first.shape[1] - 1)
    return Weighed(
        logprobs.masked_fill(~inside, float("-inf")),
        _rewards(tokenizer, batch, source, inside).to(device),
        first[:, -1],
        (~answered).float(),
        -first.gather(1, right[:, None])[:, 0],
        _stop_loss(going[:, 0], batch),
    )


@torch.no_grad()
def _shortlist(scorer: Scorer, tokenizer: Tokenizer, batch: Readings, starts: int) -> Tensor:
    mask = (torch.arange(batch.ids.shape[1], device=batch.ids.device) < batch.prefixes[:, None])[:, None, None]
    hidden = scorer.hidden(batch.ids, mask.expand(-1, 1, batch.ids.shape[1], -1), batch.kinds)
    scores = start_logprobs(scorer, tokenizer, hidden, batch.prefixes, batch.kinds)[:, :-1]
    scores[torch.arange(len(scores)), batch.starts.clamp(min=0)] = float("inf")
    scores.masked_fill_(batch.kinds < PASSAGE, float("-inf"))
    count = min(starts, int((batch.kinds >= PASSAGE).sum(1).min()))
    return scores.topk(max(1, count), dim=1).indices


def _tree_mask(within: Tensor, branches: int) -> Tensor:
    """(B, 1, T, T) for prompts ``within`` (B, P) and their branches: everyone sees the prompt, a branch itself too."""
    B, P = within.shape
    T = P + branches * RUN
    mask = torch.zeros(B, 1, T, T, dtype=torch.bool, device=within.device)
    mask[..., :P] = within[:, None, None]
    own = torch.ones(RUN, RUN, dtype=torch.bool, device=within.device).tril()
    mask[..., P:, P:] = torch.block_diag(*[own] * branches).bool()
    return mask


def _rewards(tokenizer: Tokenizer, batch: Readings, source: Tensor, inside: Tensor) -> Tensor:
    """F1 (B, K, RUN) of every span with the right answer; 0 for any answer to a question that has none."""
    rewards = torch.zeros(source.shape)
    rows = zip(batch.ids.tolist(), batch.starts.tolist(), (batch.stops != IGNORE).sum(1).tolist(), strict=True)
    for row, (ids, start, length) in enumerate(rows):
        if start < 0:
            continue
        right = units(tokenizer.decode(ids[start : start + length]))
        for branch, first in enumerate(source[row, :, 0].tolist()):
            for last in range(int(inside[row, branch].sum())):
                rewards[row, branch, last] = f1(units(tokenizer.decode(ids[first : first + last + 1])), right)
    return rewards


def _stop_loss(going: Tensor, batch: Readings) -> Tensor:
    """Summed supervised loss of <more> and <end> along the right answers, whose branch is ``going`` (B, RUN, 2)."""
    lengths = (batch.stops != IGNORE).sum(1, keepdim=True)  # 0 where there is no answer
    place = torch.arange(RUN, device=going.device)
    target = (place == lengths - 1).long().masked_fill(place >= lengths, IGNORE)
    return F.nll_loss(going.flatten(0, 1), target.flatten(), ignore_index=IGNORE, reduction="sum")


@dataclass(frozen=True, slots=True)
class Rewarded:
    """Raises the expected reward of answers; prose is learned as before."""

    scorer: Scorer
    tokenizer: Tokenizer
    starts: int = 8
    supervised: float = 0.1
    kinds: tuple[str, ...] = ("prose", "start", "stop", "reward")

    def backward(self, batch: Prosaic | Readings, counts: Counts) -> dict[str, float]:
        if isinstance(batch, Prosaic):
            return Supervised(self.scorer, self.tokenizer).backward(batch, counts)
        weighed = weigh(self.scorer, self.tokenizer, batch, self.starts)
        reward = weighed.expected().sum() / counts.start
        start, stop = weighed.start.sum() / counts.start, weighed.stop / max(1, counts.stop)
        (self.supervised * (start + stop) - reward).backward()
        losses = {"start": start, "stop": stop, "reward": reward}
        return {name: float(value.detach()) for name, value in losses.items()}
