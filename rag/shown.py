"""How quotations and refusals are put into the text of an answer."""

from __future__ import annotations

from rag.types import Citation

REFUSALS: dict[str, str] = {"en": "Not in your documents.", "zh": "文档中没有答案。"}


def quotation(citation: Citation) -> str:
    """A quotation as the answer shows it."""
    quote = " ".join(citation.quote.split())
    return f"{quote} [{citation.n}]" if citation.exact else f"“{quote}” [{citation.n}]"
