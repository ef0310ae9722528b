"""Rules for Chinese follow-ups."""

from __future__ import annotations

import re
from collections.abc import Callable

from ingest.fold import fold
from rag.followup.asked import Asked

LIMIT = 24  # characters that a rewriting may add behind the question

_LEANS = re.compile(
    r"它|他们|她们|他|她|这(?!么)|那(?!么)|那么|其中|其(?=[他它余]?[\u4e00-\u9fff]{1,4}[是有在？?])"
    r"|此|该|前者|后者|^(?:呢|那|还有|另外)|呢[？?]?$|后来|之后呢|当时"
)
_ASKING = re.compile(
    r"是?什么时候|什么地方|为什么|是什么|什么|怎么样|怎么|怎样|如何|哪一?[个位些年里儿]?|多少|几[个位年月日]?|谁|何时|何地|何"
    r"|多[高长大远久快重宽]|吗|呢|请问|请|是否|[的了是在有？?，。！,.!\s]"
)
_OTHER = re.compile(r"^(?:那么|那|还有|而)?(?P<name>[^，。？?]{1,20}?)(?:呢|怎么样|又如何|又怎样)[？?]?$")
_PERSON = re.compile(r"他们|她们|[他她]")
_PRONOUN = re.compile(r"(?:它们|他们|她们|[它他她]|其(?=[\u4e00-\u9fff]))(?P<own>的?)")
_PLACE = re.compile(r"那里|那儿|这里|这儿|当地")
_THESE = re.compile(r"[这那](?:些|个|座|种|本|款|家|项|份|位|次|年)?")
_JOINED = re.compile(r"^(?:那么|那|还有|另外)(?![里儿些个座种本款家项份位次年])[，,]?")
# Where the subject ends and what is said of it begins.
_SUBJECT = re.compile(
    r"^(?P<name>(?:《[^》]+》|[^，。？?]){2,16}?)(?:的(?!$)|[产位生属死建源]于|出生|是|有|在|于|何时|什么|多|怎|如何|为什么|为何|从|会|能|可以|采用|用"
    r"|出过|收|需要|要|每|一共|共|得过|获得|现在|今天|最|第|哪|谁|坐|留)"
)
_ANSWERED = re.compile(r"(?:是|叫|为|由|者)(?P<name>[\u4e00-\u9fff]{2,4}?)(?=[，。,（(、]|$)")


def leans(question: str) -> bool:
    """See `rag.followup.leans`."""
    if _LEANS.search(question):
        return True
    own = _SUBJECT.match(question)  # 月球有多重？ is short, and about the moon
    named = own is not None and "谁" not in own["name"] and not _ASKING.search(own["name"])
    return not named and len(_ASKING.sub("", question)) <= 2


def open_ended(question: str) -> bool:
    """Whether a question that does not lean is so short that it may be about the last subject."""
    return len(_ASKING.sub("", question)) <= 8 and "《" not in question


def complete(question: str, asked: Asked, named: Callable[[str], bool] | None) -> tuple[str, bool]:
    """A leaning question made whole, and whether its subject is still the earlier one."""
    subject = _subject(asked)
    other = _OTHER.match(question)
    if other is not None and not _PRONOUN.search(question) and not _PLACE.search(question):
        found = _exchanged(other["name"], asked.question, subject, named)
        if found:
            return found, False
        if subject:
            return f"{subject}的{other['name']}？", True
    if _PERSON.search(question) and ("谁" in asked.question or not subject):
        subject = _person(asked) or subject
    return _with(question, subject, asked), True


def _subject(asked: Asked) -> str:
    """What the earlier question shares with the title of what answered it, or what it begins with; "" without both."""
    for title in asked.titles[:2]:
        run = _shared(asked.question, title)
        if len(run) >= 2:
            return run
    match = _SUBJECT.match(asked.question)
    return match["name"] if match and not _ASKING.fullmatch(match["name"]) and "谁" not in match["name"] else ""


def _shared(question: str, title: str) -> str:
    """The longest run of the question, without words of asking, that stands in the title."""
    folded = fold(title)
    best = ""
    for piece in _ASKING.sub(" ", question).split():
        for start in range(len(piece)):
            for end in range(len(piece), start + len(best), -1):
                if fold(piece[start:end]) in folded:
                    best = piece[start:end]
                    break
    return best


def _person(asked: Asked) -> str:
    """Who the answer names: the one whom its document is about, or who stands behind 是, 由 or 叫."""
    said = asked.said
    for title in asked.titles[:2]:
        if 2 <= len(title) <= 6 and (title in said or _PERSON.search(said)) and title not in asked.question:
            return title
    match = _ANSWERED.search(said)
    return match["name"] if match else ""


def _exchanged(name: str, question: str, subject: str, named: Callable[[str], bool] | None) -> str:
    """The earlier question about something else; "" where it asks something else about the same."""
    head, _, part = name.partition("的")
    if not subject or not (part or _alike(head, subject) or (named is not None and named(head))):
        return ""
    if subject not in question:
        return f"{name}：{question}"
    text = question.replace(subject, head, 1)
    return f"{text}（{part}）" if part else text


def _alike(name: str, subject: str) -> bool:
    """Two of a kind: 青岚桥 and 石溪高架桥."""
    return name[-1:] == subject[-1:]


def _with(question: str, subject: str, asked: Asked) -> str:
    """The question with the subject in place of its pronoun, or before it."""
    text = _JOINED.sub("", question) or question
    said = asked.question.replace(subject, " ") if subject else asked.question
    rest = [piece for piece in _ASKING.sub(" ", said).split() if piece not in question]
    if not subject:
        return f"{text}（{' '.join(rest)[:LIMIT]}）" if rest else text
    for pattern in (_PRONOUN, _PLACE):
        if match := pattern.search(text):
            own = "的" if "own" in match.groupdict() and match["own"] else ""
            return f"{text[: match.start()]}{subject}{own}{text[match.end() :]}"
    if match := _THESE.search(text):
        return f"{text[: match.start()]}{subject}的{text[match.end() :]}"
    whole = text if subject in text else f"{subject}{text}"
    if len(_ASKING.sub("", text)) <= 3 and rest:
        return f"{whole}（{' '.join(rest)[:LIMIT]}）"
    return whole
