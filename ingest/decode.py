"""Bytes to text: byte-order mark, then strict UTF-8, then the encoding whose reading looks most like real text.

The last step scores each candidate by the share of very common characters among its non-ASCII ones: running text
scores high in its own encoding and low in a wrong one.
"""

from __future__ import annotations

import codecs
from functools import lru_cache
from itertools import pairwise

from ingest.types import IngestError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16-LE, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CANDIDATES = ("gb18030", "big5hkscs", "utf-16-le", "utf-16-be", "shift_jis", "euc-kr")
_SAMPLE = 100_000  # characters that are scored
_LEAST_SCORE = 0.25  # running text reaches .5 and more, a wrong reading stays under .15
_LEAST_WIDE_SCORE = (
    0.8  # of UTF-16 without a mark: running text reaches .95, random bytes .43, letters between zeros .67
)

_SIMPLIFIED = (
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种"
    "事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第"
    "公此已工使情明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合"
    "回特代内信表化老给世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平系气题活尔更别打女变四神总"
    "何电数安少报才结反受目太量再感建务做接必场件计管期市直德资命山金指克许统区保至队形社便空决治展马科司五基眼书非则听"
    "白却界达光放强即像难且权思王象完设式色路记南品住告类求据程北边死张该交规万取拉格望觉术领共确传师观清今切院让识候带"
    "导争运笔写请问字号单页版网络"
)
_TRADITIONAL = (
    "這個們來為國說時會對過發後裡種經學現當沒動還進樣開從實軍無與長機將關點業兩間問應戰頭體見產話門東聲員論處義認條"
    "氣題變總電數報結務場計資許統區隊決則聽卻達難權設類據邊張該規萬覺術領確傳師觀讓識帶導爭運書寫請號單頁網絡並於著給"
    "麼幾臺灣語錄圖雙終傷愛樂華萊雖幫廣歷陽陸縣級級際參眾舉類"
)
_KANA = "".join(map(chr, range(0x3041, 0x3094))) + "".join(map(chr, range(0x30A1, 0x30FD)))
_HANGUL = (
    "이다는을를의에가은하고도로한지기사리어서자나아니시해그대인정수있일들라전했보부주과상장구여제와만요음것세원스공년성"
)
_PUNCTUATION = "，。、；：？！“”‘’（）《》「」『』…—·　"


@lru_cache(maxsize=1)
def _common() -> frozenset[str]:
    return frozenset(_SIMPLIFIED + _TRADITIONAL + _KANA + _HANGUL + _PUNCTUATION)


@lru_cache(maxsize=1)
def _usual() -> frozenset[str]:
    """The 3,755 characters of GB2312's first level: they settle short texts that hold no common character."""
    pairs = (bytes((row, cell)) for row in range(0xB0, 0xD8) for cell in range(0xA1, 0xFF))
    return frozenset("".join(pair.decode("gb2312", "ignore") for pair in pairs))


@lru_cache(maxsize=1)
def _usual_wide() -> frozenset[str]:
    """The same with the 5,401 characters of Big5's first level."""
    pairs = (bytes((row, cell)) for row in range(0xA4, 0xC7) for cell in (*range(0x40, 0x7F), *range(0xA1, 0xFF)))
    return _usual() | frozenset("".join(pair.decode("big5", "ignore") for pair in pairs))


def decode_text(data: bytes) -> tuple[str, str]:
    """The text of ``data`` with line breaks as ``\\n``, without a byte-order mark, and the name of its encoding.

    Raises IngestError for binary data and for bytes that no encoding on the ladder explains: text is never guessed
    into nonsense.
    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            try:
                return _newlines(data[len(mark) :].decode(name)), name
            except UnicodeDecodeError as error:
                raise IngestError(
                    f"begins with the mark of {name.upper()} but is damaged at byte {error.start + len(mark)}; "
                    "save it again as UTF-8."
                ) from error
    nuls = data.count(0)
    problem = "has zero bytes"
    if not nuls:
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            problem = f"is not UTF-8 at byte {error.start}"
        else:
            return _newlines(_no_controls(text)), "utf-8"
    best = _best(data, utf16_only=nuls > 0)
    if best is None:
        raise IngestError(
            f"does not look like text ({problem}, and no other encoding fits); save it as UTF-8, or leave it out."
        )
    text, name = best
    return _newlines(_no_controls(text)), name


def _best(data: bytes, *, utf16_only: bool) -> tuple[str, str] | None:
    scored: list[tuple[float, str, str]] = []
    for name in _CANDIDATES:
        if utf16_only and not name.startswith("utf-16"):
            continue
        try:
            text = data.decode(name)
        except UnicodeDecodeError:
            continue
        scored.append((_score(text, utf16=utf16_only), text, name))
    best = max(scored, key=lambda item: item[0], default=None)
    if best and best[0] >= (_LEAST_WIDE_SCORE if utf16_only else _LEAST_SCORE):
        return best[1], best[2]
    if not utf16_only and _looks_western(data):
        try:
            return data.decode("cp1252"), "cp1252"
        except UnicodeDecodeError:
            return None
    return None


def _score(text: str, *, utf16: bool) -> float:
    """Share of common characters among those that are not ASCII; with zero bytes, which Chinese text in UTF-16 has at
    its line ends alone, the share of what is common, printable ASCII, or of a script that is no Chinese.
    """
    sample = text[:_SAMPLE]
    common = _common()
    if utf16:
        # A letter between zeros reads as U+6100: in text such numbers are rare, but for two that are frequent.
        if sum(ord(c) & 0xFF == 0 and c not in "一\u3000" for c in sample) * 20 > len(sample):
            return 0.0
        usual = _usual_wide()
        good = sum(
            c in common
            or c in usual
            or c.isspace()
            or " " <= c <= "~"
            or (c < "\u2e80" and c.isalpha())
            or "가" <= c <= "힣"
            for c in sample
        )
        return good / len(sample) if "\0" not in sample and sample else 0.0
    other = [c for c in sample if c > "\x7f"]
    usual = _usual()
    return sum(1.0 if c in common else 0.3 if c in usual else 0.0 for c in other) / len(other) if other else 0.0


def _looks_western(data: bytes) -> bool:
    """Accented letters stand alone among ASCII ones: high bytes are few, and seldom two in a row."""
    sample = data[:_SAMPLE]
    high = sum(byte >= 0x80 for byte in sample)
    pairs = sum(a >= 0x80 and b >= 0x80 for a, b in pairwise(sample))
    return high <= 0.3 * len(sample) and pairs <= 0.25 * high and not _is_noisy(sample.decode("latin-1"))


def _is_noisy(text: str) -> bool:
    """Whether more than one character in a hundred is a control character that text does not hold."""
    sample = text[:_SAMPLE]
    noise = sum(c < " " and c not in "\t\n\r\f\b\x1b" for c in sample)
    return noise * 100 > len(sample)


def _no_controls(text: str) -> str:
    if _is_noisy(text):
        raise IngestError("does not look like text (control characters throughout); leave it out or convert it.")
    return text


def _newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
