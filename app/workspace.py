"""What the panels share: the store's folder, its documents, and the chain over it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from app.conversations import FILE, Conversations
from app.jobs import Jobs
from ingest.types import IngestError
from rag.settings import load
from rag.types import RagError

if TYPE_CHECKING:
    from ingest.report import Event, IngestReport
    from ingest.store import DocumentRecord

log = logging.getLogger("openbook.app")


class Chain(Protocol):
    """What the page needs of `rag.build_chain`'s result."""

    def stream(self, input: dict[str, Any], /) -> Iterator[Any]: ...


class NoDocuments(RagError):
    """There is nothing to ask yet."""

    def __init__(self) -> None:
        super().__init__("There are no documents yet: add some, then ask again.")


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of an indexed document, from which an example question can be made."""

    text: str
    language: str


class Workspace:
    """One store and the chain over it; every method may be called from any thread.

    The chain loads the models (seconds), so it is made on the first question or by `warm`, not at import.
    Imports of `rag` and `ingest` wait for the same reason: the page is up before torch is.
    """

    def __init__(self, store: Path, model: str = "bundled", chain: Chain | None = None) -> None:
        self.store = store
        self.model = model
        # A server's answers are computed elsewhere, and side by side.
        self.jobs = Jobs(workers=4 if model.startswith("openai:") else 1)
        self.conversations = Conversations(store / FILE)
        self._chain = chain
        self._making = threading.Lock()
        self._writing = threading.Lock()

    def chain(self) -> Chain:
        """The chain, made at the first call. NoDocuments while the store is missing or empty."""
        with self._making:
            if self._chain is None:
                if not self.documents():
                    raise NoDocuments
                self._chain = self._made()
            return self._chain

    def _made(self) -> Chain:
        """The chain with its models loaded, so that a question which is stopped is never in the midst of loading."""
        from rag import build_chain

        settings = load()
        chosen = settings.model_dump(include={"mode", "strategy", "prompts", "timeout", "retries", "reranker"})
        made = build_chain(store=self.store, model=self.model, **chosen)
        made.warm()
        return cast(Chain, made)

    def warm(self) -> None:
        """Makes the chain in the background, so that the first question does not wait for it."""

        def make() -> None:
            try:
                self.chain()
            except NoDocuments:
                pass
            except (RagError, IngestError) as error:
                log.warning("%s", error)  # the page tells it again with the first question
            except Exception:
                log.exception("the chain could not be made")

        threading.Thread(target=make, name="warm", daemon=True).start()

    def close(self) -> None:
        """Stops every answer; the server calls it last."""
        self.jobs.close()
        self.conversations.close()

    @property
    def loaded(self) -> bool:
        """Whether the chain with its models is there."""
        return self._chain is not None

    def exists(self) -> bool:
        return (self.store / "store.sqlite3").is_file()

    def trouble(self) -> str | None:
        """Why the store cannot be used, if so; a missing one is no trouble."""
        try:
            self.documents()
        except IngestError as error:
            return str(error)
        return None

    def documents(self) -> list[DocumentRecord]:
        """The indexed documents by path; none while there is no store. StoreError when it cannot be used."""
        if not self.exists():
            return []
        from ingest.store import Store

        with Store.open(self.store) as store:
            return sorted(store.documents(), key=lambda record: record.path.casefold())

    def headings(self, limit: int = 60) -> list[Heading]:
        """Innermost headings of up to ``limit`` documents, at most two of each; a document that has none but its
        title gives that, last.
        """
        records = self.documents()
        if not records:
            return []
        from ingest.fold import language
        from ingest.store import Store

        chosen = {record.id: record for record in records[:limit]}
        found: dict[int, list[str]] = {}
        titles: dict[int, str] = {}
        with Store.open(self.store) as store:
            for chunk in store.chunks(sorted(store.chunk_ids())[: limit * 20]):
                record = chosen.get(chunk.doc_id)
                mine = found.setdefault(chunk.doc_id, [])
                if record is None or not chunk.headings or len(mine) == 2:
                    continue
                heading = " ".join(chunk.headings[-1].split())
                if heading == record.title:
                    titles[chunk.doc_id] = heading
                elif heading not in mine:
                    mine.append(heading)
        rounds = [[texts[turn] for texts in found.values() if len(texts) > turn] for turn in range(2)]
        rounds.append([title for doc_id, title in titles.items() if not found[doc_id]])
        return [Heading(text, language(text)) for texts in rounds for text in texts]

    def ingest(self, paths: list[Path], on_event: Callable[[Event], None]) -> IngestReport:
        """Indexes each file as a root of its own, so that nothing else in the store is touched."""
        from ingest.pipeline import ingest

        with self._writing:
            return ingest(paths, self.store, on_event=on_event)

    @property
    def busy(self) -> bool:
        return self._writing.locked()

    def remove(self, doc_id: int) -> str | None:
        """Forgets a document and deletes its copy if it was uploaded; its name, or None if it is unknown."""
        record = next((record for record in self.documents() if record.id == doc_id), None)
        if record is None:
            return None
        from ingest.pipeline import remove

        path = Path(record.path)
        with self._writing:
            remove([path], self.store)
        if path.is_relative_to((self.store / "uploads").resolve()):
            path.unlink(missing_ok=True)
        return path.name
