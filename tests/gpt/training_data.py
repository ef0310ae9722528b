"""A tiny bilingual corpus, questions and a tokenizer on disk, and the command that trains a tiny model on them."""

from __future__ import annotations

import json
from pathlib import Path

from gpt.training.train import main

EN = (
    "The harbour of Skerry was built in 1871 by Thomas Arden. Thomas Arden had studied bridges in Glasgow. "
    "In 1902 a storm destroyed the northern wall, and the town of Skerry rebuilt it with granite from Norway. "
    "Today about 240 fishing boats leave the harbour every morning, and the granite wall still stands. "
)
ZH = "斯凯里港建于1871年，由托马斯·阿登设计。1902年，一场风暴摧毁了北墙，小镇用挪威的花岗岩重建了它。如今每天早晨约有240艘渔船离港。"


def write_data(folder: Path) -> Path:
    """prose.jsonl, qa.json and tok/ in ``folder``."""
    with (folder / "prose.jsonl").open("w", encoding="utf-8") as out:
        for i in range(30):
            out.write(json.dumps({"text": f"# Part {i}\n\n" + EN * 3}) + "\n")
            out.write(json.dumps({"text": f"# 第{i}章\n\n" + ZH * 4}, ensure_ascii=False) + "\n")
    paragraphs = []
    for i, (context, question, answer) in enumerate(
        [
            (EN, "Who built the harbour?", "Thomas Arden"),
            (EN, "Where did the granite come from?", "Norway"),
            (ZH, "港口建于哪一年？", "1871年"),
            (ZH, "谁设计了港口？", "托马斯·阿登"),
        ]
    ):
        answers = [{"text": answer, "answer_start": context.index(answer)}]
        paragraphs.append(
            {"context": context, "qas": [{"id": str(i), "question": question, "answers": answers}]}
        )
    paragraphs[0]["qas"].append(
        {"id": "no", "question": "Who sank it?", "answers": [], "is_impossible": True}
    )
    (folder / "qa.json").write_text(json.dumps({"data": [{"title": "x", "paragraphs": paragraphs}]}))
    assert (
        main(
            [
                "tokenizer",
                "--prose",
                str(folder / "prose.jsonl"),
                "--questions",
                str(folder / "qa.json"),
                "--every",
                "1",
                "--vocab-size",
                "420",
                "--out",
                str(folder / "tok"),
            ]
        )
        == 0
    )
    return folder


def command(data: Path, out: Path, *extra: str) -> list[str]:
    return [
        "train",
        "--prose",
        str(data / "prose.jsonl"),
        "--questions",
        str(data / "qa.json"),
        "--heldout",
        str(data / "prose.jsonl"),
        "--tokenizer",
        str(data / "tok"),
        "--out",
        str(out),
        "--rows",
        "6",
        "--device",
        "cpu",
        "--layers",
        "1",
        "--heads",
        "2",
        "--width",
        "32",
        "--hidden",
        "48",
        "--threads",
        "1",
        *extra,
    ]
