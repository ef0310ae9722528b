"""What people look for by its exact name is found by it: the same terms at index and at query time, in both languages.

Every text below has a rival that shares its parts; the lexical leg must put the right one first.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ingest.fold import terms
from ingest.pipeline import ingest
from ingest.store import Store
from tests.ingest.tiny_encoder import write_static

# (text, questions that must find it first)
TEXTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Call foo_bar.baz to open the valve.", ("What does foo_bar.baz do?", "foo_bar.baz()", "foo_bar是做什么的？")),
    ("Call foo and bar, then the baz, to close it.", ("foo and bar then baz to close",)),
    ("Release v2.13.0 changed the cache.", ("v2.13.0", "What is new in version 2.13?", "2.13.0版有什么变化")),
    ("Release v2.12.13 changed the cache of 13 files.", ("v2.12.13", "release 2.12.13")),
    ("发行版 v3.0.1 修复了缓存。", ("v3.0.1", "3.0.1版修复了什么？", "ｖ３．０．１")),
    ("Pass --no-cache to read every file again.", ("--no-cache", "no-cache option", "选项--no-cache有什么用")),
    ("There is no cache for pictures.", ("Is there no cache for pictures?",)),
    ("加上 --dry-run 只显示计划。", ("--dry-run", "dry-run是什么意思")),
    ("Written in C++ for speed.", ("C++", "Is it C++?", "C++写的吗", "Ｃ＋＋")),
    ("Written in C# for Windows.", ("C#", "C#语言写的")),
    ("Written in C for small machines.", ("written in C for small machines",)),
    ("The server speaks HTTP/2 on this port.", ("HTTP/2", "支持HTTP/2吗？", "ＨＴＴＰ／２")),
    ("The server speaks HTTP/3 over UDP, in 2 modes.", ("HTTP/3",)),
    ("Names are looked up in /etc/hosts first.", ("/etc/hosts", "what is in etc/hosts", "/etc/hosts文件")),
    ("The hosts of the party sat in the hall, etc.", ("hosts of the party",)),
    (
        "HTTPResponseHandler closes the stream.",
        ("HTTPResponseHandler", "response handler stream", "httpresponsehandler"),
    ),
    ("Error E1102 means that the disk is full.", ("E1102", "error e1102", "错误E1102", "E1102是什么错误？")),
    ("Error E1103 means that the lamp is broken.", ("E1103",)),
    ("错误代码 E2204 表示缺少许可证。", ("E2204", "错误代码Ｅ２２０４")),
    ("错误代码 E2205 表示证书过期。", ("E2205",)),
    ("错误代码 E2206 表示内存不足。", ("错误E2206",)),
    ("出现错误时请看日志。", ("出现错误时看什么",)),
    ("ERR_CONNECTION_REFUSED appears when nothing listens.", ("ERR_CONNECTION_REFUSED", "connection refused")),
    ("CVE-2024-3094 was found in a compression library.", ("CVE-2024-3094", "cve-2024-3094影响什么")),
    ("Use src/gpt/model.py for the decoder.", ("src/gpt/model.py", "model.py", "model.py在哪里")),
    ("Put patterns into .gitignore at the top.", (".gitignore", "gitignore patterns")),
    ("Needs Python3.11 or newer.", ("Python 3.11", "python3.11", "需要Python 3.11吗")),
    ("The file is 1.5GB large.", ("1.5 GB", "1.5GB")),
    ("The museum had 1,234,567 visitors.", ("1234567 visitors", "1,234,567")),
    ("Write to anna.berg@example.org about it.", ("anna.berg@example.org", "anna berg")),
    ("The gateway is 192.168.17.1 at home.", ("192.168.17.1", "网关192.168.17.1")),
    ("設定資料庫的連線逾時。", ("数据库连线逾时设定", "資料庫連線", "连线逾时")),
    ("打开数\n据源窗口。", ("数据源窗口",)),
    ("The café serves naïve art and crème brûlée.", ("naive art cafe", "creme brulee")),
    ("An e\u2011mail to the co\u00adoperative arrived.", ("email cooperative",)),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("findable")
    (folder / "files").mkdir()
    for number, (text, _) in enumerate(TEXTS):
        (folder / "files" / f"{number:03d}.txt").write_text(text, encoding="utf-8")
    ingest([folder / "files"], folder / "store", encoder=str(write_static(folder / "encoder")))
    with Store.open(folder / "store") as opened:
        yield opened


@pytest.mark.parametrize(("number", "question"), [(n, q) for n, (_, questions) in enumerate(TEXTS) for q in questions])
def test_found_first(store: Store, number: int, question: str) -> None:
    (best,) = store.lexical(question, 1)
    assert store.chunk(best[0]).source.endswith(f"{number:03d}.txt"), store.chunk(best[0]).text


NAMES = (
    *("foo_bar.baz", "v2.13.0", "--no-cache", "C++", "C#", "HTTP/2", "/etc/hosts", "getHTTPResponse", "E1102"),
    *("ERR_CONNECTION_REFUSED", "0x80070005", "GPT-4o", "np.array", "std::vector", "$HOME", "anna@example.org"),
    *("192.168.0.1", "2024-01-15", "1.5GB", "1,234", "UTF-8", "__init__", "k8s", "C:\\Windows\\System32", "U.S."),
    *("src/gpt/model.py", "https://example.org/a/b", ".gitignore", "O'Brien", "e-mail", "don't", "数据库", "資料庫"),
)
AROUND = (
    *("the {} is", "the {}.", "the {}, or", "the {}: yes", "({})", "`{}`", "“{}”", '"{}"', "'{}'", "**{}**", "{}?"),
    *(
        "{}…",
        "{}—so",
        "使用{}时",
        "使用「{}」。",
        "（{}）",
        "{}的值",
        "把{}，",
        "\ufeff{}\u200b",
        "{}\n",
        "[{}]",
        "<{}>",
    ),
)


@pytest.mark.parametrize("name", NAMES)
def test_the_words_around_a_name_do_not_change_its_terms(name: str) -> None:
    wanted = set(terms(name))
    assert wanted
    for around in AROUND:
        assert wanted <= set(terms(around.format(name))), around
