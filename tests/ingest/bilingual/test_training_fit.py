"""The training loops: the loss falls, a pair comes together, a name is cut where it begins."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from ingest.bilingual.documents import DOCUMENTS, PieceTable
from ingest.bilingual.model import pack
from ingest.bilingual.training.batches import encode, endless, open_tokenizer, pieces_of
from ingest.bilingual.training.course import Average, Budget, Course
from ingest.bilingual.training.distil import distil, imitation, read_teacher
from ingest.bilingual.training.documents import learn_documents
from ingest.bilingual.training.fit_table import Fit, Material, vocabulary
from ingest.bilingual.training.parallel import NAME, SENTENCE, Pair
from ingest.bilingual.training.passages import Passage
from ingest.bilingual.training.questions import Asked
from ingest.bilingual.training.rarity import rarity
from ingest.bilingual.training.tune import tune
from ingest.bilingual.transformer import Transformer, pad
from tests.ingest.bilingual.training_data import LAYERS, POSITIONS, WORDS, sentence_pairs, write_bert

CPU = torch.device("cpu")
TEXTS = [english for english, _ in sentence_pairs()]
ASKED = Asked(
    "en", TEXTS[:20], [(f"Who built the {word}?", n, [n + 1, n + 2]) for n, word in enumerate(WORDS)]
)  # fmt: skip


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bert(tmp_path_factory.mktemp("bert") / "folder")


def distance(teacher: Transformer, student: Transformer, bert: Path) -> float:
    rows = next(endless(TEXTS, open_tokenizer(bert / "tokenizer.json"), 4096, seed=0))
    with torch.no_grad():
        return float(imitation(teacher, student, *pad(rows))[0])


def test_the_student_has_the_layers_of_its_teacher(bert: Path) -> None:
    teacher, student = read_teacher(bert)
    assert (len(teacher.layers), len(student.layers)) == (LAYERS, 2)
    mine = student.layers[1].state_dict()
    assert all(torch.equal(mine[name], value) for name, value in teacher.layers[-1].state_dict().items())
    assert len(teacher.positions) == POSITIONS and not student.words.weight.requires_grad


def test_distillation_comes_closer_to_the_teacher(bert: Path) -> None:
    teacher, student = read_teacher(bert)
    before = distance(teacher, student, bert)
    tokenizer = open_tokenizer(bert / "tokenizer.json", 16)
    student.load_state_dict(distil(teacher, student, TEXTS, tokenizer, Budget(1, 25), CPU, seed=0))
    assert distance(teacher, student, bert) < 0.8 * before


def test_tuning_brings_questions_to_their_passages(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.bilingual.training.tune.WEIGHT", 1.0)  # the steps are few
    teacher, _ = read_teacher(bert)
    student = copy.deepcopy(teacher).requires_grad_(True)
    tokenizer = open_tokenizer(bert / "tokenizer.json", 32)

    def first() -> float:
        questions = encode(student, [text for text, _, _ in ASKED.questions], tokenizer, CPU)
        scores = questions @ encode(student, ASKED.chunks, tokenizer, CPU).T
        right = np.array([place for _, place, _ in ASKED.questions])
        return float((scores[np.arange(len(right)), right] - scores.mean(axis=1)).mean())

    before = first()
    state = tune(teacher, student, TEXTS, [ASKED], tokenizer, Budget(1, 20), CPU, seed=0)
    student.load_state_dict(state)
    assert first() > before + 0.05


def test_rows_of_documents_sum_to_what_the_transformer_says(bert: Path) -> None:
    """Also for a text that is not among those learned from, and with no more than the rows at hand."""
    student, _ = read_teacher(bert)
    tokenizer = open_tokenizer(bert / "tokenizer.json", 32)
    wanted = encode(student, TEXTS, tokenizer, CPU)

    def likeness(steps: int) -> float:
        rows = learn_documents(student, TEXTS[::2], [ASKED], tokenizer, Budget(1, steps), CPU, seed=0)
        assert rows.shape == student.words.weight.shape and rows.dtype == np.float32
        packed = pack(rows, DOCUMENTS)
        mine = PieceTable.of(packed).encode(pieces_of(tokenizer, TEXTS))
        return float(((mine / np.linalg.norm(mine, axis=1, keepdims=True)) * wanted).sum(axis=1)[1::2].mean())

    untrained = PieceTable.of(pack(student.words.weight.detach().numpy(), DOCUMENTS)).encode([[], [5]])
    assert not untrained[0].any() and untrained[1].any()
    assert likeness(200) > max(likeness(2) + 0.2, 0.5)


def test_batches_are_the_same_for_a_seed_and_hold_every_text(bert: Path) -> None:
    tokenizer = open_tokenizer(bert / "tokenizer.json")
    one, other = (endless(TEXTS, tokenizer, 64, seed=3) for _ in range(2))
    assert [next(one) for _ in range(9)] == [next(other) for _ in range(9)]
    seen: list[list[int]] = []
    again = endless(TEXTS, tokenizer, 64, seed=3)
    while len(seen) < len(TEXTS):
        seen += next(again)
    assert sorted(seen) == sorted(encoding.ids for encoding in tokenizer.encode_batch_fast(TEXTS))


def material(bert: Path, pairs: list[Pair]) -> Material:
    teacher, _ = read_teacher(bert)
    english = encode(teacher, [pair.english for pair in pairs], open_tokenizer(bert / "tokenizer.json"), CPU)
    asked = Asked("zh", [pair.chinese for pair in pairs[:10]], [(pairs[n].chinese[:2], n, [n + 1]) for n in range(9)])
    passages = [Passage(pair.english, [pair.chinese]) for pair in pairs]
    return Material(
        pairs, english, passages, english, [asked], [(pair.chinese[:3], pair.chinese) for pair in pairs[:20]]
    )


def fit(bert: Path, given: Material) -> Fit:
    teacher, _ = read_teacher(bert)
    tokenizer = open_tokenizer(bert / "tokenizer.json")
    names = vocabulary(given, ["一二三四五六七八九十。library"] * 3, tokenizer)
    assert "#library" in names and "图书" in names and "图" in names
    return Fit(names, given, teacher, tokenizer, CPU, seed=0)


def cosines(given: Material, table: Fit) -> np.ndarray:
    with torch.no_grad():
        mine = table.vectors(table.reader.ids([pair.chinese for pair in given.pairs])).numpy()
    return (mine * given.english).sum(axis=1)


def test_the_table_brings_a_pair_together(bert: Path) -> None:
    given = material(bert, [Pair(english, chinese, SENTENCE) for english, chinese in sentence_pairs()])
    table = fit(bert, given)
    before = cosines(given, table).mean()
    rows = table.run(Budget(1, 30))
    assert cosines(given, table).mean() > before + 0.5
    assert rows.dtype == np.float32 and rows.shape == table.bag.weight.shape


def test_a_name_is_cut_where_it_begins(bert: Path) -> None:
    words = [Pair(english, chinese, NAME) for english, chinese in WORDS.items()]
    given = material(bert, words)
    table = fit(bert, given)
    table.run(Budget(1, 60))
    longer = [Pair(pair.english, f"一二三{pair.chinese}", NAME) for pair in words]
    other = fit(bert, dataclasses.replace(given, pairs=longer))
    other.bag.weight.data.copy_(torch.randn(other.bag.weight.shape, generator=torch.Generator().manual_seed(0)))
    for name, number in {term: n for n, term in enumerate(other.names)}.items():
        if name in table.names:
            other.bag.weight.data[number] = table.bag.weight.data[table.names.index(name)]
    other.recut()
    right = [
        cut.tolist() == rows.tolist()
        for cut, rows in zip(other.cuts, other.reader.ids([p.chinese for p in words]), strict=True)
    ]
    assert sum(right) >= 8


def test_frequent_word_pieces_count_less(bert: Path) -> None:
    tokenizer = open_tokenizer(bert / "tokenizer.json")
    found = rarity(TEXTS, tokenizer)
    the, river, absent = (float(found[tokenizer.token_to_id(word)]) for word in ("the", "river", "built"))
    assert 0 < the < river < absent
    assert found.shape == (tokenizer.get_vocab_size(),) and found.dtype == np.float32


def test_a_course_of_steps_and_one_of_minutes_end() -> None:
    course = Course("test", Budget(1, 4))
    assert list(course) == [0, 0.25, 0.5, 0.75] and course.step == 4
    assert not list(Course("test", Budget(1e-9)))


def test_the_rate_rises_holds_and_falls() -> None:
    course = Course("test", Budget(1, 100))
    rates = [course.rate(10, 0.5) for _ in course]
    assert rates[0] == 0.1 and rates[9:50] == [1.0] * 41 and rates[75::24] == pytest.approx([0.5, 0.02])


def test_averages_follow_the_weights() -> None:
    model = torch.nn.Linear(2, 1, bias=False)
    model.weight.data.zero_()
    average = Average(model, keep=0.5)
    model.weight.data.fill_(1)
    for _ in range(2):
        average.update(model)
    assert 0.5 < float(average.state(model)["weight"].mean()) < 1
    assert model.weight.tolist() == [[1, 1]]
