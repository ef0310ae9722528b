"""How quotations and refusals are put into the text of an answer."""

from __future__ import annotations

from rag.types import Citation

REFUSALS: dict[str, str] = {"en": "Not in your documents.", "zh": "文档中没有答案。"}
OTHERWISE: dict[str, str] = {"en": "Another passage says otherwise:", "zh": "另一处的说法不同："}


def quotation(citation: Citation) -> str:
    """A quotation as the answer shows it."""
    quote = " ".join(citation.quote.split())
    return f"{quote} [{citation.n}]" if citation.exact else f"“{quote}” [{citation.n}]"
