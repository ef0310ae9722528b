"""Files in a multipart body, counted and measured while they stream by, before anything is stored."""

from __future__ import annotations

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.guard.asgi import Refused

_FIELDS = 10  # parts beside the files: a form has a few fields, and a thousand empty parts are no form


class Watch:
    """Follows one body; `feed` raises Refused at the first thing that may not pass.

    The application parses the body once more, and it need not be strict: Gradio's own parser stores 1,000 files
    before a handler of ours sees the first. Types are judged later, file by file, by `app.uploads`, so that one
    wrong file does not cost the others and each gets its reason.
    """

    def __init__(self, kind: str, files: int, size: int) -> None:
        self._files, self._size = files, size
        self._parts = self._bytes = 0
        boundary = parse_options_header(kind)[1].get(b"boundary", b"")
        if not 1 <= len(boundary) <= 200:
            raise Refused(400, "guard.bad_multipart")
        self._parser = MultipartParser(boundary, {"on_part_begin": self._begin, "on_part_data": self._data})

    def feed(self, piece: bytes) -> None:
        """The next bytes of the body."""
        try:
            self._parser.write(piece)
        except FormParserError:
            raise Refused(400, "guard.bad_multipart") from None

    def _begin(self) -> None:
        self._parts += 1
        self._bytes = 0
        if self._parts > self._files + _FIELDS:
            raise Refused(413, "guard.too_many_files", limit=self._files)

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._bytes += end - start
        if self._bytes > self._size:
            raise Refused(413, "guard.file_too_large", limit=self._size / 2**20)
