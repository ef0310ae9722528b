"""What the encoder learns from: English texts, translated paragraphs, names, questions with wrong passages."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ingest.bilingual.training.align import align, paragraphs
from ingest.bilingual.training.pairing import key, paired
from ingest.bilingual.training.parallel import (
    DOCUMENT,
    NAME,
    SENTENCE,
    Aligned,
    Pair,
    aligned,
    names,
    pairs_of,
    read_sentences,
)
from ingest.bilingual.training.passages import passages_of
from ingest.bilingual.training.questions import by_language, odds, read_paragraphs, with_wrong_passages
from ingest.bilingual.training.sections import section_pairs
from ingest.bilingual.training.shards import Document, read_lines, read_shards, write_lines
from ingest.bilingual.training.texts import LONGEST, english_texts, share_of
from tests.ingest.bilingual.training_data import WORDS, write_bert, write_corpus, write_pairs, write_questions

ENGLISH = [
    "# Installing the program on your computer",
    "Download the archive of version 3 from the site, unpack it in your home folder and run setup from there.",
    "A paragraph that nobody has translated yet, since it was written only last week by somebody in a hurry.",
    "The option --verbose prints each file that is copied; with --quiet nothing but errors is printed at all.",
    "Restart the computer.",
]
CHINESE = [
    "# 在您的计算机上安装程序",
    "请从网站下载第 3 版的压缩包，解压到您的主文件夹，然后在那里运行 setup 程序，按提示完成安装。",
    "选项 --verbose 会打印每一个被复制的文件；使用 --quiet 时，除了错误之外什么也不会打印出来。",
    "请重启计算机。",
]


def test_a_paragraph_without_translation_shifts_the_rest() -> None:
    assert [(i, j) for _, i, j in align(ENGLISH, CHINESE)] == [(0, 0), (1, 1), (3, 2), (4, 3)]
    assert [(i, j) for _, i, j in align(ENGLISH[1:], CHINESE)] == [(0, 1), (2, 2), (3, 3)]  # and the other way round


def test_nothing_aligns_with_nothing() -> None:
    assert align([], CHINESE) == [] and align(ENGLISH, []) == []


def test_paragraphs_are_lines_with_single_spaces() -> None:
    assert paragraphs("# One\n\n two  three\n \nfour") == ["# One", "two three", "four"]


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("m/docs:docs/source_en/faq.md", "m/docs:docs/source_zh_cn/faq.md"),
        ("d2l-ai/d2l-en:chapter/index.md", "d2l-ai/d2l-zh:chapter/index.md"),
        ("t/docs:site/en-snapshot/guide/keras.ipynb", "t/docs:site/zh-cn/guide/keras.ipynb"),
        ("p/docs:docs/api/tensor_en.rst", "p/docs:docs/api/tensor_cn.rst"),
        ("e/i18n:content/en-US/docs/menu.md", "e/i18n:content/zh-CN/docs/menu.md"),
        ("g/guide:_articles/users.md", "g/guide:_articles/zh-hans/users.md"),
        ("rust-lang/book:src/ch01.md", "KaiserY/trpl-zh-cn:src/ch01.md"),
        ("w/js:src/loader.mdx", "w/js:src/loader.md"),
    ],
)
def test_a_document_and_its_translation_have_one_key(english: str, chinese: str) -> None:
    first, second = (key(Document("", *name.split(":"))) for name in (english, chinese))
    assert first == second


def test_other_documents_have_other_keys() -> None:
    named = ["a/docs:docs/token.md", "a/docs:docs/ten.md", "a/docs:en/engine.md", "b/docs:docs/token.md"]
    assert len({key(Document("", *name.split(":"))) for name in named}) == len(named)


def test_documents_are_paired_across_languages_only() -> None:
    given = [
        Document("English text", "a/b", "en/one.md"),
        Document("中文的文本", "a/b", "zh/one.md"),
        Document("English text again", "a/b", "en/two.md"),
        Document("More English text", "a/b", "two.md"),
    ]
    assert paired(given) == [("English text", "中文的文本")]


def test_passages_have_sentences_of_their_translation() -> None:
    pairs = [
        Aligned(0.1, f"The paragraph {n} says at length what it says. " * 3, f"第{n}段的译文在此。") for n in range(9)
    ]
    pairs[4] = pairs[4]._replace(cost=0.39)  # its sentence may be another paragraph's
    found = passages_of([pairs] * 30, seed=0)
    assert found == passages_of([pairs] * 30, seed=0)
    for passage in found:
        assert 150 < len(passage.english) <= 1100 and passage.sentences
        assert all(f"The paragraph {sentence[1]} says" in passage.english for sentence in passage.sentences)
    assert not any("第4段" in sentence for passage in found for sentence in passage.sentences)


def test_names_in_brackets() -> None:
    text = (
        "由英国人艾伦·图灵（Alan Turing，1912年）提出；机器学习（英语：machine learning）很有用（见上文）。阿兰(Alan)"
    )
    assert [(pair.chinese, pair.english) for pair in names(text)] == [
        ("由英国人艾伦·图灵", "Alan Turing"),
        ("机器学习", "machine learning"),
        ("阿兰", "Alan"),
    ]


def test_pairs_come_from_all_three_sources_once(tmp_path: Path) -> None:
    documents = [
        Document("\n".join(ENGLISH), "a/b", "en/x.md"),
        Document("\n".join(CHINESE), "a/b", "zh/x.md"),
    ]
    sentences = [Pair("Hi.", "嗨。", SENTENCE), Pair("Hi.", "嗨。", SENTENCE)]
    found = pairs_of(aligned(documents), sentences, ["机器学习（machine learning）"] * 2)
    assert [pair.kind for pair in found].count(DOCUMENT) == 4
    assert found[0] == Pair(
        "Installing the program on your computer", "在您的计算机上安装程序", DOCUMENT
    )  # without the mark of the heading
    assert found[4:] == [Pair("Hi.", "嗨。", SENTENCE), Pair("machine learning", "机器学习", NAME)]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("Hi. 嗨。\n", "line 1, is not English and Chinese with a tab"),
        ("Hi.\t嗨。\nBye.\t\n", "line 2, is not English and Chinese with a tab"),
        ("嗨。\tHi.\n", "is mostly not Chinese; put English first"),
        ("", "is mostly not Chinese"),
    ],
)
def test_wrong_sentence_pairs_are_refused(tmp_path: Path, content: str, sentence: str) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text(content, "utf-8")
    with pytest.raises(ValueError, match=sentence):
        read_sentences(path)


def test_sentence_pairs_are_read(tmp_path: Path) -> None:
    found = read_sentences(write_pairs(tmp_path / "pairs.tsv"))
    assert len(found) == 90 and found[0] == Pair("The river near a mountain.", "河流附近有高山。", SENTENCE)


def test_shards_are_read_plain_and_compressed(tmp_path: Path) -> None:
    import zstandard

    plain = write_corpus(tmp_path / "a.jsonl")
    packed = tmp_path / "b.jsonl.zst"
    packed.write_bytes(zstandard.compress(plain.read_bytes()))
    assert list(read_shards([plain])) == list(read_shards([packed]))
    assert {document.language for document in read_shards([plain])} == {"en", "zh"}


@pytest.mark.parametrize("content", ["not json\n", '{"text": "a"}\n', "[]\n"])
def test_a_damaged_shard_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "shard.jsonl"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"shard\.jsonl is damaged"):
        list(read_shards([path]))
    packed = tmp_path / "shard.jsonl.zst"
    packed.write_bytes(b"not zstd")
    with pytest.raises(ValueError, match=r"shard\.jsonl\.zst is damaged"):
        list(read_shards([packed]))


def test_lines_keep_line_breaks_within_texts(tmp_path: Path) -> None:
    write_lines(tmp_path / "x.jsonl", ["a\nb", "\u2028中"])
    assert read_lines(tmp_path / "x.jsonl") == ["a\nb", "\u2028中"]


def test_no_source_gives_more_than_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.bilingual.training.texts.SHARE", 3_000)
    text = "\n\n".join(f"Sentence {n} of a paragraph that is long enough to be kept as one." for n in range(20))
    documents = [Document(text, source, f"{n}") for source in ("large", "large", "small") for n in range(20)]
    documents += [Document("这是中文的文档，不属于英文。" * 20, "small", "zh")]
    found = english_texts(documents[:40], [], seed=0)
    assert 3_000 < sum(map(len, found)) < 3_000 + LONGEST + 100
    assert not any("中文" in text for text in english_texts(documents, [], seed=0))
    assert found == english_texts(documents[:40], [], seed=0) != english_texts(documents[:40], [], seed=1)
    assert share_of("awsdocs/amazon-s3-userguide") < share_of("mlschmitt/classic-books-markdown")


def test_questions_are_among_the_texts(tmp_path: Path) -> None:
    asked = [read_paragraphs(write_questions(tmp_path / f"{c}.json", chinese=c)) for c in (False, True)]
    found = english_texts([], asked, seed=0)
    assert found.count("Who built the river?") == 1 and len(found) == 10 + 2 * 10


def test_wrong_passages_share_the_words_of_the_question(tmp_path: Path) -> None:
    bert = write_bert(tmp_path / "bert")
    given = read_paragraphs(write_questions(tmp_path / "questions.json", chinese=True))
    asked = with_wrong_passages(given, bert / "tokenizer.json", tmp_path)
    assert asked.language == "zh" and len(asked.questions) == len(WORDS)
    for text, right, wrong in asked.questions:
        name = text.removeprefix("谁建成了").removesuffix("？")
        assert name in asked.chunks[right] and right not in wrong
        assert wrong and all("建" in asked.chunks[other] and name not in asked.chunks[other] for other in wrong)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("tmp")]  # nothing is left
    assert by_language([asked], "en") == [] and by_language([asked], "zh") == [asked]
    assert odds([asked, asked]).tolist() == [0.5, 0.5]


@pytest.mark.parametrize("content", ["[]", "{}", '{"data": [{"paragraphs": [{"context": "x"}]}]}', "nothing"])
def test_wrong_question_files_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "questions.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="not a question file in SQuAD's shape"):
        read_paragraphs(path)


def test_sections_go_with_their_headings_and_sentences() -> None:
    body = "机器学习是人工智能的一个分支。它研究怎样让计算机从数据中学习规律。近年来发展得非常快。" * 2
    documents = [Document(f"# 机器学习\n{body}\n## 历史\n{body}", "a", str(n)) for n in range(40)]
    found = list(section_pairs(documents, seed=0))
    heads = {head for head, _ in found}
    assert "机器学习" in heads and "机器学习 历史" in heads
    sentences = [(head, passage) for head, passage in found if head.endswith("。")]
    assert {head in passage for head, passage in sentences} == {True, False}
    random.seed(1)
    assert found == list(section_pairs(documents, seed=0))
