"""Office files, e-books and pages, made by code from one list of facts, so that a test knows what they hold."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import docx
import openpyxl
import pptx
from pptx.util import Inches

LANGUAGES = {
    "en": {
        "title": "The Lighthouse Report",
        "first": "Harbour",
        "second": "Keepers",
        "body": "The lantern was lit in 1871 by Ada Quill & her sons.",
        "more": "Nobody drowned that winter <not one>.",
        "item": "paraffin lamp",
        "note": "Measured from the quay.",
        "table": [["Keeper", "Years"], ["Quill", "thirty"], ["Marsh", "four"]],
        "running": "Confidential draft",
        "deleted": "struck sentence",
        "comment": "check this date",
    },
    "zh": {
        "title": "灯塔报告",
        "first": "港口",
        "second": "守塔人",
        "body": "一八七一年，奎尔与她的儿子们点亮了灯室。",
        "more": "那年冬天没有人溺水。",
        "item": "煤油灯",
        "note": "从码头量起。",
        "table": [["守塔人", "年数"], ["奎尔", "三十"], ["马什", "四"]],
        "running": "机密草稿",
        "deleted": "删去的句子",
        "comment": "核对日期",
    },
}

Facts = dict[str, Any]


def package(parts: dict[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip file of ``{name: content}``."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as opened:
        for name, content in parts.items():
            opened.writestr(name, content)
    return buffer.getvalue()


def saved(opened: Any) -> bytes:
    buffer = io.BytesIO()
    opened.save(buffer)
    return buffer.getvalue()


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def word(facts: Facts) -> bytes:
    """A Word file by python-docx, with what that library cannot write put into its XML."""
    opened = docx.Document()
    opened.core_properties.title = facts["title"]
    opened.add_heading(facts["first"], 1)
    opened.add_paragraph(facts["body"])
    opened.add_paragraph(facts["item"], style="List Bullet")
    opened.add_heading(facts["second"], 2)
    table = opened.add_table(3, 2)
    for row, cells in zip(table.rows, facts["table"], strict=True):
        for cell, text in zip(row.cells, cells, strict=True):
            cell.text = text
    opened.add_paragraph("@box@")
    opened.sections[0].footer.paragraphs[0].text = facts["running"]
    namespace = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    options = "".join(
        f'<mc:{name} Requires="wps"><w:txbxContent><w:p><w:r><w:t>{escaped(facts["more"])}</w:t></w:r></w:p>'
        f"</w:txbxContent></mc:{name}>"
        for name in ("Choice", "Fallback")
    )
    compatibility = "http://schemas.openxmlformats.org/markup-compatibility/2006"
    box = f'<mc:AlternateContent xmlns:mc="{compatibility}">{options}</mc:AlternateContent>'
    control = f"<w:sdt><w:sdtContent><w:p><w:r><w:t>in a control: {escaped(facts['item'])}</w:t></w:r></w:p></w:sdtContent></w:sdt>"
    notes = f'<w:footnotes {namespace}><w:footnote w:id="2"><w:p><w:r><w:t>{facts["note"]}</w:t></w:r></w:p></w:footnote></w:footnotes>'
    with zipfile.ZipFile(io.BytesIO(saved(opened))) as made:
        parts: dict[str, str | bytes] = {name: made.read(name) for name in made.namelist()}
    body = bytes(parts["word/document.xml"]).decode()
    body = body.replace("<w:t>@box@</w:t>", f'{box}<w:footnoteReference w:id="2"/>')
    body = body.replace(
        "<w:sectPr",
        f"{control}<w:p><w:del><w:r><w:delText>{facts['deleted']}</w:delText></w:r></w:del></w:p><w:sectPr",
        1,
    )
    parts["word/document.xml"] = body
    parts["word/footnotes.xml"] = notes
    links = bytes(parts["word/_rels/document.xml.rels"]).decode()
    link = '<Relationship Id="rId99" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes" Target="footnotes.xml"/>'
    parts["word/_rels/document.xml.rels"] = links.replace("</Relationships>", f"{link}</Relationships>")
    return package(parts)


def slides(facts: Facts) -> bytes:
    opened = pptx.Presentation()
    opened.core_properties.title = facts["title"]
    first = opened.slides.add_slide(opened.slide_layouts[1])
    first.shapes.title.text = facts["first"]
    first.placeholders[1].text = f"{facts['body']}\n{facts['item']}"
    first.notes_slide.notes_text_frame.text = facts["note"]
    second = opened.slides.add_slide(opened.slide_layouts[5])
    second.shapes.title.text = facts["second"]
    table = second.shapes.add_table(3, 2, Inches(1), Inches(2), Inches(4), Inches(2)).table
    for n, cells in enumerate(facts["table"]):
        for m, text in enumerate(cells):
            table.cell(n, m).text = text
    group = second.shapes.add_group_shape()
    group.shapes.add_textbox(Inches(1), Inches(5), Inches(4), Inches(1)).text_frame.text = facts["more"]
    return saved(opened)


def sheets(facts: Facts) -> bytes:
    opened = openpyxl.Workbook()
    opened.properties.title = facts["title"]
    first = opened.active
    first.title = facts["first"]
    for row in ([facts["body"]], [], *facts["table"]):
        first.append(row)
    second = opened.create_sheet(facts["second"])
    for row in ([facts["item"], 12.5], [facts["more"], True], [facts["note"], None]):
        second.append(row)
    second["A1"].comment = openpyxl.comments.Comment(facts["comment"], "A")
    second["B5"] = "=SUM(B1:B1)"
    return saved(opened)


_ODF = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0" '
    'xmlns:presentation="urn:oasis:names:tc:opendocument:xmlns:presentation:1.0" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/"'
)


def _odf(kind: str, body: str, title: str) -> bytes:
    mimetype = f"application/vnd.oasis.opendocument.{kind}"
    content = f"<office:document-content {_ODF}><office:body><office:{kind}>{body}</office:{kind}></office:body></office:document-content>"
    meta = (
        f"<office:document-meta {_ODF}><office:meta><dc:title>{title}</dc:title></office:meta></office:document-meta>"
    )
    return package({"mimetype": mimetype, "content.xml": content, "meta.xml": meta})


def _odf_table(rows: list[list[str]], name: str = "t") -> str:
    cells = [
        "".join(f"<table:table-cell><text:p>{escaped(cell)}</text:p></table:table-cell>" for cell in row)
        for row in rows
    ]
    return (
        f'<table:table table:name="{name}">'
        + "".join(f"<table:table-row>{row}</table:table-row>" for row in cells)
        + "</table:table>"
    )


def open_text(facts: Facts) -> bytes:
    note = f"<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>{facts['note']}</text:p></text:note-body></text:note>"
    return _odf(
        "text",
        f"<text:tracked-changes><text:p>{facts['deleted']}</text:p></text:tracked-changes>"
        f'<text:h text:outline-level="1">{facts["first"]}</text:h><text:p>{escaped(facts["body"])}{note}</text:p>'
        f"<text:list><text:list-item><text:p>{facts['item']}</text:p></text:list-item></text:list>"
        f'<text:h text:outline-level="2">{facts["second"]}</text:h>{_odf_table(facts["table"])}'
        f"<text:p><draw:frame><draw:text-box><text:p>{escaped(facts['more'])}</text:p></draw:text-box></draw:frame></text:p>"
        f"<text:p><office:annotation><text:p>{facts['comment']}</text:p></office:annotation></text:p>",
        facts["title"],
    )


def open_sheet(facts: Facts) -> bytes:
    blank = '<table:table-row table:number-rows-repeated="1048000"><table:table-cell table:number-columns-repeated="16384"/></table:table-row>'
    first = _odf_table([[facts["body"]], *facts["table"]], facts["first"]).replace(
        "</table:table>", f"{blank}</table:table>"
    )
    rest = [[facts["item"], facts["more"]], [facts["note"], "1"]]
    return _odf("spreadsheet", first + _odf_table(rest, facts["second"]), facts["title"])


def open_slides(facts: Facts) -> bytes:
    def page(title: str, body: str) -> str:
        frame = f'<draw:frame presentation:class="title"><draw:text-box><text:p>{title}</text:p></draw:text-box></draw:frame>'
        return f"<draw:page>{frame}{body}</draw:page>"

    box = f"<draw:frame><draw:text-box><text:p>{escaped(facts['body'])}</text:p><text:list><text:list-item><text:p>{facts['item']}</text:p></text:list-item></text:list></draw:text-box></draw:frame>"
    notes = f"<presentation:notes><draw:frame><draw:text-box><text:p>{facts['note']}</text:p></draw:text-box></draw:frame></presentation:notes>"
    more = f"<draw:custom-shape><text:p>{escaped(facts['more'])}</text:p></draw:custom-shape><draw:frame>{_odf_table(facts['table'])}</draw:frame>"
    return _odf("presentation", page(facts["first"], box + notes) + page(facts["second"], more), facts["title"])


def html(facts: Facts) -> str:
    rows = "".join("<tr>" + "".join(f"<td>{escaped(cell)}</td>" for cell in row) + "</tr>" for row in facts["table"])
    return (
        f"<html><head><meta charset='utf-8'/><title>{facts['title']}</title></head><body><h1>{facts['first']}</h1><p>{escaped(facts['body'])}</p>"
        f"<ul><li>{facts['item']}</li></ul><h2>{facts['second']}</h2><table>{rows}</table><p>{escaped(facts['more'])}</p>"
        f"<aside>{facts['note']}</aside><nav>{facts['running']}</nav><div hidden='hidden'>{facts['deleted']}</div><!-- {facts['comment']} --></body></html>"
    )


def book(facts: Facts) -> bytes:
    opf = (
        '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
        f"<dc:title>{facts['title']}</dc:title></metadata><manifest>"
        '<item id="n" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
        '<item id="b" href="text/two%20b.xhtml" media-type="application/xhtml+xml"/>'
        '<item id="a" href="one.xhtml" media-type="application/xhtml+xml"/></manifest>'
        '<spine><itemref idref="a"/><itemref idref="b"/></spine></package>'
    )
    rows = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in facts["table"])
    one = f"<html><head><title>x</title></head><body><h1>{facts['first']}</h1><p>{escaped(facts['body'])}</p><p>{facts['item']}</p></body></html>"
    two = f"<html><body><h1>{facts['second']}</h1><table>{rows}</table><p>{escaped(facts['more'])}</p><p>{facts['note']}</p></body></html>"
    return package(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile full-path="OEBPS/content.opf"/></rootfiles></container>',
            "OEBPS/content.opf": opf,
            "OEBPS/one.xhtml": one,
            "OEBPS/text/two b.xhtml": two,
            "OEBPS/nav.xhtml": f"<html><body><nav><ol><li>{facts['running']}</li></ol></nav></body></html>",
        }
    )
