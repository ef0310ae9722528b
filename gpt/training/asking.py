"""How a sentence asks for a span that is taken out of it: the question word that fits the span, and an order of words.

The sort of answer is told by its form and by the word before it, and the question word follows it (the wh-heuristic of
Lewis, Denoyer & Riedel 2019). Half of the questions have the order of a question ("Who was the tower designed by?"),
the others are the sentence with a gap or a few of its words, so that nothing depends on the order alone.
"""

from __future__ import annotations

import random
import re

EN_STOP = frozenset(
    "a an the of to in on at by for from with as and or but is are was were be been being it its this that these "
    "those he she they we you i his her their our your my him them us me not no do does did have has had will would "
    "can could may might must shall should than then there here which who whom whose what when where why how if so "
    "such into over "
    "under about after before between through during without within also only just very more most some any all each "
    "both other another one two".split()
)
_MONTH = "January|February|March|April|May|June|July|August|September|October|November|December"
_DATE = re.compile(rf"\b(?:1\d{{3}}|20[0-2]\d)\b|\b(?:{_MONTH})\b|\bcentury\b")
_YEAR = re.compile(r"^(?:1\d{3}|20[0-2]\d)s?$")
_NUMBER = re.compile(
    r"^\W*\d|^(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|hundreds?|"
    r"thousands?|dozens?|several)\b",
    re.IGNORECASE,
)
_SAYS = re.compile(r"^(?:said|says|wrote|writes|told|asked|argued|believed|thought|married|died|lived|was born)\b")
_PLACE_BEFORE = frozenset("in at near from to into across around throughout outside".split())
_AUXILIARY = frozenset("is are was were has had have can could will would may might must should does did do".split())
_ZH_PLACE = re.compile(r"[国省市县州区镇村岛山江河湖海城洲港路街]$")
_ZH_DATE = re.compile(r"\d+[年月日]|[一二三四五六七八九十]+月|世纪")
_ZH_NUMBER = re.compile(r"^\W*[\d一二三四五六七八九十百千万两]")
_ZH_PERSON = re.compile(
    r"^[王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾萧田董袁潘蒋蔡余杜叶程苏魏吕丁任沈姚卢"
    r"傅钟姜崔谭廖范汪陆金石戴贾韦夏邱方侯邹熊孟秦白江阎薛尹段雷黎史龙陶贺顾毛郝龚邵万钱严][\u4e00-\u9fff]{1,2}$|·"
)
_ZH_THING = re.compile(r"(公司|大学|学校|学院|队|党|军|语|族|教|学|奖|法|书|剧|片|站|寺|宫|馆|院|局|部|会)$")


def ask_english(left: str, answer: str, right: str, rng: random.Random) -> str | None:
    """A question about ``answer``, which stood between ``left`` and ``right``; None when too little of them is left."""
    before, after = left.split(), right.rstrip(".!?\"”' \n").split()
    wh, used = _english_word(before, answer, after, rng)
    before, after = before[: len(before) - used[0]], after[used[1] :]
    before = [w for w in before if rng.random() > 0.1][-rng.randint(3, 14) :]
    after = [w for w in after if rng.random() > 0.1][: rng.randint(3, 14)]
    if len(before) + len(after) < 3:
        return None
    form = rng.random()
    if form < 0.25:
        words = [*before, wh, *after]
    elif form < 0.75:
        words = [wh, *_inverted(before, rng), *after]
    else:
        words = [w for w in before + after if w.lower() not in EN_STOP or rng.random() < 0.3]
        if rng.random() < 0.5:
            rng.shuffle(words)
        words = [wh, *words]
    question = " ".join(words).strip(" ,;:")
    return question[:1].upper() + question[1:] + ("?" if rng.random() < 0.9 else "")


def _english_word(
    before: list[str], answer: str, after: list[str], rng: random.Random
) -> tuple[str, tuple[int, int]]:
    """The question word, and how many words it takes up at the end of ``before`` and the beginning of ``after``."""
    last = before[-1].lower() if before else ""
    follows = after[0].strip(",;:") if after else ""
    if _YEAR.match(answer):
        return rng.choice(("when", "when", "in what year", "what year")), (int(last == "in"), 0)
    if _DATE.search(answer):
        return rng.choice(("when", "when", "on what date", "when", "what date")), (int(last in ("on", "in")), 0)
    if "$" in answer or "%" in answer or "percent" in answer:
        money = ("how much", "how much money", "how much") if "$" in answer else ("what percentage", "how much")
        return rng.choice(money), (0, 0)
    if _NUMBER.match(answer):
        if follows.islower() and follows not in EN_STOP and rng.random() < 0.8:
            return f"how many {follows}", (0, 1)
        return rng.choice(("how many", "how many", "what number of", "how much", "what")), (0, 0)
    if last == "because":
        return "why", (1, 0)
    if answer[:1].isupper():
        if last.islower() and last.isalpha() and len(last) > 3 and last not in EN_STOP and rng.random() < 0.5:
            return f"{rng.choice(('what', 'which'))} {last}", (1, 0)
        if last in _PLACE_BEFORE and rng.random() < 0.75:
            where = rng.choice(("where", "where", "where", "what place", "what city", "what country"))
            return where, (int(last in ("in", "at")), 0)
        person = last == "by" or bool(_SAYS.match(" ".join(after[:2])))
        return rng.choice(("who", "who", "who", "who", "what") if person else ("who", "what", "which", "what")), (0, 0)
    if last == "by" and answer.split(" ")[0].endswith("ing"):
        return "how", (1, 0)
    return rng.choice(("what", "what", "what", "what", "which", "how", "why")), (0, 0)


def _inverted(before: list[str], rng: random.Random) -> list[str]:
    """The words before the gap in the order of a question: an auxiliary first, ``did`` where there is none."""
    if len(before) < 2:
        return before
    for place, word in enumerate(before):
        if word.lower() in _AUXILIARY and place:
            return [word, *before[:place], *before[place + 1 :]]
    return [rng.choice(("did", "did", "does", "do")), *before] if rng.random() < 0.7 else before


def ask_chinese(left: str, answer: str, right: str, rng: random.Random) -> str | None:
    """As :func:`ask_english`. A Chinese question keeps the order of the statement."""
    clauses = re.split(r"[，、,；：:]", left)
    left = "".join(clauses[-rng.randint(1, 3) :])[-rng.randint(8, 30) :]
    clauses = re.split(r"[，、,；：:。！？]", right)
    right = "".join(clauses[: rng.randint(1, 2)])[: rng.randint(6, 30)]
    if len(left) + len(right) < 4:
        return None
    wh = rng.choice(_chinese_words(answer))
    form = rng.random()
    if form < 0.5:
        question = left + wh + right
    elif form < 0.8:
        question = (left + right if rng.random() < 0.7 else right + left) + rng.choice(("是", "的是", "")) + wh
    else:
        pieces = [p for p in re.findall(r"[\u4e00-\u9fff]{1,3}|\w+", left + right) if rng.random() > 0.15]
        question = "".join(pieces) + wh
    return question + ("？" if rng.random() < 0.85 else "")


def _chinese_words(answer: str) -> tuple[str, ...]:
    """Question words that fit ``answer``."""
    if _ZH_DATE.search(answer):
        return ("哪一年", "什么时候", "何时", "哪年") if "年" in answer else ("什么时候", "何时", "几月")
    if _ZH_NUMBER.match(answer):
        return ("多少", "多少", "几", "多大", "多少个")
    if answer[:1] in "《“「":
        return ("什么", "哪部作品", "什么")
    if _ZH_PERSON.search(answer):
        return ("谁", "谁", "哪位", "什么人", "谁")
    if _ZH_PLACE.search(answer):
        return ("哪里", "什么地方", "哪个地方", "哪", "什么")
    if thing := _ZH_THING.search(answer):
        return (f"哪个{thing[1]}", f"什么{thing[1]}", "什么")
    return ("什么", "什么", "什么", "哪个", "谁", "怎样", "哪些")
