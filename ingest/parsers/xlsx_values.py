"""Numbers of Excel as their cells show them, as far as the meaning goes: dates, times and percentages.

Excel stores a date as days since the end of 1899 (or 1904) and only the cell's number format tells it from a number
(ECMA-376, part 1, 18.8.30).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from ingest.parsers.package import attribute, local

# Formats with built-in numbers, which files do not spell out; 27 to 36 and 50 to 58 are the East Asian dates.
_DATES = {*range(14, 18), 22, *range(27, 32), 34, 35, 36, *range(50, 59)}
_TIMES = {18, 19, 20, 21, 32, 33, 45, 46, 47}
_PERCENT = {9, 10}
_LITERAL = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]', re.I)
_LAST_DAY = 2_958_466  # the day after 9999-12-31


class Formats:
    """``styles`` is the root of the styles part, or None."""

    def __init__(self, styles: Any, *, from_1904: bool) -> None:
        self._from_1904 = from_1904
        self._kinds: list[str] = []
        if styles is None:
            return
        codes = {node.get("numFmtId"): node.get("formatCode", "") for node in styles.iter("{*}numFmt")}
        for group in styles:
            if local(group) == "cellXfs":
                for style in group:
                    key = attribute(style, "numFmtId") or "0"
                    self._kinds.append(_of_code(codes[key]) if key in codes else _of_number(key))

    def shown(self, raw: str, style: str) -> str:
        """The number ``raw`` under the style of that index: ``2024-03-01``, ``25%``, or as it is without noise."""
        try:
            value = float(raw)
        except ValueError:
            return " ".join(raw.split())
        index = int(style) if style.isdigit() else 0
        kind = self._kinds[index] if index < len(self._kinds) else ""
        if kind in ("date", "time") and 0 <= value < _LAST_DAY:
            return self._moment(value, kind)
        if kind == "elapsed" and abs(value) < _LAST_DAY:
            minutes = round(abs(value) * 1440)
            return f"{'-' if value < 0 else ''}{minutes // 60}:{minutes % 60:02}"
        if kind == "percent":
            return f"{_plain(value * 100)}%"
        return _plain(value) if "e" in raw.lower() or len(raw) > 15 else raw.strip()

    def _moment(self, value: float, kind: str) -> str:
        # Excel takes 1900 for a leap year: from March 1900 on, its day 0 is 1899-12-30.
        origin = datetime(1904, 1, 1) if self._from_1904 else datetime(1899, 12, 30 if value >= 60 else 31)
        try:
            moment = origin + timedelta(seconds=round(value * 86400))
        except OverflowError:
            return _plain(value)
        clock = f"{moment:%H:%M:%S}" if moment.second else f"{moment:%H:%M}"
        if kind == "time" and value < 1:
            return clock
        return f"{moment:%Y-%m-%d}" if moment.time() == datetime.min.time() else f"{moment:%Y-%m-%d} {clock}"


def _plain(value: float) -> str:
    """Fifteen digits, as Excel computes: 0.1 + 0.2 is shown as 0.3."""
    return f"{value:.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:.15g}"


def _of_number(key: str) -> str:
    number = int(key) if key.isdigit() else 0
    for numbers, kind in ((_DATES, "date"), (_TIMES, "time"), (_PERCENT, "percent")):
        if number in numbers:
            return kind
    return ""


def _of_code(code: str) -> str:
    """What a format that is spelled out makes of a number."""
    bare = _LITERAL.sub("", code.split(";")[0]).lower()
    if "general" in bare:
        return ""
    if "[" in bare:  # [h]:mm counts on beyond a day
        return "elapsed"
    if "y" in bare or "d" in bare:
        return "date"
    if "h" in bare or "s" in bare:
        return "time"
    return "percent" if "%" in bare else ""
