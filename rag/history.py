"""Follow-up questions: made to stand alone before anything is searched."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from ingest.fold import language, terms
from rag.features import asking_words
from rag.types import RagError

TURNS = 6  # earlier messages that are looked at
_LIMIT = 12  # words (or 24 Chinese characters) that a rewriting may add

_LEANS_EN = re.compile(
    r"\b(?:it|its|he|him|his|she|her|hers|they|them|their|theirs|this|that|these|those|there|then|one|ones)\b"
    r"|^(?:and|but|so|also|or)\b|\b(?:what|how) about\b|\b(?:else|former|latter|instead)\b",
    re.IGNORECASE,
)
_PRONOUN_EN = re.compile(r"\b(?:it|its|he|him|his|she|her|hers|they|them|their|theirs)\b", re.IGNORECASE)
# Content words from which on "this", "that" or "one" points inside the question, and from which on a pronoun does.
_FULL, _FULL_WITH_PRONOUN = 4, 6
# "the country that", "is there", "that year" refer to nothing earlier.
_NOT_LEANING_EN = re.compile(
    r"\w+ (?:that|those) (?:is|are|was|were|has|have|had|can|\w+ed)\b|\b(?:is|are|was|were) there\b", re.IGNORECASE
)
_PERSON_EN = re.compile(r"\b(?:he|him|his|she|her|hers|they|them|their|theirs)\b", re.IGNORECASE)
_LEANS_ZH = re.compile(
    r"它|他们|她们|他|她|这|那(?!么)|那么|其中|其(?=[他它余]?[\u4e00-\u9fff]{1,4}[是有在？?])"
    r"|此|该|前者|后者|^(?:呢|那|还有|另外)|呢[？?]?$"
)
_WORD = re.compile(r"[A-Za-z0-9][\w'.-]*")
_NAMES = re.compile(r"\b[A-Z][\w'-]+(?: (?:of |the |de |von |van )?[A-Z][\w'-]+)*")
_MARKS = re.compile(r"\[\d+\]|[“”\"「」『』]")
_ASKING_ZH = re.compile(
    r"什么时候|是什么|什么|为什么|怎么样|怎么|怎样|如何|哪一?[个位些年里儿]?|多少|几[个位年月日]?|谁|何时|何地|何|吗|呢|请问|请|是否|[的了是在有？?，。！,.!\s]"
)


def messages(history: Sequence[Any]) -> list[BaseMessage]:
    """History as LangChain messages, from ``{"role", "content"}`` dicts or messages.

    RagError for anything else; system messages and empty ones are left out.
    """
    found: list[BaseMessage] = []
    for turn in history:
        if isinstance(turn, BaseMessage):
            role, content = turn.type, turn.text
        elif isinstance(turn, dict) and isinstance(turn.get("content"), str) and "role" in turn:
            role, content = str(turn["role"]), turn["content"]
        else:
            raise RagError('The history holds an entry that is not {"role": "user" or "assistant", "content": text}.')
        if not content.strip():
            continue
        if role in ("user", "human"):
            found.append(HumanMessage(content))
        elif role in ("assistant", "ai"):
            found.append(AIMessage(content))
        elif role not in ("system", "tool"):
            raise RagError(f"The history holds the role {role!r}, but only user and assistant can be used.")
    return found


def leans(question: str) -> bool:
    """Whether a question seems to need what was said before it: a pronoun, "what about", or hardly a content word."""
    if language(question) == "zh":
        named = _ASKING_ZH.sub("", question)
        return bool(_LEANS_ZH.search(question)) or len(named) <= 2
    content = [t for t in terms(question) if t not in asking_words("en")]
    if len(content) <= 1:
        return True
    full = _FULL_WITH_PRONOUN if _PRONOUN_EN.search(question) else _FULL
    return len(content) < full and bool(_LEANS_EN.search(_NOT_LEANING_EN.sub(" ", question)))


def rewrite(question: str, history: Sequence[BaseMessage]) -> str:
    """The question with the content words of the question it leans on (and the names in its answer) added.

    By rules, for the bundled model; a question that stands alone comes back unchanged.
    """
    turns = list(history)[-TURNS:]
    if not turns or not leans(question):
        return question
    context: list[str] = []
    answer = ""
    for message in reversed(turns):
        if isinstance(message, AIMessage):
            if not context:
                answer = answer or message.text
            continue
        asked = message.text.strip()
        if asked == question:
            continue
        context = _content(asked, question) + [c for c in context if c not in _content(asked, question)]
        if not leans(asked):
            break
    if answer and _PERSON_EN.search(question):
        context += [name for name in _names(answer) if name not in context and name not in " ".join(context)]
    if not context:
        return question
    if language(question) == "zh":
        return f"{question}（{' '.join(context)[:24]}）"
    return f"{question} ({' '.join(context[:_LIMIT])})"


def _content(asked: str, question: str) -> list[str]:
    """The words of an earlier question that name something and are not in the new one."""
    if language(asked) == "zh":
        return [piece for piece in _ASKING_ZH.sub(" ", asked).split() if piece not in question]
    known = set(terms(question)) | asking_words("en")
    words = []
    for word in _WORD.findall(asked):
        found = terms(word)
        if found and not any(t in known for t in found) and not _LEANS_EN.fullmatch(word):
            words.append(word.rstrip("."))
    return words


def _names(answer: str) -> list[str]:
    """Names in the first line of an answer, at most two."""
    first = _MARKS.sub("", answer.strip().split("\n")[0])
    return _NAMES.findall(first)[:2]
