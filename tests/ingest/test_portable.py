"""A store as one file: there and back, and what a stranger may have put into it."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ingest.encode import Encoder
from ingest.pipeline import ingest
from ingest.portable import DOCUMENTS, MANIFEST, VECTORS
from ingest.portable import reading as portable_reading
from ingest.portable.importing import take_in
from ingest.portable.writing import export
from ingest.store import Store
from ingest.store.audit import audit
from ingest.types import IngestError
from tests.ingest.store.storekit import new_document, pieces
from tests.ingest.tiny_encoder import write_static

WORDS = ["[UNK]", "red", "green", "blue", "fish", "tree", "sky"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return Encoder.load(str(write_static(tmp_path_factory.mktemp("encoder") / "one", words=WORDS)))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Path:
    """A store of two folders and a file that was named itself."""
    place = tmp_path_factory.mktemp("home")
    for name, text in (
        ("docs/a.md", "# Fish\n\nred fish\n\n## Trees\n\ngreen tree 绿树\n"),
        ("docs/deep/b.txt", "blue sky red tree"),
        ("more/docs/a.md", "green fish blue tree"),
        ("alone.txt", "sky sky sky"),
    ):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    paths = [place / "docs", place / "more" / "docs", place / "alone.txt"]
    ingest(paths, place / "store", encoder=encoder, collection="zoo")
    return place


@pytest.fixture
def file(home: Path, tmp_path: Path) -> Path:
    export(home / "store", tmp_path / "all.openbook")
    return tmp_path / "all.openbook"


def contents(home: Path, base: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with Store.open(home) as store:
        for record in store.documents():
            chunks = store.chunks_of(record.id)
            vectors = store.vectors(chunk.id for chunk in chunks)
            rows = [(c.start, c.end, c.text, c.header, c.headings, c.page, c.hash, c.ordinal) for c in chunks]
            meta = (record.title, record.kind, record.language, record.size, record.mtime_ns, record.digest)
            name = os.path.relpath(record.path, base)
            found[name] = (meta, record.omissions, record.characters_in, store.text(record.id), rows, vectors.tolist())
    return found


def test_there_and_back(home: Path, file: Path, tmp_path: Path, encoder: Encoder) -> None:
    report = take_in(file, tmp_path / "new", root=tmp_path / "here", encoder=encoder)
    assert (report["documents"], report["encoded"], report["waiting"]) == (4, 0, 0)
    assert audit(tmp_path / "new") == []
    names = {"docs": "docs", "docs-2": "more/docs", "alone.txt": "alone.txt"}
    before, after = contents(home / "store", home), contents(tmp_path / "new", tmp_path / "here")
    assert after == {
        new + name[len(old) :]: before[name] for new, old in names.items() for name in before if name.startswith(old)
    }
    with Store.open(tmp_path / "new") as store:
        assert store.collections() == {str(tmp_path / "here" / label): "zoo" for label in names}
        assert len(store.lexical("fish", 9)) == 2 and store.encoder == encoder.stamp
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.openbook", "new"]
    export(home / "store", tmp_path / "again")  # the same store gives the same file
    assert (tmp_path / "again").read_bytes() == file.read_bytes()
    assert str(home).encode() not in b"".join(zipfile.ZipFile(file).read(name) for name in (DOCUMENTS, MANIFEST))


def test_the_files_are_found_unchanged_under_root(home: Path, tmp_path: Path, encoder: Encoder) -> None:
    ingest([home / "docs"], tmp_path / "store", encoder=encoder)
    export(tmp_path / "store", tmp_path / "file")
    take_in(tmp_path / "file", tmp_path / "new", root=home / "docs", encoder=encoder)
    report = ingest([home / "docs"], tmp_path / "new", encoder=encoder)
    assert (report.unchanged, report.encoded, report.removed) == (2, 0, 0)


def test_another_encoder_is_refused_or_encodes_anew(file: Path, tmp_path: Path) -> None:
    other = Encoder.load(str(write_static(tmp_path / "other", words=WORDS, dimension=4, seed=5)))
    with pytest.raises(IngestError, match=r"was made with encoder .*, not .*python -m ingest import .* --rebuild"):
        take_in(file, tmp_path / "new", encoder=other)
    assert not (tmp_path / "new").exists()
    report = take_in(file, tmp_path / "new", encoder=other, rebuild=True)
    assert report["encoded"] == report["chunks"] > 0 and audit(tmp_path / "new") == []
    with Store.open(tmp_path / "new", encoder=other.stamp) as store:
        assert store.path_count == 4 and len(store.dense(other.encode(["red fish"])[0], 3)) == 3


def test_refusals(home: Path, file: Path, tmp_path: Path, encoder: Encoder) -> None:
    with pytest.raises(IngestError, match="exists already; name another file"):
        export(home / "store", file)
    with pytest.raises(IngestError, match="There is no folder"):
        export(home / "store", tmp_path / "no" / "file")
    with pytest.raises(IngestError, match="exists already; name a new folder"):
        take_in(file, home / "store", encoder=encoder)
    with pytest.raises(IngestError, match="cannot be read"):
        take_in(tmp_path / "nothing", tmp_path / "new", encoder=encoder)
    with pytest.raises(IngestError, match="SHA-256 differs"):
        take_in(file, tmp_path / "new", encoder=encoder, sha256="0" * 64)
    take_in(file, tmp_path / "new", encoder=encoder, sha256=hashlib.sha256(file.read_bytes()).hexdigest().upper())


def rewrite(file: Path, change: Callable[[dict[str, Any], list[dict[str, Any]], dict[str, bytes]], None]) -> None:
    """Change what is inside and make sizes and digests fit again, as somebody with bad intentions would."""
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(parts[MANIFEST])
    lines = [json.loads(line) for line in parts[DOCUMENTS].splitlines()]
    change(manifest, lines, parts)
    parts[DOCUMENTS] = parts.get("raw", b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    parts.pop("raw", None)
    for name in {DOCUMENTS, VECTORS} & set(parts):
        given = {"bytes": len(parts[name]), "sha256": hashlib.sha256(parts[name]).hexdigest()}
        manifest["members"][name] = given | manifest["members"].get(f"forged {name}", {})
    parts[MANIFEST] = json.dumps(manifest).encode()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


def line(field: str, value: Any) -> Callable[..., None]:
    return lambda manifest, lines, parts: lines[0].__setitem__(field, value)


def chunk(place: int, value: Any) -> Callable[..., None]:
    return lambda manifest, lines, parts: lines[0]["chunks"][0].__setitem__(place, value)


def described(field: str, value: Any) -> Callable[..., None]:
    return lambda manifest, lines, parts: manifest.__setitem__(field, value)


def vectors(value: float) -> Callable[..., None]:
    def change(manifest: dict[str, Any], lines: list[Any], parts: dict[str, bytes]) -> None:
        rows = np.frombuffer(parts[VECTORS], "<f4").copy()
        rows[3] = value
        parts[VECTORS] = rows.tobytes()

    return change


def deep() -> bytes:
    return b"[" * 100_000 + b"]" * 100_000 + b"\n"


HOSTILE: dict[str, Callable[..., None]] = {
    "path up": line("path", "../../etc/passwd"),
    "path absolute": line("path", "/etc/passwd"),
    "path with nul": line("path", "a\0b"),
    "path empty part": line("path", "a//b"),
    "path of a number": line("path", 7),
    "root out of range": line("root", 99),
    "root negative": line("root", -1),
    "label up": lambda m, ls, p: m["roots"].__setitem__(0, ".."),
    "label with slash": lambda m, ls, p: m["roots"].__setitem__(0, "a/b"),
    "labels equal": lambda m, ls, p: m["roots"].__setitem__(0, m["roots"][1]),
    "collection up": described("collections", [[0, "../..", "zoo"]]),
    "collection of nothing": described("collections", [[0]]),
    "size huge": line("size", 1 << 70),
    "size a truth value": line("size", True),
    "mtime a fraction": line("mtime_ns", 1.5),
    "characters do not add up": line("characters_in", 3),
    "text cut": line("text", ""),
    "another field": line("extra", 1),
    "metadata a list": line("metadata", []),
    "metadata large": line("metadata", {"x": "y" * (2 << 20)}),
    "title a list": line("title", ["x"]),
    "omissions wrong": line("omissions", [["because", -5]]),
    "chunks no list": line("chunks", {"a": 1}),
    "chunk backwards": chunk(0, 9),
    "chunk beyond the end": chunk(1, 1 << 40),
    "chunk with a hole": chunk(1, 1),
    "chunk page": chunk(2, 0),
    "chunk headings": chunk(3, [[]]),
    "chunk header": chunk(4, None),
    "vector out of range": chunk(5, 1000),
    "vector nan": vectors(float("nan")),
    "vector infinite": vectors(float("inf")),
    "vector too long": vectors(9.0),
    "format": described("format", 2),
    "fewer documents": described("documents", 1),
    "more chunks": described("chunks", 1000),
    "other number of vectors": described("vectors", 2),
    "dimension zero": lambda m, ls, p: m["encoder"].__setitem__("dimension", 0),
    "dimension a text": lambda m, ls, p: m["encoder"].__setitem__("dimension", "8"),
    "encoder missing": lambda m, ls, p: m.pop("encoder"),
    "size forged": lambda m, ls, p: m["members"].__setitem__(f"forged {DOCUMENTS}", {"bytes": 10}),
    "size forged upwards": lambda m, ls, p: m["members"].__setitem__(f"forged {DOCUMENTS}", {"bytes": 10**6}),
    "digest forged": lambda m, ls, p: m["members"].__setitem__(f"forged {VECTORS}", {"sha256": "0" * 64}),
    "another member": lambda m, ls, p: p.__setitem__("../../evil", b"x"),
    "member missing": lambda m, ls, p: p.pop(VECTORS),
    "member digest missing": lambda m, ls, p: m["members"].__setitem__(f"forged {VECTORS}", {"sha256": None}),
    "the same document twice": lambda m, ls, p: ls.append(ls[0]),
    "no JSON": lambda m, ls, p: p.__setitem__("raw", b"\xff\xfe{}\n"),
    "JSON without end": lambda m, ls, p: p.__setitem__("raw", json.dumps(ls[0]).encode()),
    "JSON NaN": lambda m, ls, p: p.__setitem__(
        "raw", json.dumps(ls[0] | {"metadata": {"a": float("nan")}}).encode() + b"\n"
    ),
    "JSON deep": lambda m, ls, p: p.__setitem__("raw", deep()),
    "JSON list": lambda m, ls, p: p.__setitem__("raw", b"[1, 2]\n"),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_what_strangers_send(home: Path, file: Path, tmp_path: Path, encoder: Encoder, how: str) -> None:
    rewrite(file, HOSTILE[how])
    with pytest.raises(IngestError) as caught:
        take_in(file, tmp_path / "new", encoder=encoder)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.openbook"]


def test_bombs_and_broken_archives(
    home: Path, file: Path, tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytearray(file.read_bytes())
    for place in range(0, len(data), len(data) // 20):
        altered = data.copy()
        altered[place] ^= 0x10
        file.write_bytes(altered)
        try:
            take_in(file, tmp_path / f"new{place}", encoder=encoder)
        except IngestError:
            continue
        assert contents(
            tmp_path / f"new{place}", tmp_path / f"new{place}" / "imported"
        ).keys()  # bytes that say nothing
    file.write_bytes(data[:-30])
    with pytest.raises(IngestError, match="is not an exported store"):
        take_in(file, tmp_path / "new", encoder=encoder)
    file.write_bytes(data)
    monkeypatch.setattr(portable_reading, "_SMALL", 1 << 20)

    def bomb(manifest: dict[str, Any], lines: list[dict[str, Any]], parts: dict[str, bytes]) -> None:
        parts["raw"] = b" " * (8 << 20) + b"\n"

    rewrite(file, bomb)
    with pytest.raises(IngestError, match="unpacks more than 200-fold"):
        take_in(file, tmp_path / "new", encoder=encoder)


def test_a_full_disk_is_foreseen(file: Path, tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.portable.importing.free_bytes", lambda folder: 10)
    with pytest.raises(IngestError, match="free some space or name another disk"):
        take_in(file, tmp_path / "new", encoder=encoder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.openbook"]


def test_an_import_that_was_killed_leaves_nothing_in_the_way(file: Path, tmp_path: Path, encoder: Encoder) -> None:
    left = tmp_path / ".new.importing" / "store"
    left.mkdir(parents=True)
    (left / "store.sqlite3").write_bytes(b"half of something")
    take_in(file, tmp_path / "new", encoder=encoder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.openbook", "new"]


def test_chunks_that_wait_for_vectors_travel(tmp_path: Path, encoder: Encoder, file: Path) -> None:
    take_in(file, tmp_path / "first", encoder=encoder)
    with Store.open(tmp_path / "first", write=True) as store:
        store.put(
            new_document("/elsewhere/x", "a text that waits", root="/elsewhere"), pieces("a text that waits"), None
        )
        store.commit()
    export(tmp_path / "first", tmp_path / "file")
    report = take_in(tmp_path / "file", tmp_path / "second", encoder=encoder)
    assert report["waiting"] == 1 and audit(tmp_path / "second") == []


def test_members_are_read_in_blocks() -> None:
    blocks = iter([b'{"a"', b": 1}\n{", b'"b": 2}\n'])
    assert list(portable_reading._lines(blocks, Path("x"))) == [b'{"a": 1}', b'{"b": 2}']
    with pytest.raises(IngestError, match="cut short"):
        list(portable_reading._lines(iter([b"{"]), Path("x")))
