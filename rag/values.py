"""The numbers that a text names, in digits or in words of either language, so that two texts can be compared."""

from __future__ import annotations

import re

from ingest.fold import fold

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_WORDS = {word: n for n, word in enumerate(_SMALL)} | {word: 20 + 10 * n for n, word in enumerate(_TENS)}
_ORDINALS = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9,
    "tenth": 10, "eleventh": 11, "twelfth": 12, "twice": 2,
}  # fmt: skip
_SCALES = {
    "hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9,
    "万": 10**4, "亿": 10**8, "千": 1000, "百": 100,
}  # fmt: skip
_DIGITS = re.compile(r"\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?")
_SCALE = re.compile(r"\s*(hundred|thousand|million|billion|[百千]?[万亿]|[百千](?=[\u4e00-\u9fff]))")
_ENGLISH = re.compile(r"[a-z]+")
_HAN = dict(zip("零〇一二两三四五六七八九", (0, 0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9), strict=True))
_POWERS = {"十": 10, "百": 100, "千": 1000}
# A single character is a number only before what it counts: 四川 and 十分 name none.
_COUNTED = "个位名人年月日号天次家座条种所公米千吨元岁世小时分秒倍章页只件届度层周星点项级台艘架句章本册封块把辆"
_CHINESE = re.compile(
    rf"[零〇一二两三四五六七八九十百千万亿]{{2,}}|(?!十分(?!钟))[二两三四五六七八九十](?=[{_COUNTED}])"
)
_MONTHS = {
    name: n
    for n, names in enumerate(
        "january jan|february feb|march|april apr|may|june|july|august aug|september sept|october oct|november nov|"
        "december dec".split("|"),
        1,
    )
    for name in names.split()
}


def values(text: str) -> set[float]:
    """All numbers named in a text: ``1,874``, ``twenty-one``, ``二十一``, ``3 million`` and ``300万`` alike.

    "one" and 一 are left out, for they are mostly articles; a month counts as its number beside one in digits.
    """
    folded = fold(text)
    found: set[float] = set()
    for match in _DIGITS.finditer(folded):
        number = float(match.group().replace(",", ""))
        scale = _SCALE.match(folded, match.end())
        if scale:
            number *= _times(scale.group(1))
        found.add(number)
    return found | _in_english(folded) | {n for run in _CHINESE.findall(folded) if (n := _in_chinese(run)) > 1}


def _times(scale: str) -> int:
    if scale in _SCALES:
        return _SCALES[scale]
    return _SCALES[scale[0]] * _SCALES[scale[1]]


def _in_english(folded: str) -> set[float]:
    found: set[float] = set()
    total, part, open_ = 0, 0, False
    words = _ENGLISH.findall(folded)
    for word, following in zip(words, [*words[1:], ""], strict=False):
        if word in _ORDINALS and not (open_ and word in ("second",)):
            found.add(part + _ORDINALS[word] if open_ else _ORDINALS[word])
            total, part, open_ = 0, 0, False
        elif word in _WORDS:
            part, open_ = part + _WORDS[word], True
        elif open_ and word in _SCALES:
            part = max(part, 1) * _SCALES[word]
            if word != "hundred":
                total, part = total + part, 0
        elif not (open_ and word == "and" and (following in _WORDS)):
            if open_:
                found.add(total + part)
            total, part, open_ = 0, 0, False
        if word in _MONTHS and (word != "may" or re.search(r"\d+ may\b|\bmay \d", folded)):
            found.add(_MONTHS[word])
    if open_:
        found.add(total + part)
    return {number for number in found if number != 1}


def _in_chinese(run: str) -> float:
    """二十一 is 21, 一九八七 1987, 三百万 3,000,000."""
    if not any(c in "十百千万亿" for c in run):
        return float("".join(str(_HAN[c]) for c in run))
    total, section, digit = 0, 0, 0
    for c in run:
        if c in _HAN:
            digit = _HAN[c]
        elif c in _POWERS:
            section += (digit or 1) * _POWERS[c]
            digit = 0
        else:
            total = (total + section + digit) * _SCALES[c] if c == "亿" else total + (section + digit or 1) * _SCALES[c]
            section, digit = 0, 0
    return float(total + section + digit)
