"""Documents of two languages that are translations of each other, found by their names: the same collection and the
same path but for the parts that name a language (``docs/source_en/a.md``, ``docs/source_zh_cn/a.md``)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ingest.bilingual.training.shards import Document

_LANGUAGE = r"en|en[-_]us|en-snapshot|zh|zh[-_]?cn|cn|zh[-_]?hans"
_PART = re.compile(rf"(?:{_LANGUAGE})/", re.I)  # a whole folder
_ENDING = re.compile(rf"[-_.](?:{_LANGUAGE})(?=[./]|$)", re.I)  # the end of a folder's, file's or collection's name
_SUFFIX = re.compile(r"\.[A-Za-z]{1,6}$")
# Collections whose translation bears another name.
TRANSLATES = {"KaiserY/trpl-zh-cn": "rust-lang/book"}


def key(document: Document) -> tuple[str, str]:
    """The same for a document and its translation.

    >>> key(Document("", "d2l-ai/d2l-zh", "guide/zh_cn/index_cn.rst"))
    ('d2l-ai/d2l', 'guide/index')
    """
    source = TRANSLATES.get(document.source, document.source)
    folders = "".join(part for part in re.findall(r"[^/]*/?", document.path) if not _PART.fullmatch(part))
    return _ENDING.sub("", source), _SUFFIX.sub("", _ENDING.sub("", folders))


def paired(documents: Iterable[Document]) -> list[tuple[str, str]]:
    """(English, Chinese) texts with the same key, in the order of the keys."""
    texts: dict[str, dict[tuple[str, str], str]] = {"en": {}, "zh": {}}
    for document in documents:
        texts[document.language].setdefault(key(document), document.text)
    return [(texts["en"][one], texts["zh"][one]) for one in sorted(texts["en"].keys() & texts["zh"].keys())]
