"""Every format, in English and Chinese: what a file holds comes out, under its heading and on its page, or is accounted
for by name.
"""

from __future__ import annotations

import datetime

import openpyxl
import pytest

from ingest.split import split
from tests.ingest.formats import made
from tests.ingest.formats.corpus import LEFT_OUT, MAKERS, PAGED, omitted, read, words
from tests.ingest.formats.made import LANGUAGES


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", MAKERS)
def test_what_a_file_holds_comes_out(name: str, language: str) -> None:
    facts = LANGUAGES[language]
    document = read(name, MAKERS[name](facts))
    for fact in ("first", "second", "body", "more", "item", "note"):
        in_heading = any(facts[fact] in heading for section in document.sections for heading in section.headings)
        assert facts[fact] in document.text or in_heading, fact
    for cell in [cell for row in facts["table"] for cell in row]:
        assert cell in document.text
    if name != "a.md":
        assert document.title == facts["title"]
    for fact in ("deleted", "comment", "running"):
        if name not in ("a.rst", "a.adoc", "a.md"):
            assert facts[fact] not in document.text
    told = omitted(document)
    for reason, fact in LEFT_OUT.get(name, {}).items():
        assert told[reason] >= len(facts[fact])


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", [name for name in MAKERS if name not in ("a.eml", "a.msg")])
def test_headings_and_pages_survive_to_the_chunk(name: str, language: str) -> None:
    facts = LANGUAGES[language]
    document = read(name, MAKERS[name](facts))
    chunks = {}
    for chunk in split(document, words, 60):
        for fact in ("body", "more"):
            if facts[fact] in chunk.text:
                chunks[fact] = chunk
    assert facts["first"] in chunks["body"].headings
    assert facts["second"] in chunks["more"].headings
    pages = PAGED.get(name, (None, None))
    assert (chunks["body"].page, chunks["more"].page) == pages


def test_rows_of_sheets_name_their_columns() -> None:
    for name in ("a.xlsx", "a.ods"):
        assert (
            "Keeper: Quill; Years: thirty\nKeeper: Marsh; Years: four" in read(name, MAKERS[name](LANGUAGES["en"])).text
        )


def test_tables_keep_their_header_with_every_row_group() -> None:
    rows = [["Keeper", "Years"], *([f"keeper {n}", f"{n} years"] for n in range(60))]
    facts = {**LANGUAGES["en"], "table": rows}
    for name in ("a.odt", "a.html", "a.rtf", "a.md", "a.tex", "a.epub", "a.rst"):
        chunks = split(read(name, MAKERS[name](facts)), words, 60)
        inside = [chunk for chunk in chunks if "keeper 1" in chunk.text or "keeper 4" in chunk.text]
        assert len(inside) > 2
        assert all("Keeper" in chunk.embed_text and "Years" in chunk.embed_text for chunk in inside), name
        assert max(words([chunk.embed_text for chunk in chunks])) <= 60


def test_values_of_excel_as_their_cells_show_them() -> None:
    opened = openpyxl.Workbook()
    sheet = opened.active
    sheet.append(["When", "Share", "Long", "Sum", "Clock"])
    sheet.append([datetime.date(2024, 2, 29), 0.125, datetime.timedelta(hours=30), 0.1 + 0.2, datetime.time(9, 30)])
    sheet["B2"].number_format = "0.0%"
    sheet["C2"].number_format = "[h]:mm"
    sheet["H4"] = "alone"
    text = read("a.xlsx", made.saved(opened)).text
    assert text == "When: 2024-02-29; Share: 12.5%; Long: 30:00; Sum: 0.3; Clock: 09:30\nH: alone"
