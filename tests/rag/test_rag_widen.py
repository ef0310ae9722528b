"""What stands beside a passage: the rest of a cut sentence, the section for a model that writes, and repeats."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage

from ingest.pipeline import ingest
from ingest.store import ChunkRecord, EncoderStamp, NewDocument, Store
from ingest.types import Chunk
from rag.chain import build_chain
from rag.repeats import repeats
from rag.types import Source
from rag.widen import mend, widen

# (headings, page, text) of each chunk; a blank line stands between two
PAGES = (
    (("Lease",), 1, "The flat is let from May on. The rent for the first year of the lease is"),
    (("Lease",), 2, "900 euros a month. It is paid in advance. The deposit is twice"),
    (("Lease",), 3, "the rent of a month. Keys are handed over by the caretaker."),
    (("Lease",), 4, "Pets need the consent of the owner."),
    (("Annex",), 5, "which is never a sentence. Bicycles stand in the yard."),
)
SEITEN = (((), 1, "押金为两个月租金，退租时"), ((), 2, "全额退还。钥匙由管理员交付。"), ((), 3, "宠物须经房东同意。"))


def put(store: Store, name: str, pages: tuple[tuple[tuple[str, ...], int, str], ...]) -> None:
    text = "\n\n".join(said for _, _, said in pages)
    chunks, at = [], 0
    for n, (headings, page, said) in enumerate(pages):
        chunks.append(Chunk(n, at, at + len(said), said, "", headings, page))
        at += len(said) + 2
    path = f"/papers/{name}"
    document = NewDocument(path, "/papers", name, "pdf", "en", 1, 1, name, len(text), text)
    store.put(document, chunks, np.eye(8, dtype=np.float32)[: len(chunks)])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    stamp = EncoderStamp("test", "0" * 40, 8, 254, ("en",))
    folder = tmp_path_factory.mktemp("widen") / "store"
    with Store.open(folder, write=True, create=True, encoder=stamp) as opened:
        put(opened, "lease.pdf", PAGES)
        put(opened, "租约.pdf", SEITEN)
        opened.commit()
        yield opened


def source(store: Store, name: str, ordinal: int, n: int = 1) -> Source:
    record = store.find(f"/papers/{name}")
    assert record is not None
    chunk = store.chunks_of(record.id)[ordinal]
    place: dict[str, Any] = {"start": chunk.start, "end": chunk.end, "text": chunk.text, "headings": chunk.headings}
    return Source(n=n, doc_id=record.id, chunk_id=chunk.id, source=name, score=1.0, page=chunk.page, **place)


@pytest.mark.parametrize(
    ("name", "ordinal", "begins", "ends"),
    [
        ("lease.pdf", 0, "The flat", "of the lease is"),  # a number may begin a sentence
        ("lease.pdf", 1, "900 euros", "is twice\n\nthe rent of a month."),
        ("lease.pdf", 2, "The deposit is twice\n\nthe rent", "caretaker."),
        ("lease.pdf", 3, "Pets need", "the owner."),  # what follows stands under another heading
        ("租约.pdf", 0, "押金", "退租时\n\n全额退还。"),
        ("租约.pdf", 1, "押金为两个月租金，退租时\n\n全额", "交付。"),
        ("租约.pdf", 2, "宠物", "同意。"),
    ],
)
def test_a_cut_sentence_is_completed(store: Store, name: str, ordinal: int, begins: str, ends: str) -> None:
    (mended,) = mend(store, [source(store, name, ordinal)], store.text)
    assert mended.text.startswith(begins) and mended.text.endswith(ends)
    assert store.text(mended.doc_id)[mended.start : mended.end] == mended.text


def test_a_section_grows_within_the_budget(store: Store) -> None:
    one = source(store, "lease.pdf", 1)
    whole = store.text(one.doc_id)
    (wide,) = widen(store, [one], store.text, 10_000)
    assert wide.text == whole[: whole.index("\n\nwhich")] and wide.chunk_id == one.chunk_id
    (narrow,) = widen(store, [one], store.text, len(one.text) + 70)
    assert narrow.text.endswith("caretaker.") and narrow.text.startswith("900"), "what fits of the two neighbours"
    assert widen(store, [one], store.text, 10) == [one]


def test_passages_do_not_grow_into_each_other(store: Store) -> None:
    first, last = source(store, "lease.pdf", 0), source(store, "lease.pdf", 3, n=2)
    wide = widen(store, [first, last], store.text, 10_000)
    assert wide[0].end <= wide[1].start and wide[0].end > first.end and wide[1].start < last.start
    for found in wide:
        assert store.text(found.doc_id)[found.start : found.end] == found.text


def test_only_what_says_nothing_new_is_a_repeat(store: Store) -> None:
    record = store.chunks_of(1)[0]

    def other(text: str) -> ChunkRecord:
        return replace(record, doc_id=99, text=text, start=0, end=len(text))

    kept = replace(
        record, text="The rent is 900 euros a month. It is paid on the first day of every month, in advance."
    )
    for same in (kept.text, f" {kept.text.upper()}\n", kept.text.replace(" ", "\n"), "It is paid on the first day"):
        assert repeats(other(same), kept), same
    for new in (
        kept.text.replace("900", "950"),
        kept.text.replace("is paid", "is not paid"),
        f"{kept.text} Pets are allowed.",
        "day first the on paid is It",
        "",
    ):
        assert not repeats(other(new), kept), new
    assert repeats(other("資料庫的連線"), replace(kept, text="数据库，资料库的连线。"))
    assert repeats(replace(kept, start=10, end=100), replace(kept, start=0, end=60))
    assert not repeats(replace(kept, start=50, end=150), replace(kept, start=0, end=60))


def test_a_model_that_writes_is_given_the_section(tmp_path: Path) -> None:
    said = [
        f"Rule {n} of the harbour says that boat number {n} may not moor at pier {n} after dark." for n in range(60)
    ]
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "rules.md").write_text(f"# Harbour\n\n## Rules\n\n{' '.join(said)}\n", encoding="utf-8")
    ingest([tmp_path / "files"], tmp_path / "store")
    model = GenericFakeChatModel(messages=iter([AIMessage("Boat number 30 may not moor at pier 30 [1].")]))
    chain = build_chain(tmp_path / "store", model, k=1, mode="compose")
    try:
        answer = chain.invoke("Where may boat number 30 not moor?")
        (shown,) = answer.sources
        assert said[0] in answer.prompt and said[59] in answer.prompt and said[0] in shown.text
        assert answer.citations and not answer.refused
        found = chain.retriever.invoke("Where may boat number 30 not moor?")
        assert len(found[0].page_content) < len(shown.text) / 2, "the search itself shows the chunk"
    finally:
        chain.close()
