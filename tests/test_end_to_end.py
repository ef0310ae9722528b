"""Openbook over its own manual, as a reader meets it: real questions, by every door, in both languages.

The manual is ingested once with the bundled encoder; questions go through the default model. The numbers below are
floors, not targets: what fails is printed with the quotations that came instead.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest.encode import Encoder
from ingest.pipeline import ingest as update
from ingest.store import Store
from rag import Answer, build_chain
from rag.chain import AnswerChain
from rag.words import CROSSED

ROOT = Path(__file__).parents[1]

# A question as a reader asks it, and words of the sentences that answer it (any one of them).
QUESTIONS: dict[str, list[tuple[str, tuple[str, ...]]]] = {
    "en": [
        ("What does temperature 0 do?", ("most probable token",)),
        ("How do I add documents?", ("`python -m ingest`", '"Add files"')),
        ("Which file formats are supported?", ("plain text, Markdown, HTML, PDF",)),
        ("What are the exit codes?", ("Exit code 0 means", "`python -m rag` is 0 when")),
        ("How do I change the port of the chat?", ("`--port`",)),
        ("Where does Openbook keep its data?", ("keeps everything it has indexed in one folder", "default store is")),
        ("Why can a quotation not be invented?", ("cannot invent a quotation, because",)),
        ("What happens when the documents do not answer my question?", ("do not answer the question, Openbook refuses", "refuses when its confidence is below")),
        ("Are my documents sent to anyone?", ("sends your documents nowhere", "no network access")),
        ("How can I reach the chat from another computer?", ("OPENBOOK_PASSWORD",)),
    ],
    "zh": [
        ("温度为 0 时会怎样？", ("概率最大的词元",)),
        ("怎么添加文档？", ("`python -m ingest`", "“添加文件”")),
        ("支持哪些文件格式？", ("纯文本、Markdown、HTML、PDF",)),
        ("退出码有哪些？", ("0 表示命令完成",)),
        ("怎么更换聊天界面的端口？", ("`--port`",)),
        ("Openbook 的数据存放在哪里？", ("放在一个文件夹里", "默认的文档库是")),
        ("为什么引文不可能是编造的？", ("不可能编造引文，因为",)),
        ("文档里没有答案时会怎样？", ("会拒答",)),
        ("我的文档会被发送给别人吗？", ("不会把你的文档发送到任何地方",)),
        ("怎么从别的电脑访问聊天界面？", ("OPENBOOK_PASSWORD",)),
    ],
}  # fmt: skip
ANSWERED = 8  # of ten in each language

OFF_TOPIC = {
    "en": [
        "What is the capital of France?",
        "Who won the football World Cup in 2018?",
        "How long does it take to bake sourdough bread?",
        "What is the boiling point of mercury?",
    ],
    "zh": ["法国的首都是哪里？", "2022 年世界杯冠军是谁？", "红烧肉要炖多长时间？", "水银的沸点是多少度？"],
}
REFUSED = 3  # of four in each language


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-m", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, env=environment, timeout=240, check=False)


def ingest(folder: Path, store: Path) -> dict[str, Any]:
    done = command("ingest", folder, "--store", store, "--json")
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


@pytest.fixture(scope="module")
def manual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that holds a copy of the manual."""
    home = tmp_path_factory.mktemp("manual")
    for language in ("en", "zh"):
        shutil.copytree(ROOT / "docs" / language, home / "docs" / language)
    report = ingest(home / "docs", home / "store")
    assert report["added"] == report["files"] >= 20 and report["quarantined"] == []
    return home / "store"


@pytest.fixture(scope="module")
def chain(manual: Path) -> Iterator[AnswerChain]:
    built = build_chain(store=manual)
    yield built
    built.close()


def shown(question: str, answer: Answer) -> str:
    quotes = "".join(f"\n      [{c.n}] {c.score:.2f} {Path(c.source).name}: {c.quote}" for c in answer.citations)
    return f"\n  {question}  (confidence {answer.confidence:.2f}){quotes or '  refused'}"


def check_citations(store: Path, answer: Answer) -> None:
    with Store.open(store) as opened:
        for citation in answer.citations:
            assert opened.text(citation.doc_id)[citation.start : citation.end] == citation.quote
            record = opened.document(citation.doc_id)
            assert (record.path, record.title) == (citation.source, citation.title)


def bare(answer: Answer | dict[str, Any]) -> dict[str, Any]:
    """An answer without what no two runs share: its timings."""
    fields = answer if isinstance(answer, dict) else answer.model_dump(mode="json")
    return {name: value for name, value in fields.items() if name != "timings"}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_manual_holds_the_words_that_are_looked_for(language: str) -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs" / language).glob("*.md")))
    gone = [phrase for _, phrases in QUESTIONS[language] for phrase in phrases if phrase not in text]
    assert not gone, f"the manual now says this in other words, so the questions below test nothing: {gone}"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_questions_about_the_manual(manual: Path, chain: AnswerChain, language: str) -> None:
    missed = []
    for question, phrases in QUESTIONS[language]:
        answer = chain.invoke(question)
        check_citations(manual, answer)
        if not any(phrase in citation.quote for citation in answer.citations for phrase in phrases):
            missed.append(shown(question, answer))
    right = len(QUESTIONS[language]) - len(missed)
    report = f"{right} of {len(QUESTIONS[language])} answered ({language}); missed:{''.join(missed) or ' none'}"
    print(report)
    assert right >= ANSWERED, report


@pytest.mark.parametrize("language", ["en", "zh"])
def test_questions_about_something_else_are_refused(chain: AnswerChain, language: str) -> None:
    answered = []
    for question in OFF_TOPIC[language]:
        answer = chain.invoke(question)
        if not answer.refused:
            answered.append(shown(question, answer))
        else:
            assert answer.citations == [] and answer.sources  # the nearest passages are shown
    right = len(OFF_TOPIC[language]) - len(answered)
    report = f"{right} of {len(OFF_TOPIC[language])} refused ({language}); answered:{''.join(answered) or ' none'}"
    print(report)
    assert right >= REFUSED, report


@pytest.mark.parametrize(
    ("question", "temperature"), [("Which file formats are supported?", 0.0), ("怎么更新文档？", 1.5)]
)
def test_every_door_gives_the_same_answer(manual: Path, chain: AnswerChain, question: str, temperature: float) -> None:
    asked: Any = {"question": question, "temperature": temperature, "seed": 7}
    invoked = chain.invoke(asked)
    assert not invoked.refused and bare(chain.invoke(asked)) == bare(invoked)
    events = list(chain.stream(asked))
    assert bare(events[-1]["answer"]) == bare(invoked)
    assert "".join(event.get("text", "") for event in events) == invoked.answer
    flags = ["--temperature", str(temperature), "--seed", "7", "--json"]
    done = command("rag", "ask", question, "--store", manual, *flags)
    assert done.returncode == 0, done.stderr
    assert bare(json.loads(done.stdout.splitlines()[-1])) == bare(invoked)


def test_an_edit_and_a_deletion_reach_the_answers(tmp_path: Path) -> None:
    folder, store = tmp_path / "notes", tmp_path / "store"
    folder.mkdir()
    (folder / "keys.md").write_text(
        "# Keys\n\nThe key of the boat house hangs behind the kitchen clock.\n", encoding="utf-8"
    )
    (folder / "boat.md").write_text("# 小船\n\n小船的缆绳放在码头的红色木箱里。\n", encoding="utf-8")
    encoder = Encoder.load()  # once for the three runs
    update([folder], store, encoder=encoder)
    chain = build_chain(store=store)
    english, chinese = "Where does the key of the boat house hang?", "小船的缆绳放在哪里？"
    try:
        assert "kitchen clock" in chain.invoke(english).answer
        assert "红色木箱" in chain.invoke(chinese).answer

        (folder / "keys.md").write_text(
            "# Keys\n\nThe key of the boat house hangs under the blue lantern.\n", encoding="utf-8"
        )
        report = update([folder], store, encoder=encoder)
        assert (report.changed, report.unchanged) == (1, 1)
        answer = chain.invoke(english)  # the chain that was open all along
        assert "blue lantern" in answer.answer, shown(english, answer)
        check_citations(store, answer)
        assert all("kitchen clock" not in passage.text for passage in answer.sources)

        (folder / "boat.md").unlink()
        assert update([folder], store, encoder=encoder).removed == 1
        answer = chain.invoke(chinese)
        # What is left is English, and speaks of a boat: across languages an answer says that it is less sure.
        assert answer.refused or CROSSED in answer.warnings
        assert all("红色木箱" not in passage.text for passage in answer.sources)
        with Store.open(store) as opened:
            texts = [opened.text(document.id) for document in opened.documents()]
        assert len(texts) == 1 and "kitchen clock" not in texts[0]
    finally:
        chain.close()
