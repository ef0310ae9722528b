"""Documents of several formats with a quotation in each, and a store of them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from rag.types import Answer, Citation, Source

HOSTILE = '<img src=x onerror=alert(1)> </pre></table><script>x</script> "&amp;" `${1}` {{2}}'
MARKDOWN = f"""---
title: Locks
---

# Locks & *latches*

A lock **is held** by `one thread`. See [the paper](http://evil.example/x "t") and ![pic](http://evil.example/p.png).

Setext heading
--------------

- first item
  - deeper: {HOSTILE}
1. numbered

> someone said so

| name | value |
|------|------:|
| lock | **2** rooms |
| latch | 3 |

```python
print("<b>bold</b>")  # {HOSTILE}
```

***

## 锁的顺序

先取得锁，再读取数据。The last line has no break"""
HTML = """<html><head><title>Rivers</title></head><body><h1>Rivers</h1><p>Rivers <b>rise</b> in spring.</p>
<table><tr><th>river</th><th>length</th></tr><tr><td>Blue</td><td>12 miles &lt;long&gt;</td></tr></table>
<ul><li>one</li><li>two</li></ul><pre>
keep   this
</pre></body></html>"""
TEXT = "\n\nA dam holds\nthem back.\n\n\n  Nobody knows the rest.\n第二段说水流向东方。\n"
CODE = '\n\ndef f(x):\n    """Doc <b>"""\n    return x | 2\n'
CSV = "name,value\nlock,2\nlatch,3\n"
LINES = {
    1: [
        "Halden bridge",
        "The bridge was opened in 1931 by the may-",
        "or of the town. Toll is two crowns.",
        "Toll is two crowns.",
    ],
    2: ["Second page: nothing is", "said here of the bridge."],
}


def word() -> bytes:
    import docx

    document = docx.Document()
    document.add_heading("Tea", 1)
    document.add_paragraph("Tea is picked before 5 April. 茶叶装在陶罐里。")
    document.add_paragraph("green", style="List Bullet")
    table = document.add_table(rows=2, cols=2)
    for cell, text in zip(table._cells, ("kind", "price", "Longjing", "9 <crowns>"), strict=True):
        cell.text = text
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def pdf(turned: int = 0, pages: dict[int, list[str]] | None = None) -> bytes:
    """Pages of text in Helvetica, 12 points, the first line at (72, 720), the next 20 points below."""
    pages = LINES if pages is None else pages
    kids = b" ".join(b"%d 0 R" % (4 + 2 * n) for n in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(pages), kids),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for n, lines in enumerate(pages.values()):
        shown = b"".join(
            b"BT /F1 12 Tf 72 %d Td (%s) Tj ET\n" % (720 - 20 * i, line.encode("cp1252"))
            for i, line in enumerate(lines)
        )
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /Rotate %d /MediaBox [0 0 612 792] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % (turned, 5 + 2 * n)
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(shown), shown))
    out, offsets = b"%PDF-1.4\n", []
    for n, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (n, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    end = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, len(out))
    return out + b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + table + end


def write(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, bytes] = {
        "locks.md": MARKDOWN.encode(), "rivers.html": HTML.encode(), "dam.txt": TEXT.encode(), "code.py": CODE.encode(),
        "table.csv": CSV.encode(), "tea.docx": word(), "bridge.pdf": pdf(), "turned.pdf": pdf(90),
    }  # fmt: skip
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def cited(record: Any, chunk: Any, text: str, *quotes: str, n: int = 1) -> tuple[Source, list[Citation]]:
    """A chunk as a source, and the quotations in it as citations."""
    place = {
        "n": n, "doc_id": record.id, "chunk_id": chunk.id, "source": record.path, "title": record.title,
        "headings": chunk.headings, "page": chunk.page, "score": 0.5,
    }  # fmt: skip
    source = Source(**place, start=chunk.start, end=chunk.end, text=text[chunk.start : chunk.end])
    found = [text.index(quote, chunk.start) for quote in quotes]
    citations = [
        Citation(**place, start=at, end=at + len(quote), quote=quote) for at, quote in zip(found, quotes, strict=True)
    ]
    return source, citations


def answer(sources: list[Source], citations: list[Citation], **fields: Any) -> Answer:
    values = {
        "question": "q", "rewritten": "q", "answer": "a", "refused": False, "confidence": 0.8, "mode": "quote",
        "language": "en", "citations": citations, "sources": sources,
    }  # fmt: skip
    return Answer.model_validate(values | fields)
