"""What a terminal is shown: no text of a document and no file name can drive it.

An escape sequence in a stored text could clear the screen, rename the window, put words on the command line or,
with the marks that turn the writing direction, show a name backwards. Each such character is written as its
``\\u`` and four digits, which people can read and which in JSON is the same character.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO

_CONTROLS = {*range(0x20), *range(0x7F, 0xA0), 0x61C, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x2028, 0x2029}
_SHOWN = {code: f"\\u{code:04x}" for code in _CONTROLS - {ord("\n"), ord("\t")}}
_WITH_RETURN = {code: shown for code, shown in _SHOWN.items() if code != ord("\r")}


def harmless(text: str) -> str:
    """The text with every character that drives a terminal written out; line breaks and tabs stay.

    >>> harmless("\\x1b[2J gone")
    '\\\\u001b[2J gone'
    """
    return text.translate(_SHOWN)


class _Tame:
    """A stream that writes harmless text; everything else is the stream's own. Progress lines need returns."""

    def __init__(self, stream: TextIO, table: dict[int, str]) -> None:
        self._stream, self._table = stream, table

    def write(self, text: str) -> int:
        return self._stream.write(text.translate(self._table))

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def tamed() -> Iterator[None]:
    """While this lasts, standard output and standard error are tame. Also a decorator: ``@tamed()``."""
    out, err = _Tame(sys.stdout, _SHOWN), _Tame(sys.stderr, _WITH_RETURN)
    with redirect_stdout(out), redirect_stderr(err):  # type: ignore[type-var]
        yield
