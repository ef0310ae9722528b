"""A model's name becomes a model: the bundled GPT, a folder, a hub id, or a server that speaks OpenAI's protocol."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel

from gpt.hub.snapshot import is_hub_id
from gpt.load import BUNDLED, WEIGHTS
from gpt.reader import Reader
from rag.chat_model import ChatOpenbook, load_engine, reads
from rag.reading import GPTReader, SpanReader
from rag.server import PREFIX, RETRIES, TIMEOUT, connect, failure
from rag.tuning import kept
from rag.types import RagError

HOW = (
    'give "bundled", "none" (sentences only), a model folder, a hub id as owner/model, or openai:MODEL@http://host/v1'
)
__all__ = ["HOW", "Model", "failure", "init_model"]

MAX_TOKENS = 384  # of an answer in the asker's own words; the prompt asks for few sentences


@dataclass(frozen=True, slots=True)
class Model:
    """A chat model with its name; ``reader`` when it can score spans of a passage exactly (our own GPT).

    Without either ("none") the best sentences are quoted, in quote mode only.
    """

    name: str
    chat: BaseChatModel | None
    reader: SpanReader | None = None
    note: str = ""  # what the user should know about it with every answer

    @property
    def writes(self) -> bool:
        """Whether it writes text of its own accord and follows instructions; a reader only points at quotations."""
        return self.chat is not None and self.reader is None


def init_model(
    model: str | BaseChatModel,
    *,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    store: Path | None = None,
    timeout: float = TIMEOUT,
    retries: int = RETRIES,
) -> Model:
    """The model of a name, or the given LangChain chat model; RagError with one sentence when there is none.

    "bundled" over a ``store`` that a reader was tuned on (``python -m rag tune``) is that reader. ``timeout`` (seconds
    of silence) and ``retries`` are for a server.
    """
    if isinstance(model, ChatOpenbook) and reads(model.loaded()):
        return Model(model.model_name, model, GPTReader(Reader(model.loaded())))
    if isinstance(model, BaseChatModel):
        return Model(str(getattr(model, "model_name", None) or type(model).__name__), model)
    name = model.strip()
    if name == "none":
        return Model(name, None)
    if name.startswith(PREFIX):
        chat = connect(name, timeout=timeout, retries=retries, temperature=temperature, top_p=top_p, seed=seed)
        return Model(name, chat)
    if name == "bundled" and not (BUNDLED / WEIGHTS).is_file():
        return Model(name, None, note="The bundled GPT's weights are missing: answers are the best sentences.")
    folder = Path(name).expanduser()
    if name != "bundled" and not folder.exists() and not is_hub_id(name):
        raise RagError(f"There is no model {name!r} here: {HOW}.")
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise RagError(f"{name} is not a model folder, for it holds no config.json: {HOW}.")
    tuned = kept.find_tuned(store) if name == "bundled" and store is not None else None
    if tuned is not None and tuned.folder is not None:
        folder, name = tuned.folder, kept.NAME
    engine = load_engine(name if name == "bundled" or not folder.exists() else str(folder))
    options: dict[str, Any] = {"temperature": temperature, "top_p": top_p, "seed": seed, "engine": engine}
    if reads(engine):
        reading = ChatOpenbook(model=name, **options)
        return Model(name, reading, GPTReader(Reader(engine)), note=tuned.note if tuned is not None else "")
    return Model(name, ChatOpenbook(model=name, max_tokens=MAX_TOKENS, **options))
