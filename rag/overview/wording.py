"""Our own words around what an overview quotes and counts, in both languages."""

from __future__ import annotations

from collections.abc import Sequence
from posixpath import basename

from ingest.store import DocumentRecord
from rag.overview.counting import Headings, Mentions, forms
from rag.overview.scope import Scope

LISTED = 20  # names of documents or headings


def heading(scope: Scope, shown: int, parts: int, topic: str, zh: bool) -> str:
    """The first line of an overview: what it covers."""
    documents, passages = len(scope.documents), scope.passages
    if zh:
        subject = f"关于“{topic}”的内容：" if topic else ""
        picked = f"，其中选出{shown}个" if shown < parts else ""
        return f"{subject}{documents}个文档，{parts}个部分{picked}，共{passages}段。各部分最有代表性的原句："
    subject = f"About “{topic}”: " if topic else ""
    picked = f", {shown} of them chosen" if shown < parts else ""
    said = f"{_s(documents, 'document')}, {_s(parts, 'part')}{picked}, {_s(passages, 'passage')}"
    return f"{subject}{said}. The most central sentences of each:"


def partly(scope: Scope, zh: bool) -> str:
    """What is said when the scope is too large to read whole."""
    read = len(scope.chunks)
    if zh:
        return (
            f"范围内有{len(scope.documents)}个文档、{scope.passages}段，此概览读了均匀分布的{read}段；"
            "要读全部，请用 文件： 或 集合： 缩小范围。"
        )
    return (
        f"The scope holds {len(scope.documents):,} documents in {scope.passages:,} passages; this overview read "
        f"{read:,} of them, spread evenly: narrow it with file: or in: to have all of it read."
    )


def plan(scope: Scope, parts: int, calls: int, seconds: float, zh: bool) -> list[str]:
    """What will be done for an overview and what it costs."""
    documents, passages, took = len(scope.documents), len(scope.chunks), max(1, round(seconds))
    if zh:
        first = f"阅读{documents}个文档的{passages}段（{parts}个部分），而不是只看最相近的几段。"
        cost = f"调用模型{calls}次，约{took}秒。" if calls else f"抄录各部分最有代表性的句子；不调用模型，约{took}秒。"
    else:
        read = f"Read {_s(passages, 'passage')} of {_s(documents, 'document')} in {_s(parts, 'part')}"
        first = f"{read}, not the nearest few."
        cost = (
            f"{_s(calls, 'model call')}: notes on each part, then one answer; about {took} s."
            if calls
            else f"Quote the most central sentences of each part; no model call, about {took} s."
        )
    return [first, cost, *([] if scope.whole else [partly(scope, zh)])]


def cut_calls(read: int, pieces: int, zh: bool) -> str:
    """What is said when the pieces of a scope are more than the calls that are allowed."""
    if zh:
        return f"范围需要调用模型{pieces}次；只读了均匀分布的{read}份。要读全部，请用 文件： 或 集合： 缩小范围。"
    return (
        f"The scope would take {pieces} model calls; {read} pieces, spread evenly, were read: narrow it with file: or "
        "in: to have all of it read."
    )


def counting(what: str, zh: bool) -> list[str]:
    """The plan of a count."""
    kinds = {
        "documents": ("documents", "文档"),
        "sections": ("headings", "标题"),
        "mentions": ("places where the term stands, in the full text", "全文中该词出现的位置"),
        "mentioning": ("documents in whose full text the term stands", "全文中出现该词的文档"),
    }
    english, chinese = kinds[what]
    return [f"逐一清点{chinese}；不调用模型。"] if zh else [f"Count the {english} one by one; no model call."]


def documents(found: Sequence[DocumentRecord], form: str, zh: bool) -> str:
    """So many documents, of which kinds, and the first names."""
    named = [basename(document.path) for document in found[:LISTED]]
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in forms(found))
    passages = sum(document.chunk_count for document in found)
    if zh:
        head = f"范围内有{len(found)}个{form}文档，共{passages}段（{kinds.replace(', ', '，')}）。"
    else:
        kind = f"{form} document".strip()
        head = f"The scope holds {_s(len(found), kind)} in {_s(passages, 'passage')} ({kinds})."
    if not found:
        head = f"范围内没有{form}文档。" if zh else f"The scope holds no {form} documents."
    return "\n".join([head, *named, *_rest(len(found) - len(named), zh)])


def headings(counted: Headings, count: int, zh: bool) -> str:
    """So many headings in so many documents, and the first of them."""
    found = counted.found
    named = [f"{'  ' * (level - 1)}{' '.join(name.split())}" for level, name in found[:LISTED]]
    if zh:
        least = "" if counted.exact else "至少"
        why = "" if counted.exact else "；短的小节合在一段里，其标题不单独计"
        head = f"{count}个文档共有{least}{len(found)}个标题（各级都算{why}）。"
    else:
        least = "" if counted.exact else "at least "
        why = "" if counted.exact else "; short sections that share a passage count once"
        head = f"{_s(count, 'document')}: {least}{_s(len(found), 'heading')} of all levels{why}."
    return "\n".join([head, *named, *_rest(len(found) - len(named), zh)])


def mentioned(found: Mentions, term: str, what: str, zh: bool) -> str:
    """How often and in how many documents a term stands, and how that was counted."""
    held, all_ = len(found.counts), found.documents
    if zh:
        head = f"“{term}”在{all_}个文档中的{held}个里出现，共{found.total}次"
        how = "按原样计数，不分大小写、全半角和繁简"
        tail = "" if found.read == all_ else f"；文字太多，只数了前{found.read}个文档"
        return f"{head}（{how}{tail}）。"
    where = f"{held:,} of {_s(all_, 'document')}"
    times = "once" if found.total == 1 else f"{found.total:,} times"
    head = f"{where} hold “{term}”, {times} in all" if what == "mentioning" else f"“{term}” stands {times} in {where}"
    tail = "" if found.read == all_ else f"; too much text, so only the first {found.read:,} documents were read"
    return f"{head} (whole words as written, upper and lower case alike{tail})."


def more(count: int, zh: bool) -> list[str]:
    """The line after the quoted places."""
    if count <= 0:
        return []
    return [f"……另有{count}处。"] if zh else [f"… and {count:,} more."]


def _rest(count: int, zh: bool) -> list[str]:
    if count <= 0:
        return []
    return [f"……另有{count}个。"] if zh else [f"… and {count:,} more."]


def _s(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
