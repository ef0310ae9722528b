"""Files inside a file: what every archive and message does with its members.

The whole becomes one document, stored, moved and replaced as one; each member keeps its headings, pages and manner of
being cut, under a heading that names it as ``archive.zip!/folder/file.md``.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path, PurePosixPath

from ingest.limits import Budget, LimitReached
from ingest.parsers.draft import MAX_HEADING, finish
from ingest.types import MEMBER, IngestError, Omission, ParsedDocument, Section, member_of

_HIDDEN = frozenset(("__MACOSX", "node_modules", "__pycache__"))
_LISTED = 20  # members named for one reason; of the others the number


class Bundle:
    """Gathers the members of the file ``path``; text of its own (a message's) may come first, by `text`."""

    def __init__(self, path: Path, budget: Budget) -> None:
        self._path = path
        self._budget = budget
        self._parts: list[str] = []
        self._length = 0
        self._sections: list[Section] = []
        self._omitted: dict[str, int] = defaultdict(int)
        self._unread: dict[str, list[str]] = defaultdict(list)
        self._notes: list[str] = []
        self._names: set[str] = set()

    def text(self, document: ParsedDocument) -> None:
        """Take in a text that is not a member."""
        self._take(document, [(s.headings, s.kind or document.kind) for s in document.sections])

    def member(self, name: str, data: bytes) -> None:
        """Parse the member ``name`` and take it in, or note why it is not read."""
        from ingest.parsers import advice, family, parse_file

        self._budget.member()
        shown = self._unique(tidy(name))
        path = Path(PurePosixPath(shown).name)
        if hidden(shown):
            self.unread("hidden", shown)
        elif family(path) is None:
            self.unread(advice(path), shown)
        else:
            try:
                document = parse_file(path, data, self._budget)
            except LimitReached:
                raise
            except IngestError as error:
                self.unread(str(error).removeprefix(f"{path.name} ").rstrip("."), shown)
                return
            self._take(document, [_place(f"{self._path.name}{MEMBER}{shown}", document, s) for s in document.sections])
            self._notes += [f"{shown}: {o.reason}" for o in document.omissions if not o.characters]
            self._budget.step()

    def unread(self, reason: str, name: str) -> None:
        self._unread[reason].append(name)

    def document(self, title: str, kind: str) -> ParsedDocument:
        """The whole; it may be empty, when it holds nothing but pictures."""
        text = "".join(self._parts)
        unread = [f"{_listed(names)}: {reason}" for reason, names in self._unread.items()]
        omissions = [Omission(reason, count) for reason, count in self._omitted.items()]
        given = len(text) + sum(self._omitted.values())
        return finish(text, title, kind, self._sections, given, omissions, unread=[*unread, *self._notes])

    def _take(self, document: ParsedDocument, places: list[tuple[tuple[str, ...], str]]) -> None:
        if self._parts:
            self._parts.append("\n\n")
            self._length += 2
        self._parts.append(document.text)
        for section, (headings, kind) in zip(document.sections, places, strict=True):
            start, end = section.start + self._length, section.end + self._length
            self._sections.append(Section(start, end, headings, section.page, kind))
        self._length += len(document.text)
        if self._length > self._budget.limits.characters:
            raise LimitReached(f"holds more than {self._budget.limits.characters} characters; unpack it first.")
        for omission in document.omissions:
            self._omitted[omission.reason] += omission.characters

    def _unique(self, name: str) -> str:
        """A name of its own for each member: archives may hold one name twice."""
        shown, count = name, 1
        while shown in self._names:
            count += 1
            path = PurePosixPath(name)
            shown = str(path.with_name(f"{path.stem} ({count}){path.suffix}"))
        self._names.add(shown)
        return shown


def tidy(name: str) -> str:
    """A member's path for people: no way out of the archive, no control characters; nothing is ever written there."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    shown = "/".join(parts) or "unnamed"
    return "".join(char if char.isprintable() else "\ufffd" for char in shown)


def hidden(name: str) -> bool:
    """Whether a folder of files would be passed over by the same name."""
    return any(part.startswith(".") or part in _HIDDEN for part in name.split("/"))


def _place(label: str, document: ParsedDocument, section: Section) -> tuple[tuple[str, ...], str]:
    """Headings and kind of a member's section: its name, its title where that says more, its own headings."""
    inner = member_of(section.headings)
    if inner:
        label = f"{label}{MEMBER}{inner.partition(MEMBER)[2]}"
        return (_short(label), *section.headings[1:]), section.kind
    stem = PurePosixPath(label).stem.replace("_", " ")
    first = section.headings[0] if section.headings else ""
    title = (document.title,) if document.title not in (stem, PurePosixPath(label).name, first) else ()
    return (_short(label), *title, *section.headings), section.kind or document.kind


def _short(label: str) -> str:
    """A label within the length of a heading: its beginning names the archive, its end the file."""
    half = MAX_HEADING // 2 - 1
    return label if len(label) <= MAX_HEADING else f"{label[:half]}…{label[-half:]}"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
