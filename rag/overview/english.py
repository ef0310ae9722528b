"""Questions about the whole collection, in English: precision first, for what is not recognised is answered as ever."""
# ruff: noqa: E501 - a pattern stays on one line

from __future__ import annotations

import re

from rag.overview.asked import Asked, first

_DOC = (
    r"(?:documents?|docs?|files?|texts?|notes?|papers?|articles?|reports?|books?|manuals?|pages?|collections?|corpus|"
    r"library|folders?|archives?|materials?|sources?|contents?|everything|all|contracts?|letters?|minutes)"
)
_OWN = r"(?:this|these|those|that|the|my|our|all|all of|all the|all my|all these|whole|entire|of|in|uploaded|ingested|stored)"
#: Names the scope and nothing in it.
WHOLE = re.compile(rf"^(?:(?:{_OWN})\s+)*(?:{_DOC}|it all|it|this|these|them|that)?(?:\s+(?:here|i have|i added|in (?:the|my|this) (?:store|library|collection|folder)))?$", re.I)
_OPEN = re.compile(
    r"^(?:please|kindly|can you|could you|would you|will you|i (?:want|need|would like)(?: you)?(?: to)?|i'd like(?: you)?"
    r"(?: to)?|help me(?: to)?|let's|now|ok(?:ay)?)[,\s]+",
    re.I,
)
_QUICK = r"(?:(?:an?|the|one|your)\s+)?(?:(?:quick|short|brief|concise|general|detailed|high-level|good|complete|one-page)\s+)*"
_SUMMARY = r"(?:summary|overview|outline|synopsis|abstract|digest|gist|recap|tl;?dr|summarization|summarisation)"
_RULES: tuple[tuple[re.Pattern[str], bool], ...] = tuple(
    (re.compile(pattern, re.I), named)
    for pattern, named in (
        (r"^(?:summari[sz]e|sum up|recap|condense)\b(?: for me)?[:,]?\s*(?P<topic>.*)$", False),
        (rf"^(?:give|write|provide|make|create|show|prepare|draft|get)(?: me| us)?\s+{_QUICK}{_SUMMARY}(?:\s+(?:of|on|about|for|from)\s+(?P<topic>.+))?$", False),
        (rf"^{_QUICK}{_SUMMARY}(?:\s+(?:of|on|about)\s+(?P<topic>.+)|[:,]?\s*(?P<rest>please)?)$", False),
        (rf"^(?:what(?:'s| is)|tell me)\s+the\s+{_SUMMARY}(?:\s+of\s+(?P<topic>.+))?$", True),
        (rf"^(?:tell me |show me )?what(?:'s| is| stands)\s+in\s+(?P<topic>(?:{_OWN}\s+)+{_DOC})$", True),
        (rf"^what(?:'s| is| are)\s+(?P<topic>(?:{_OWN}\s+)+{_DOC}|.+?)\s+(?:all\s+)?about$", True),
        (rf"^what (?:do|does)\s+(?P<topic>(?:{_OWN}\s+)+{_DOC}|.+?)\s+(?:say|cover|contain|discuss|describe|deal with|talk about|include)(?: in general| overall)?$", True),
        (r"^what(?:'s| is| are) the\s+(?:main|key|central|most important|principal|major|overall|general)\s+(?:points?|topics?|themes?|ideas?|findings?|messages?|takeaways?|subjects?|arguments?|contents?|conclusions?)(?:\s+(?:of|in|from|across)\s+(?P<topic>.+))?$", True),
        (r"^(?:list|give|show|tell)(?: me| us)?\s+the\s+(?:main|key|central|most important|principal|major)\s+(?:points?|topics?|themes?|ideas?|findings?|takeaways?|arguments?|conclusions?)(?:\s+(?:of|in|from|across)\s+(?P<topic>.+))?$", True),
        (r"^what (?:topics?|subjects?|themes?) (?:do|does|are|is)\s+(?:covered (?:in|by)\s+)?(?P<topic>.+?)(?:\s+(?:cover|covered|discuss|discussed|deal with|about|treat))?$", True),
    )
)
_COMPARE = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        r"^(?:compare|contrast)\s+(?P<aspect>(?:the\s+)?[\w' -]{3,40}?)\s+(?:of|in|for|between)\s+(?P<a>.+?)\s+(?:and|with|to|against|versus|vs\.?)\s+(?P<b>.+)$",
        r"^(?:compare|contrast)\s+(?P<a>.+?)\s+(?:and|with|to|against|versus|vs\.?)\s+(?P<b>.+)$",
        r"^(?:(?:what (?:is|are|was|were)|what's|explain|describe|list|tell me|show me|give me)\s+)?(?:the\s+)?(?:main |key |major |biggest |principal )?(?:differences?|similarit(?:y|ies)|contrast|comparison)\s+between\s+(?P<a>.+?)\s+and\s+(?P<b>.+)$",
        r"^how (?:do|does|did|is|are|was|were)\s+(?P<a>.+?)\s+(?:differ|different|differs|compare|compares)\s+(?:from|to|with)\s+(?P<b>.+)$",
        r"^how (?:do|did|are|were)\s+(?P<a>.+?)\s+and\s+(?P<b>.+?)\s+(?:differ|different|compare)(?: from each other)?$",
        r"^what do\s+(?P<a>.+?)\s+and\s+(?P<b>.+?)\s+have in common$",
        r"^(?P<a>[\w' -]{2,40}?)\s+(?:vs\.?|versus)\s+(?P<b>[\w' -]{2,40})$",
    )
)
_ASPECT = re.compile(r"^(?P<b>.+?)[,\s]+(?:in terms of|with respect to|with regard to|regarding|as to|concerning|by)\s+(?P<aspect>.+)$", re.I)
_FORM = r"(?P<form>pdf|word|docx?|html|markdown|excel|xlsx?|powerpoint|pptx?|text|image|e-?mail|chinese|english)?"
_IN_ALL = rf"(?:\s+(?:are there|there are|are|do i have|do we have|have i(?: got)?|are stored|exist|in total|altogether|in all))?(?:\s+(?:in|here)\b\s*(?:(?:{_OWN}|store|the store)\s*)*{_DOC}?)?"
_COUNT = tuple(
    (re.compile(pattern, re.I), what)
    for pattern, what in (
        (rf"^(?:how many|number of|count(?: all)?(?: the| my)?)\s+{_FORM}\s*(?:documents|docs|files|papers|reports|articles|notes)(?:{_IN_ALL})(?:\s+in total)?$", "documents"),
        (rf"^(?:how many|count the|which and how many)\s+(?:of\s+)?(?:{_OWN}\s+)*(?:documents|docs|files|papers|reports|articles|notes|sections|chapters|passages)\s+(?:mention|mentions|contain|talk about|discuss|refer to|speak of|name|include|are about|use the word)\s+(?P<term>.+)$", "mentioning"),
        (r"^how (?:often|many times)\s+(?:is|are|was|were)\s+(?P<term>.+?)\s+(?:mentioned|named|referred to|brought up)(?P<tail>\s+.*)?$", "mentions"),
        (rf"^how (?:often|many times)\s+(?:does|do)\s+(?P<term>.+?)\s+(?:occur|appear|come up|show up)\s+(?:in|across|throughout)\s+(?:{_OWN}\s+)+{_DOC}$", "mentions"),
        (r"^how (?:often|many times)\s+(?:does|do)\s+(?:the\s+)?(?:word|words|term|phrase|name|expression)\s+(?P<term>.+?)\s+(?:occur|appear|come up|show up)(?P<tail>\s+.*)?$", "mentions"),
        (r"^(?:count|number of)\s+(?:all\s+)?(?:the\s+)?(?:occurrences|mentions|instances)\s+of\s+(?P<term>.+)$", "mentions"),
        (r"^how many\s+(?:sections|chapters|headings|parts)\s+(?:does|do|has|have|are (?:there )?in|in)\s+(?P<doc>.+?)(?:\s+(?:have|contain))?$", "sections"),
    )
)
_CHAT = re.compile(r"\b(?:your|our|this|the) (?:(?:last|previous) )?(?:answers?|conversation|chat|discussion|reply|last question)\b|\bin your own words\b", re.I)
_TERM = re.compile(r"^(?:the )?(?:word|words|term|phrase|name|expression)\s+|[\"'“”‘’「」『』`]", re.I)
_IN_DOC = re.compile(rf"\s+(?:in|across|throughout)\s+(?:{_OWN}\s+)+{_DOC}$", re.I)


def recognise(question: str) -> Asked | None:
    """What an English question asks of the whole collection; None for an ordinary one."""
    bare = " ".join(question.split()).strip(" ?.!")
    return first(bare, _OPEN, _CHAT, (_count, _compare, _summary))


def _summary(bare: str) -> Asked | None:
    for rule, named in _RULES:
        found = rule.match(bare)
        if found:
            topic = _topic(found["topic"] or "")
            return Asked("summary", topic, named=named and bool(topic))
    return None


def _compare(bare: str) -> Asked | None:
    for rule in _COMPARE:
        found = rule.match(bare)
        if not found:
            continue
        parts = found.groupdict()
        b, aspect = parts["b"], parts.get("aspect") or ""
        if tail := _ASPECT.match(b):
            b, aspect = tail["b"], tail["aspect"]
        sides = tuple(_topic(_TERM.sub("", side)) or side for side in (parts["a"], b))
        return Asked("compare", sides=sides, aspect=re.sub(r"^the\s+", "", aspect.strip(), flags=re.I))
    return None


def _count(bare: str) -> Asked | None:
    for rule, what in _COUNT:
        found = rule.match(bare)
        if not found:
            continue
        parts = found.groupdict()
        tail = (parts.get("tail") or "").strip()
        if tail and not re.fullmatch(rf"(?:in|across|throughout)\s+(?:{_OWN}\s+)*{_DOC}", tail, re.I):
            return None
        if what == "sections":
            topic = _topic(parts["doc"])
            return Asked("count", topic, what="sections", named=bool(topic))
        term = _TERM.sub("", _IN_DOC.sub("", parts.get("term") or "")).strip()
        return Asked("count", term, what=what, form=(parts.get("form") or "").lower())  # type: ignore[arg-type]
    return None


def _topic(topic: str) -> str:
    """The subject without what only says "all of it"."""
    topic = re.sub(r"^(?:what|everything|all)\s+(?:(?:the|my|these) \w+\s+)?(?:say|says|is said|is written)\s+(?:about|on)\s+", "", topic.strip(), flags=re.I)
    topic = re.sub(r"\s+(?:for me|please|in (?:a few|two|three|five|\d+) (?:sentences|words|lines|points)|briefly|shortly)$", "", topic, flags=re.I)
    if WHOLE.match(topic):
        return ""
    return topic.strip(" \"'“”‘’")
