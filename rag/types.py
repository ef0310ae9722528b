"""What the chain takes in and gives back: the `Answer` every interface shows, and the errors it may raise."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field, model_validator

Mode = Literal["quote", "compose"]
Language = Literal["en", "zh"]
Reason = Literal["kept", "pinned", "rank", "repeat", "dropped", "context"]


class RagError(Exception):
    """What was wrong, where, and how to mend it, in one sentence fit to print."""


class ModelError(RagError):
    """A model failed, or the server that runs it: nothing was wrong with what was asked."""


class Cancelled(RagError):
    """The caller's cancel event was set before the answer was complete."""


class _Span(BaseModel):
    """A run of a stored document; ``start``/``end`` are character offsets into its text."""

    model_config = ConfigDict(extra="forbid")

    n: int = Field(ge=1, description="the number of the passage, as in the answer's [n] marks")
    doc_id: int
    chunk_id: int
    source: str
    title: str = ""
    headings: tuple[str, ...] = ()
    page: int | None = None
    start: int = Field(ge=0)
    end: int = Field(ge=0)
    score: float


class Citation(_Span):
    """A quotation: the stored text at ``[start:end]`` is ``quote``; ``n`` is the number of its Source.

    ``exact`` marks the short span the reader chose as the answer itself; other quotations are whole
    sentences. ``score`` is the probability that the quotation holds the answer.
    """

    quote: str = Field(min_length=1)
    exact: bool = False

    @model_validator(mode="after")
    def _length(self) -> Citation:
        if self.end - self.start != len(self.quote):
            raise ValueError(f"a quotation of {len(self.quote)} characters cannot stand at {self.start}..{self.end}")
        return self


class Source(_Span):
    """A retrieved passage, best first, with its rank (from 1) and raw score on each leg of the search.

    ``score`` is the fused score that ordered the passages; a rank of None: this leg did not bring it in;
    ``interaction``: the score of late interaction, where there is one.
    """

    text: str
    dense_rank: int | None = None
    lexical_rank: int | None = None
    dense_score: float | None = None
    lexical_score: float | None = None
    interaction: float | None = None
    cited: bool = False


class Conflict(BaseModel):
    """Two cited quotations that say the same with other numbers or dates; ``values`` are the parts that differ."""

    model_config = ConfigDict(extra="forbid")

    first: Citation
    second: Citation
    values: tuple[str, str]


class Candidate(BaseModel):
    """A passage that the search weighed, with its rank and raw score on each leg.

    ``fused`` is the score of both legs together, ``score`` the one that ordered the passages in the end, after late
    interaction. ``reason`` says what became of it: ``kept``; ``pinned`` by the user; ``rank``, others were better;
    ``repeat`` of a passage that is kept; ``dropped`` by the user; ``context``, kept, but the model's context did not
    hold it. ``excerpt``: the beginning of its text.
    """

    model_config = ConfigDict(extra="forbid")

    chunk_id: int
    doc_id: int
    source: str
    title: str = ""
    headings: tuple[str, ...] = ()
    page: int | None = None
    start: int
    end: int
    excerpt: str = ""
    dense_rank: int | None = None
    lexical_rank: int | None = None
    dense_score: float | None = None
    lexical_score: float | None = None
    fused: float = 0.0
    interaction: float | None = None
    score: float = 0.0
    kept: bool = False
    reason: Reason = "rank"


class Weighed(BaseModel):
    """A sentence of the passages with its probability to hold the answer; ``reason``: why it is not shown."""

    model_config = ConfigDict(extra="forbid")

    n: int
    chunk_id: int
    start: int
    end: int
    text: str
    probability: float
    shown: bool
    reason: Literal["shown", "budget", "unlikely", "enough"] = "shown"


class Token(BaseModel):
    """A token that the model wrote: natural logs at temperature 1, ``top`` holds the likeliest ones at its place."""

    model_config = ConfigDict(extra="forbid")

    id: int | None = None
    text: str
    logprob: float
    top: list[tuple[str, float]] = Field(default_factory=list)


class Step(BaseModel):
    """Something that was said on the way to the answer and is no part of it: reasoning, samples, scores, notes."""

    model_config = ConfigDict(extra="forbid")

    kind: str
    text: str
    seed: int | None = None


class Trace(BaseModel):
    """Why this answer: the best candidates of the search and the best sentences in them, each at most 30.

    ``steps``: what the strategy did before the answer, in order.
    """

    model_config = ConfigDict(extra="forbid")

    candidates: list[Candidate] = Field(default_factory=list)
    considered: int = Field(default=0, description="passages that either leg brought in")
    sentences: list[Weighed] = Field(default_factory=list)
    steps: list[Step] = Field(default_factory=list)
    weight: float | None = Field(default=None, description="of the vectors beside the words in the fused score")
    tokens: list[Token] = Field(default_factory=list, description="what a model of ours wrote, at most 512")


class Answer(BaseModel):
    """A verified answer: each citation has been compared with the stored text, character by character."""

    model_config = ConfigDict(extra="forbid")

    question: str
    rewritten: str
    answer: str
    refused: bool
    confidence: float = Field(ge=0.0, le=1.0)
    mode: Mode
    language: Language
    citations: list[Citation] = Field(default_factory=list)
    sources: list[Source] = Field(default_factory=list)
    model: str = "bundled"
    seed: int = 0
    timings: dict[str, float] = Field(default_factory=dict, description="seconds per stage")
    warnings: list[str] = Field(default_factory=list, description="what verification dropped or marked")
    prompt: str = Field(default="", description="the text the model was given, for the glass box")
    strategy: str = Field(default="direct", description="how the model was prompted")
    calls: int = Field(default=0, ge=0, description="calls of the model that wrote")
    plan: list[str] = Field(default_factory=list, description="what was done for a question that takes several steps")
    conflicts: list[Conflict] = Field(default_factory=list, description="cited quotations that disagree")
    trace: Trace | None = Field(default=None, description="every candidate of the search and what became of it")

    @model_validator(mode="after")
    def _consistent(self) -> Answer:
        if self.refused and self.citations:
            raise ValueError("a refusal cites nothing")
        known = {source.n for source in self.sources}
        for citation in self.citations:
            if citation.n not in known:
                raise ValueError(f"citation [{citation.n}] names no passage")
        return self


class AnswerEvent(TypedDict, total=False):
    """One event of ``chain.stream``: exactly one key is set.

    In order: ``stage`` (rewriting), ``rewritten`` where that differs from the question, ``stage`` (searching),
    ``sources``, ``stage`` (reading), ``plan`` where an answer takes several steps, ``stage`` (writing), ``text``
    deltas, and last ``answer``; after a cancel the last event is ``stage: cancelled``.
    """

    stage: str
    rewritten: str
    plan: list[str]
    sources: list[Source]
    text: str
    answer: Answer


class ChainInput(TypedDict, total=False):
    """What ``chain.invoke`` takes besides a plain question.

    ``pinned`` and ``dropped`` are chunk ids: a pinned passage is always among the sources, a dropped one never.
    ``strategy`` names a way to prompt the model; ``prompts`` are templates to use instead of the files, by name.
    """

    question: str
    history: list[dict[str, str]]
    temperature: float
    top_p: float
    seed: int
    k: int
    mode: Mode
    strategy: str
    pinned: list[int]
    dropped: list[int]
    prompts: dict[str, str]
    cancel: Any
