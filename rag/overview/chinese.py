"""Questions about the whole collection, in Chinese: precision first, for what is not recognised is answered as ever."""
# ruff: noqa: E501 - a pattern stays on one line

from __future__ import annotations

import re

from rag.overview.asked import Asked, first

_DOC = r"(?:文档|文件|资料|材料|文章|报告|手册|书籍|书|笔记|文集|论文|合同|语料|内容|文本|文库|资料库|知识库|文档库|文件夹|合集|集合)"
_OWN = r"(?:这些|这个|这份|这篇|这本|这批|那些|全部|所有|整个|我的|我们的|上传的|本|全|上述|以上|库里的|库中的|的|里|中|里面|当中|们)"
#: Names the scope and nothing in it.
WHOLE = re.compile(rf"^{_OWN}*(?:{_DOC}|全部|所有|一切|它|这|这些|它们|全文)?{_OWN}*(?:内容|要点|全文)?$")
_OPEN = re.compile(r"^(?:请问|请你|请您|请|麻烦你?|帮我|帮忙|给我|能不能|能否|可不可以|可以|我想|我要|我想要|替我|为我|你|现在|那么)[，,\s]*")
_ASKS = re.compile(r"谁|哪[个里年位种]|什么时候|为什么|怎么|怎样|如何|几[个年月次位]|多少|吗$|是否|何时")
_VERB = r"(?:总结|概括|概述|归纳|综述|小结|提炼|汇总)"
_NOUN = r"(?:总结|摘要|概要|概述|概览|综述|大纲|提要|小结|简介)"
_RULES: tuple[tuple[re.Pattern[str], bool], ...] = tuple(
    (re.compile(pattern), named)
    for pattern, named in (
        (rf"^(?:简要|简单|大致|分段|逐一|用.{{1,8}}话)?(?:地)?{_VERB}(?!了|出|过|会|性|者|报告|大会)(?:和?{_VERB})?(?:一下|下)?(?:出)?[：:，,]?(?P<topic>.*?)$", False),
        (rf"^(?:写|给|做|来|生成|提供|列)(?:出)?(?:一[个份篇段])?(?:简短|简要|详细|完整|简单)?的?(?:关于|有关)?(?P<topic>.*?)的?{_NOUN}$", False),
        (rf"^一[个份篇段](?:简短|简要|详细|完整|简单)?的?(?:关于|有关)?(?P<topic>.*?)的?{_NOUN}$", False),
        (r"^梳理(?:一下|下)?(?P<topic>.+)$", True),
        (rf"^把(?P<topic>.+?){_VERB}(?:一下|下|成.{{1,10}})?$", False),
        (rf"^(?P<topic>(?:{_OWN}|{_DOC})+|.+?)(?:里|中)?(?:主要|都|大致|大概|究竟|到底|总的来说)*(?:讲|说|写|谈|介绍|涉及|包含|论述|讨论)(?:了|的是|述了|的)?(?:些)?(?:什么|哪些内容|哪些主题|哪些方面|啥)(?:内容)?$", True),
        (rf"^(?P<topic>(?:{_OWN}|{_DOC})+)是(?:关于|讲|说|写)(?:什么|啥)的?$", True),
        (r"^(?P<topic>.*?)的?(?:主要|核心|中心|重要|关键)(?:内容|观点|思想|主题|要点|结论|论点)(?:是什么|有哪些|是哪些|有什么)?$", True),
        (r"^(?P<topic>.*?)的?(?:要点|大意|梗概|概要|摘要|主旨)(?:是什么|有哪些|是哪些|有什么)?$", True),
        (r"^(?:列出|列举|说说|说明)(?P<topic>.*?)的?(?:主要内容|主要观点|要点|主题)$", True),
    )
)
_SIDE_A, _SIDE_B = r"(?P<a>[^，,。；;]{1,30}?)", r"(?P<b>[^，,。；;]{1,30}?)"
_AND = r"(?:和|与|跟|同|及)"
_ALIKE = r"(?:区别|不同之处|不同点|不同|差别|差异|异同|相同点|相同之处|共同点|共同之处|相似之处|相似点|优缺点对比|对比|比较)"
_COMPARE = tuple(
    re.compile(pattern)
    for pattern in (
        rf"^(?:比较|对比|对照|比一比|比比)(?:一下|下)?[：:，,]?{_SIDE_A}{_AND}{_SIDE_B}(?:两者|二者|两个|这两个)?(?:之间)?(?:的(?P<aspect>[^，,。的]{{1,12}}))?$",
        rf"^{_SIDE_A}{_AND}{_SIDE_B}(?:之间|两者|二者)?(?:在(?P<aspect>[^，,。]{{1,12}}?)(?:方面|上))?(?:都)?(?:有|存在|的)(?:什么|何|哪些|啥)?(?:主要|根本|最大)?的?{_ALIKE}(?:是什么|有哪些|是哪些|在哪里?|在于什么|何在)?$",
        rf"^{_SIDE_A}{_AND}{_SIDE_B}(?:在(?P<aspect>[^，,。]{{1,12}}?)(?:方面|上))?(?:有何|有什么|有哪些|怎么)不同$",
        rf"^(?:说明|分析|解释|列出)(?:一下|下)?{_SIDE_A}{_AND}{_SIDE_B}(?:之间)?的(?:主要)?{_ALIKE}$",
    )
)
_MANY = r"(?:多少|几)(?:个|份|篇|本|种|部)?"
_FORM = r"(?P<form>[Pp][Dd][Ff]|[Ww]ord|网页|[Mm]arkdown|[Ee]xcel|[Pp][Pp][Tt]|文本|图片|邮件|中文|英文)?"
_PLACE = rf"(?:在?{_OWN}*(?:{_DOC}|库|这里|文中){_OWN}*|我|目前|现在)*"
_COUNT = tuple(
    (re.compile(pattern), what)
    for pattern, what in (
        (rf"^{_PLACE}(?:里|中)?(?:一共|总共|共)?(?:收录|存|保存)?(?:了)?有?{_MANY}{_FORM}的?(?:文档|文件|资料|文章|报告|论文)$", "documents"),
        (rf"^{_OWN}*(?:文档|文件|资料)的?(?:总数|数量|个数)(?:是多少|有多少)?$", "documents"),
        (rf"^{_PLACE}有?(?:多少|几)(?:个|份|篇|处|段|节)?(?:文档|文件|文章|章节|段落|地方|资料)?(?:里|中)?(?:都)?(?:提到|提及|谈到|说到|讲到|含有|出现)(?:了|过)?(?P<term>.+)$", "mentioning"),
        (rf"^(?:{_PLACE}[，,]?)(?P<term>[^，,]+?)(?:这个词|这个名字|一词|两字|二字)?(?:{_PLACE})(?:一共|总共|共)?被?(?:提到|提及)(?:了|过)?(?:多少|几)(?:次|处|回|遍)$", "mentions"),
        (rf"^(?P<term>[^，,]+?)(?:这个词|这个名字|一词|两字|二字)在?(?:{_PLACE})(?:一共|总共|共)?出现(?:了|过)?(?:多少|几)(?:次|处|回|遍)$", "mentions"),
        (rf"^(?P<term>[^，,]+?)在(?:{_OWN})*(?:{_DOC}|文|全文)(?:{_OWN})*(?:一共|总共|共)?出现(?:了|过)?(?:多少|几)(?:次|处|回|遍)$", "mentions"),
        (rf"^(?:统计|数一?数)(?:一下|下)?(?P<term>.+?)(?:这个词|一词)?(?:在(?:{_PLACE}))?(?:的)?(?:出现)?(?:的)?(?:次数|多少次)$", "mentions"),
        (r"^(?P<doc>.*?)(?:里|中)?(?:一共|总共|共)?(?:有|分为?)(?:多少|几)(?:个)?(?:章节|章|小节|节|标题)$", "sections"),
    )
)
_CHAT = re.compile(r"你的(?:回答|答案)|上面的(?:回答|答案|对话)|我们的(?:对话|讨论|聊天)|刚才的")
_QUOTES = re.compile(r"[\"'“”‘’「」『』《》]|^(?:词语?|词组|名字)")


def recognise(question: str) -> Asked | None:
    """What a Chinese question asks of the whole collection; None for an ordinary one."""
    bare = "".join(question.split()) if not re.search(r"[A-Za-z]\s+[A-Za-z]", question) else " ".join(question.split())
    bare = bare.strip(" ？?。.!！")
    return first(bare, _OPEN, _CHAT, (_count, _compare, _summary))


def _summary(bare: str) -> Asked | None:
    for rule, named in _RULES:
        found = rule.match(bare)
        if found:
            topic = _topic(found["topic"] or "")
            if _ASKS.search(topic):
                return None
            return Asked("summary", topic, named=named and bool(topic))
    return None


def _compare(bare: str) -> Asked | None:
    for rule in _COMPARE:
        found = rule.match(bare)
        if found and not _ASKS.search(found["a"] + found["b"]):
            aspect = found.groupdict().get("aspect") or ""
            return Asked("compare", sides=tuple(_QUOTES.sub("", found[side]) for side in ("a", "b")), aspect=aspect)
    return None


def _count(bare: str) -> Asked | None:
    for rule, what in _COUNT:
        found = rule.match(bare)
        if not found:
            continue
        parts = found.groupdict()
        if what == "sections":
            topic = _topic(parts["doc"])
            return Asked("count", topic, what="sections", named=bool(topic))
        term = _QUOTES.sub("", parts.get("term") or "")
        return Asked("count", term, what=what, form=(parts.get("form") or "").lower())  # type: ignore[arg-type]
    return None


def _topic(topic: str) -> str:
    """The subject without what only says "all of it"."""
    topic = topic.strip("：:，, 的")
    return "" if WHOLE.match(topic) else _QUOTES.sub("", topic)
