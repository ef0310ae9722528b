"""A file's bytes to a ParsedDocument; one module for each family of formats, imported when first needed.

``characters_in`` by family:

* text, Markdown, reStructuredText, AsciiDoc, code, log: the characters of the decoded file (line breaks as one);
* HTML, LaTeX: the same, or the readable text and what was left out of it where that is more;
* CSV, JSON, notebooks: the characters of the readable text that the parser writes, labels included, before cuts;
* PDF, pictures: the characters that the parser extracts or recognises, before hyphenation is undone;
* office formats, e-books, rich text, mail: the readable text with what was left out; a ledger (ledger.py) proves that
  every character that the file holds as text is in one or the other;
* archives: the sum over their members.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from ingest.limits import Budget, LimitReached
from ingest.parsers import ocr
from ingest.types import IngestError, ParsedDocument

PARSER_VERSION = 2  # raise it when stored texts would come out differently: files are then read again

_FAMILIES = {
    "text": ".txt .text .org .srt .vtt",
    "log": ".log .out",
    "markdown": ".md .markdown .mdown .mkd .mdx .qmd",
    "html": ".html .htm .xhtml",
    "pdf": ".pdf",
    "markup": ".rst .adoc .asciidoc",
    "latex": ".tex .ltx .latex",
    "docx": ".docx .docm",
    "pptx": ".pptx .pptm .ppsx",
    "xlsx": ".xlsx .xlsm",
    "odf": ".odt .ods .odp .odg .ott .ots .otp",
    "epub": ".epub",
    "rtf": ".rtf",
    "mail": ".eml",
    "msg": ".msg",
    "archive": ".zip .tar .tgz .tbz .tbz2 .txz .gz .bz2 .xz",
    "image": ".png .jpg .jpeg .tif .tiff",
    "notebook": ".ipynb",
    "table": ".csv .tsv",
    "data": ".json .jsonl .ndjson",
    "code": ".py .pyi .js .mjs .cjs .jsx .ts .tsx .c .h .cc .cpp .cxx .hpp .hh .cu .java .kt .scala .swift .cs .go .rs "
    ".rb .php .pl .lua .r .jl .sh .bash .zsh .fish .ps1 .bat .sql .toml .yaml .yml .ini .cfg .conf .properties "
    ".proto .graphql .css .scss .xml .cmake .mk .dockerfile .vue .svelte .hs .ml .ex .exs .erl .clj .dart",
}
_SUFFIXES = {suffix: family for family, listed in _FAMILIES.items() for suffix in listed.split()}
_NAMES = {
    **dict.fromkeys(("readme", "license", "licence", "notice", "authors", "changelog", "changes", "todo"), "text"),
    **dict.fromkeys(("makefile", "dockerfile", "gemfile", "rakefile", "justfile"), "code"),
}
_MODULES = {"log": "text"}

_BUDGETED = frozenset("pdf docx pptx xlsx odf epub mail msg archive image".split())  # they unpack, or read page by page
_MAY_BE_EMPTY = frozenset(("image", "archive"))  # stored without text, lest every run reads them again
_SINGLE = frozenset((".gz", ".bz2", ".xz"))

_ADVICE = {
    ".doc": "save it as .docx",
    ".pages": "save it as .docx",
    ".xls": "save it as .xlsx",
    ".numbers": "save it as .xlsx",
    ".ppt": "save it as .pptx",
    ".key": "save it as .pptx",
    ".mobi": "save it as .epub",
    ".azw3": "save it as .epub",
    ".7z": "unpack it first",
    ".rar": "unpack it first",
    ".zst": "unpack it first",
    **dict.fromkeys((".gif", ".bmp", ".webp", ".heic"), "save it as .png if it is a picture of text"),
}


def family(path: Path) -> str | None:
    """The family that reads ``path``, by its suffix or, without one, its name; None when none does."""
    suffix = path.suffix.lower()
    if suffix in _SINGLE and not path.stem.lower().endswith(".tar") and family(Path(path.stem)) is None:
        return None  # a packed file of a kind that is not read
    found = _SUFFIXES.get(suffix) if suffix else _NAMES.get(path.name.lower())
    return None if found == "image" and ocr.program() is None else found


def is_supported(path: Path) -> bool:
    return family(path) is not None


def advice(path: Path) -> str:
    """What to do about a file that no parser reads, as a clause without a full stop."""
    suffix = path.suffix.lower()
    if _SUFFIXES.get(suffix) == "image":
        return f"pictures are not read: {ocr.MISSING.removesuffix(' and ingest again with --rebuild')}"
    kind = f"files of type {suffix}" if suffix else "files without a suffix"
    return f"{kind} are not read: {_ADVICE.get(suffix, 'convert it to text, PDF, HTML or .docx')}"


def parse_file(path: Path, data: bytes, budget: Budget | None = None) -> ParsedDocument:
    """Parse ``data``, the bytes of ``path`` (which is not opened).

    Raises IngestError, one sentence that begins with the file's name, for a file that cannot be read or has no text.
    """
    chosen = family(path)
    if chosen is None:
        raise IngestError(f"{path.name}: {advice(path)}.")
    if data.startswith(b"%PDF-"):  # a PDF by another name
        chosen = "pdf"
    module = import_module(f"ingest.parsers.{_MODULES.get(chosen, chosen)}")
    try:
        given = (budget or Budget(packed=len(data)),) if chosen in _BUDGETED else ()
        document: ParsedDocument = module.parse(path, data, *given)
    except LimitReached as error:
        raise LimitReached(f"{path.name} {error}") from error
    except IngestError as error:
        raise IngestError(f"{path.name} {error}") from error
    except RecursionError as error:
        raise IngestError(f"{path.name} is nested too deeply to be read; flatten or split it.") from error
    if not document.text.strip() and chosen not in _MAY_BE_EMPTY:
        raise IngestError(f"{path.name} has no text; leave it out, or add some.")
    accounted = len(document.text) + sum(omission.characters for omission in document.omissions)
    if accounted != document.characters_in:
        raise IngestError(
            f"{path.name} was read as {document.characters_in} characters but {accounted} are accounted for; "
            "please report this file."
        )
    return document
