"""Every chunk is searched under ``title > section``, by words and by meaning, and shown without it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from ingest.pipeline import ingest
from rag.search import Searcher

DRAIN = "Drain it, close both valves and keep it in a dry place. "
LID = "Tighten the four screws of the lid. "
MORE = (
    "Do this on a day without rain, and let somebody hold the ladder. Put the tools back into the box when you have "
    "finished, wipe the ground, and write the date on the card that hangs beside the door. A spare card lies in the "
    "drawer of the kitchen table; take another one from the office when the last has been filled. "
) * 2
MANUAL = f"# Brunwick pumps\n\n## Winter storage\n\n{DRAIN}{MORE}\n\n## Noise\n\n{LID}{MORE}\n"
ZH_MORE = (
    "请选一个没有雨的日子，让人扶好梯子。完成以后把工具放回箱子，擦干地面，在门边的卡片上写下日期。备用的卡片在餐桌抽屉里。"
    * 3
)
HANDBOOK = f"# 青岚水泵\n\n## 冬季存放\n\n排空积水，关闭两个阀门，放在干燥处。{ZH_MORE}\n\n## 噪音\n\n拧紧盖上的四个螺丝。{ZH_MORE}\n"


@pytest.fixture(scope="module")
def searcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searcher]:
    folder = tmp_path_factory.mktemp("headers")
    (folder / "files").mkdir()
    (folder / "files" / "a.md").write_text(MANUAL, encoding="utf-8")
    (folder / "files" / "b.md").write_text(HANDBOOK, encoding="utf-8")
    for number in range(4):
        text = f"Case {number}: drain the tank, close the valves, tighten the screws. 排空水箱，关闭阀门，拧紧螺丝。"
        (folder / "files" / f"rival{number}.txt").write_text(text, encoding="utf-8")
    ingest([folder / "files"], folder / "store")
    opened = Searcher.open(folder / "store")
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("question", "header", "said"),
    [
        ("Brunwick in winter", "Brunwick pumps > Winter storage", "Drain it"),
        ("noise of Brunwick pumps", "Brunwick pumps > Noise", "four screws"),
        ("青嵐水泵冬季怎麼存放", "青岚水泵 > 冬季存放", "排空积水"),
        ("青岚水泵噪音", "青岚水泵 > 噪音", "四个螺丝"),
    ],
)
def test_words_of_title_and_section_find_a_chunk(searcher: Searcher, question: str, header: str, said: str) -> None:
    (best,) = searcher.store.lexical(question, 1)
    chunk = searcher.store.chunk(best[0])
    assert (chunk.header, said in chunk.text) == (header, True)
    (hit,) = searcher.search(question, 1).hits
    assert hit.chunk.id == chunk.id and searcher.store.text(chunk.doc_id)[chunk.start : chunk.end] == chunk.text


def test_the_vector_is_of_header_and_text(searcher: Searcher) -> None:
    store = searcher.store
    records = [chunk for chunk in store.chunks(store.chunk_ids()) if " > " in chunk.header]
    assert {chunk.headings[-1] for chunk in records} == {"Winter storage", "Noise", "冬季存放", "噪音"}
    wanted = searcher.encoder.encode_documents([f"{chunk.header}\n{chunk.text}" for chunk in records])
    assert np.allclose(store.vectors([chunk.id for chunk in records]), wanted, atol=2e-3)
    bare = searcher.encoder.encode_documents([chunk.text for chunk in records])
    assert not np.allclose(wanted, bare, atol=1e-2)


def test_the_header_is_not_quoted(searcher: Searcher) -> None:
    for chunk in searcher.store.chunks(searcher.store.chunk_ids()):
        assert chunk.header and not chunk.text.startswith(chunk.header)
