"""Pictures of text and scanned pages: what Tesseract reads goes in, and where it is missing the file says what to do.

Most tests put a program of their own in Tesseract's place, which answers as Tesseract 5.3 does.
"""

from __future__ import annotations

import io
import shutil
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from ingest.discover import discover
from ingest.limits import Budget, Limits
from ingest.parsers import ocr, parse_file
from ingest.pipeline import ingest
from ingest.sandbox import ParserPool
from ingest.types import IngestError, ParsedDocument
from tests.ingest.formats.corpus import omitted, read
from tests.ingest.tiny_encoder import write_static

Lines = list[tuple[str, float]]
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put a program called tesseract on the path, which reads every picture as the lines given by language."""

    def put(readings: dict[str, Lines] | None, script: str = "") -> None:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        monkeypatch.setenv("PATH", str(folder))
        if readings is not None:
            tables = {
                language: "".join(
                    f"5\t{page + 1}\t1\t1\t{n + 1}\t{m + 1}\t0\t0\t9\t9\t{sure}\t{word}\n"
                    for page in range(1)
                    for n, (line, sure) in enumerate(lines)
                    for m, word in enumerate(line.split())
                )
                for language, lines in readings.items()
            }
            source = (
                f"#!{sys.executable}\nimport sys\ntables = {tables!r}\n{script}\n"
                "if sys.argv[1] == '--list-langs':\n    print('List of languages:', *tables, sep='\\n')\n"
                "else:\n    assert sys.stdin.buffer.read()\n    print('level\\tpage_num')\n"
                "    sys.stdout.write(tables[sys.argv[sys.argv.index('-l') + 1]])\n"
            )
            program = folder / "tesseract"
            program.write_text(source, encoding="utf-8")
            program.chmod(program.stat().st_mode | stat.S_IXUSR)
        forget()

    yield put
    forget()


def forget() -> None:
    ocr.program.cache_clear()
    ocr.languages.cache_clear()


def scanned(pages: list[str | None]) -> bytes:
    """A PDF; a page of None is a grey picture that covers it."""
    picture = zlib.compress(bytes(100))
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    objects.append(
        b"<< /Type /XObject /Subtype /Image /Width 10 /Height 10 /ColorSpace /DeviceGray /BitsPerComponent 8 "
        b"/Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream" % (len(picture), picture)
    )
    kids = []
    for page in pages:
        drawn = b"q 600 0 0 780 6 6 cm /I Do Q" if page is None else b"BT /F 12 Tf 72 700 Td (%s) Tj ET" % page.encode()
        kids.append(len(objects) + 1)
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "
            b"/Resources << /Font << /F 3 0 R >> /XObject << /I 4 0 R >> >> >>" % (len(objects) + 2)
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawn), drawn))
    listed = b" ".join(b"%d 0 R" % kid for kid in kids)
    objects[1] = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(kids), listed)
    out, offsets = b"%PDF-1.4\n", []
    for n, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (n, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return out + b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (
        len(objects) + 1, table, len(objects) + 1, len(out),
    )  # fmt: skip


def pages_of(document: ParsedDocument) -> list[tuple[int | None, str]]:
    return [(section.page, document.text[section.start : section.end]) for section in document.sections]


def test_a_picture_of_english(install: Install) -> None:
    install({"eng": [("The lantern was lit.", 96.0), ("~ %", 12.0)], "chi_sim": [("The lantern was llt.", 80.0)]})
    document = read("scan.png", b"a picture")
    assert document.text == "The lantern was lit."
    assert omitted(document) == {ocr.DOUBTFUL: 3}


def test_a_picture_of_chinese_is_not_read_as_english(install: Install) -> None:
    install(
        {
            "eng": [("ORLA SE TIT 8.", 18.0), ("Fig. 2", 95.0)],
            "chi_sim": [("点 亮 了 灯 室 。", 82.0), ("Flg. 2", 70.0)],
            "chi_tra": [("點 亮 了 煩 室", 68.0), ("Flg 2", 60.0)],
        }
    )
    assert read("scan.tiff", b"a picture").text == "点亮了灯室。\nFig. 2"


def test_scanned_pages_keep_their_numbers(install: Install) -> None:
    install({"eng": [("Read from a picture.", 95.0)], "chi_sim": []})
    document = read("a.pdf", scanned(["A page with text.", None]))
    assert pages_of(document) == [(1, "A page with text."), (2, "Read from a picture.")]
    assert omitted(document) == {}
    assert "Read from a picture." in read("all.pdf", scanned([None, None])).text


def test_without_chinese_the_file_says_so(install: Install) -> None:
    install({"eng": [("Only English.", 95.0)]})
    [reason] = omitted(read("a.png", b"a picture"))
    assert reason.startswith("pictures were read without Chinese: sudo apt-get install tesseract-ocr-chi-sim")


def test_where_tesseract_is_missing_the_file_says_what_to_install(install: Install, tmp_path: Path) -> None:
    install(None)
    [reason] = omitted(read("a.pdf", scanned(["A page with text.", None, None])))
    assert reason.startswith("pages 2, 3 not read, being pictures: ") and ocr.INSTALL in reason
    with pytest.raises(IngestError, match=r"its 1 page\(s\) are pictures; .*sudo apt-get install tesseract-ocr"):
        parse_file(Path("a.pdf"), scanned([None]))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/photo.jpg").write_bytes(b"x")
    found = discover([tmp_path / "docs"])
    assert found.files == []
    assert found.skipped[0][1] == f"pictures are not read: to read pictures of text install Tesseract ({ocr.INSTALL})"


def test_a_picture_without_text_is_not_read_again(install: Install, tmp_path: Path) -> None:
    install({"eng": [("~~", 5.0)]})
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "photo.jpg").write_bytes(b"a picture")
    (docs / "note.txt").write_text("red fish")
    encoder = write_static(tmp_path / "encoder")
    report = ingest([docs], tmp_path / "store", encoder=str(encoder))
    assert (report.added, report.chunks, report.quarantined) == (2, 1, [])
    again = ingest([docs], tmp_path / "store")
    assert (again.unchanged, again.added) == (2, 0)


def test_a_program_that_never_ends_is_given_up(install: Install) -> None:
    install({"eng": []}, script="if sys.argv[1] != '--list-langs':\n    while True: pass")
    with pytest.raises(IngestError, match=r"a.png is a picture that took longer than 1 seconds to read"):
        parse_file(Path("a.png"), b"x", Budget(Limits(seconds=1.0)))


def test_recognition_ends_when_the_time_for_a_file_does(install: Install) -> None:
    install({"eng": [("One page.", 95.0)]})
    document = read("a.pdf", scanned(["Text of the first page.", None]), Limits(seconds=60.0, total_seconds=59.0))
    [reason] = omitted(document)
    assert reason.startswith("page 2 not read, being pictures: text recognition took longer than")


def test_recognition_in_the_sandbox(install: Install, tmp_path: Path) -> None:
    install({"eng": [("From inside the sandbox.", 95.0)]})
    path = tmp_path / "a.png"
    path.write_bytes(b"a picture")
    with ParserPool() as pool:
        assert pool.parse(path).document.text == "From inside the sandbox."


def test_tesseract_itself_or_the_advice_to_install_it(tmp_path: Path) -> None:
    forget()
    canvas = Image.new("L", (900, 160), 255)
    ImageDraw.Draw(canvas).text((40, 50), "The lantern was lit in 1871", font=ImageFont.load_default(size=48), fill=0)
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG")
    path = tmp_path / "scan.png"
    path.write_bytes(buffer.getvalue())
    with ParserPool() as pool:
        if shutil.which("tesseract"):
            assert "lantern was lit in 1871" in pool.parse(path).document.text
        else:
            with pytest.raises(IngestError, match="sudo apt-get install tesseract-ocr"):
                pool.parse(path)
