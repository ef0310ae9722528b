"""Rules for English follow-ups."""

from __future__ import annotations

import re
from collections.abc import Callable

from ingest.fold import terms
from rag.features import asking_words
from rag.followup.asked import Asked

LIMIT = 12  # words that a rewriting may add
NAME = 8  # words of a title that can be the subject of a question

_LEANS = re.compile(
    r"\b(?:it|its|he|him|his|she|her|hers|they|them|their|theirs|this|that|these|those|there|then|one|ones)\b"
    r"|^(?:and|but|so|also|or)\b|\b(?:what|how) about\b|\b(?:else|former|latter|instead)\b",
    re.IGNORECASE,
)
_PRONOUN = re.compile(r"\b(?:it|its|he|him|his|she|her|hers|they|them|their|theirs)\b", re.IGNORECASE)
# Content words from which on "this", "that" or "one" points inside the question, and from which on a pronoun does.
_FULL, _FULL_WITH_PRONOUN = 4, 6
# "the country that", "is there", "that year", "how long does it take to" refer to nothing earlier.
_NOT_LEANING = re.compile(
    r"\w+ (?:that|those) (?:is|are|was|were|has|have|had|can|\w+ed)\b|\b(?:is|are|was|were) there\b"
    r"|\b(?:does|did|will|would) it take (?:\w+ )?to\b"
    r"|\bis it (?:\w+ )?(?:possible|true|allowed|necessary|legal|safe)\b",
    re.IGNORECASE,
)
_PERSON = re.compile(r"\b(?:he|him|his|she|her|hers)\b", re.IGNORECASE)
_SINGLE = re.compile(r"\b(?P<own>its|his|her(?= [a-z]))\b|\b(?:it|he|she|him|her)\b", re.IGNORECASE)
_THERE = re.compile(r"(?<!\bis )(?<!\bare )(?<!\bwas )(?<!\bwere )\bthere\b", re.IGNORECASE)
_JOINED = re.compile(r"^(?:and|but|so|also|or)\b[, ]*", re.IGNORECASE)
_OTHER = re.compile(
    r"^(?:(?:and|but|so)[, ]+)?(?:(?:what|how) about )?(?:(?:of|at|in|on|for|with|from|to|by) )?"
    r"(?P<name>[^?,]+?)\s*\?*$",
    re.IGNORECASE,
)
_SHIFT = re.compile(r"^(?:(?:and|but|so)\b[, ]*)?(?:what|how) about\b|^(?:and|but|so)\b", re.IGNORECASE)
_VERB_FIRST = re.compile(
    r"^(?:who|whom|whose|what|when|where|which|why|how|is|are|was|were|do|does|did|can|could|may|must|will|would|"
    r"should|has|have|had)\b(?! about\b)",
    re.IGNORECASE,
)
_ATTRIBUTE = re.compile(r"(?:who|what) (?:is|was|are|were) the\b", re.IGNORECASE)  # ... engineer of the bridge
_WORD = re.compile(r"[A-Za-z0-9][\w'.-]*")
_NAMES = re.compile(r"\b[A-Z][\w'-]*(?: (?:of |the |de |von |van |da )*[A-Z][\w'-]*)*")
_LINKS = frozenset("of the a an de von van da and for".split())
# Capitalised at the beginning of a sentence, or always, without naming anything.
_NO_NAME = frozenset(
    "i may must shall in at on under please tell explain describe list name show give and but so also or my our your "
    "it its he she they his her their this that these those there some any no not if after before since during the a "
    "january february march april june july august september october november december monday tuesday wednesday "
    "thursday friday saturday sunday".split()
)


def leans(question: str) -> bool:
    """See `rag.followup.leans`."""
    content = [t for t in terms(question) if t not in asking_words("en")]
    if len(content) <= 1:
        return True
    wide = _PRONOUN.search(question) or _shifts(question)
    full = _FULL_WITH_PRONOUN if wide else _FULL
    return len(content) < full and bool(_LEANS.search(_NOT_LEANING.sub(" ", question)))


def open_ended(question: str) -> bool:
    """Whether a question that does not lean names nothing, so that it may be about the last subject."""
    return not names(question)


def complete(question: str, asked: Asked, named: Callable[[str], bool] | None) -> tuple[str, bool]:
    """A leaning question made whole, and whether its subject is still the earlier one."""
    subject, titled = _subject(asked)
    other = _OTHER.match(question) if _shifts(question) else None
    if other is not None and not _PRONOUN.search(question):
        found = _exchanged(other["name"], asked.question, subject, named)
        if found:
            return found, False
    if _PERSON.search(question) and not (titled and _is_person(subject, asked.question)):
        subject = _person(asked) or subject
    return _with(question, subject, asked), True


def names(text: str) -> list[str]:
    """The capitalised runs that name something; the first word of a question is none if it is a common one."""
    found = []
    for match in _NAMES.finditer(text):
        words = match.group().split()
        while words and (words[0].lower() in _NO_NAME or words[0].lower() in asking_words("en")):
            words = words[1:]
        if words:
            found.append(" ".join(words))
    return found


def _shifts(question: str) -> bool:
    """ "What about …?", "And …?" without a question of its own."""
    return bool(_SHIFT.match(question)) and not _VERB_FIRST.match(_JOINED.sub("", question))


def _subject(asked: Asked) -> tuple[str, bool]:
    """The words of the earlier question that stand in the title of what answered it (True), or its name, or ""."""
    for title in asked.titles[:2]:
        run = _shared(asked.question, title)
        if run:
            return run, True
    name = next(iter(names(asked.question)), "")
    if not name or _ATTRIBUTE.match(asked.question):
        return name, False
    whole = re.search(rf"\b[a-z]+ of (?:the )?{re.escape(name)}", asked.question)
    return whole.group() if whole else name, False


def _shared(question: str, title: str) -> str:
    """The longest run of words of the question that all stand in the title."""
    known = set(terms(title)) - asking_words("en")
    best, run = "", [-1, -1, 0]
    for word in _WORD.finditer(question):
        found = terms(word.group())
        if found and all(term in known for term in found):
            run = [word.start() if run[2] == 0 else run[0], word.end(), run[2] + 1]
        elif word.group().lower() not in _LINKS or run[2] == 0:
            run = [-1, -1, 0]
        if run[2] and run[1] - run[0] > len(best):
            best = question[run[0] : run[1]]
    return best


def _is_person(name: str, asked: str) -> bool:
    if not name or f"the {name}".lower() in asked.lower():
        return False
    return all(word[0].isupper() for word in name.split())


def _person(asked: Asked) -> str:
    """Who the answer names, by the title of its document if that is the same person's."""
    said = [name for name in names(asked.said) if name not in asked.question and not any(c.isdigit() for c in name)]
    for title in asked.titles[:2]:
        short = len(title.split()) <= 4 and _is_person(title, "")
        if short and (not said or any(set(terms(name)) & set(terms(title)) for name in said)):
            return title
    return next((name for name in said if " " in name), next(iter(said), ""))


def _exchanged(name: str, question: str, subject: str, named: Callable[[str], bool] | None) -> str:
    """The earlier question about something else; "" where it asks something else about the same."""
    its = names(name)
    bare = re.sub(r"^(?:the|a|an) ", "", name, flags=re.IGNORECASE)
    if not its and named is not None and named(bare):
        its = [bare]
    if not its:
        return ""
    new = its[-1]
    more = [word for word in _content(name) if word not in new.split()]
    subject = next(reversed(names(subject)), subject)  # the lighthouse of Skarholm: of another place
    if subject and re.search(rf"\b{re.escape(subject)}\b", question):
        text = re.sub(rf"\b{re.escape(subject)}\b", lambda _: new, question, count=1)
    else:
        text = f"{question.rstrip('? ')} ({new})?"
    return f"{text} ({' '.join(more[:LIMIT])})" if more else text


def _with(question: str, subject: str, asked: Asked) -> str:
    """The question with the subject in place of its pronoun, or behind it."""
    text = _JOINED.sub("", question) if len(question.split()) > 2 else question
    text = text[:1].upper() + text[1:]
    article = "the " if subject and f"the {subject}".lower() in asked.question.lower() else ""
    whole = article + subject
    pronoun = _SINGLE.search(text)
    if subject and pronoun:
        owner = f"{whole}'" if whole.endswith("s") else f"{whole}'s"
        return text[: pronoun.start()] + (owner if pronoun["own"] else whole) + text[pronoun.end() :]
    many = _PRONOUN.search(text) and not pronoun
    if subject and not many and (there := _THERE.search(text)):
        return f"{text[: there.start()]}at {whole}{text[there.end() :]}"
    if subject and not _LEANS.search(text) and len(_content(text)) > 1:
        added = [subject]
    else:
        added = [word for word in _things(asked.question) if word.lower() not in text.lower()][:LIMIT]
    return f"{text} ({' '.join(added)})" if added else text


def _content(text: str) -> list[str]:
    known = asking_words("en")
    return [
        word.rstrip(".")
        for word in _WORD.findall(text)
        if (found := terms(word)) and not any(t in known for t in found) and not _LEANS.fullmatch(word)
    ]


def _things(question: str) -> list[str]:
    """The content words of a question without its verb, as far as that shows: "who discovered", "-ed"."""
    content = _content(question)
    after_who = re.match(r"who (\w+)", question, re.IGNORECASE)
    verb = after_who.group(1) if after_who else ""
    kept = [word for word in content if word != verb and not (word.endswith("ed") and word.islower())]
    return kept or content
