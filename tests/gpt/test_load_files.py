"""What can be wrong with a folder, a shard or the room for a model; names of the hub."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from gpt.config import GPTConfig
from gpt.engine import Engine
from gpt.hub.memory import available, needed
from gpt.hub.snapshot import is_hub_id, snapshot
from gpt.load import find_model, load_model, read_config
from tests.gpt.hub_models import CHATML, byte_level, save_hub_model, save_tokenizer
from tests.gpt.test_families import FAMILIES

INDEX = "model.safetensors.index.json"


def refused(folder: Path | str, message: str, weights: str = "auto") -> None:
    with pytest.raises(ValueError, match=message) as caught:
        load_model(folder, weights=weights)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def edit_index(folder: Path, shard: str) -> None:
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"]["lm_head.weight"] = shard
    (folder / INDEX).write_text(json.dumps(index))


def test_shards(tmp_path: Path) -> None:
    save_hub_model(tmp_path, FAMILIES["llama3 grouped untied"], shard="20KB")
    shards = sorted(tmp_path.glob("*.safetensors"))
    assert len(shards) > 2
    load_model(tmp_path)
    whole = (tmp_path / INDEX).read_text()
    for shard, message in (
        ("../model.safetensors", "names '../model.safetensors', which is no safetensors file beside it"),
        ("pytorch_model.bin", "names 'pytorch_model.bin', which is no safetensors file"),
        ("model-9.safetensors", "lacks the shard model-9.safetensors"),
    ):
        edit_index(tmp_path, shard)
        refused(tmp_path, message)
    for text in ("{", "{}", '{"weight_map": {}}', '{"weight_map": {"a": 1}}'):
        (tmp_path / INDEX).write_text(text)
        refused(tmp_path, "cannot be read as JSON" if text == "{" else "maps no tensors to files")
    (tmp_path / INDEX).write_text(whole)
    data = shards[1].read_bytes()
    shards[1].write_bytes(data[:-7])
    refused(tmp_path, f"{shards[1].name} is damaged or no safetensors file")
    shards[1].write_bytes(data)
    state = load_file(shards[1])
    lost = sorted(state)[0]
    del state[lost]
    save_file(state, shards[1])
    refused(tmp_path, f"lacks the matrix {lost.removeprefix('model.')}")
    shards[1].unlink()
    refused(tmp_path, f"lacks the shard {shards[1].name}")


@pytest.mark.parametrize("family", ["gpt2", "qwen2 tied"])
def test_tensors_are_named_as_in_the_file(family: str, tmp_path: Path) -> None:
    save_hub_model(tmp_path, FAMILIES[family])
    path = tmp_path / "model.safetensors"
    state = load_file(path)
    name, lost, sizes = {
        "gpt2": ("transformer.h.1.attn.c_attn.weight", "h.1.attn.c_attn.weight", ("16 x 192", "32 x 96")),
        "qwen2 tied": ("model.layers.2.mlp.up_proj.weight", "layers.2.mlp.up_proj.weight", ("24 x 64", "48 x 32")),
    }[family]
    shape = [int(n) for n in sizes[0].split(" x ")]
    for change, message in (
        ({name: state[name].reshape(shape)}, f"{name} is {sizes[0]} and config.json asks for {sizes[1]}"),
        ({name: state[name].to(torch.int8)}, f"{name} holds I8, not floating-point weights"),
        ({name: state[name].to(torch.float8_e4m3fn)}, f"{name} holds F8_E4M3, not floating-point weights"),
        ({name: state[name].index_fill(0, torch.tensor(3), float("inf"))}, f"{name} holds weights that are NaN"),
        ({name: None}, f"lacks the matrix {lost}"),
        ({"score.weight": torch.ones(2, 2)}, "holds score.weight, which a model of this config.json does not have"),
    ):
        save_file({key: t for key, t in {**state, **change}.items() if t is not None}, path)
        refused(tmp_path, message)


def test_half_precision_files(tmp_path: Path) -> None:
    theirs = save_hub_model(tmp_path, FAMILIES["gpt2"])
    state = {name: tensor.to(torch.bfloat16) for name, tensor in load_file(tmp_path / "model.safetensors").items()}
    save_file(state, tmp_path / "model.safetensors")
    model, _ = load_model(tmp_path, dtype=torch.float32, weights="plain")
    ids = torch.arange(20)[None]
    with torch.inference_mode():
        wanted = theirs.bfloat16().float()(ids).logits
        assert (model.unembed(model(ids)) - wanted).abs().max() < 1e-4


def test_a_pickled_hub_folder_is_refused_by_name(tmp_path: Path) -> None:
    save_hub_model(tmp_path, FAMILIES["gpt2"])
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    refused(tmp_path, r"pytorch_model\.bin is a pickled file")
    (tmp_path / "pytorch_model.bin").unlink()
    refused(tmp_path, r"holds no model\.safetensors")


def test_a_vocabulary_larger_than_the_embedding_is_refused(tmp_path: Path) -> None:
    save_hub_model(tmp_path, FAMILIES["gpt2"], words=byte_level(size=340))
    refused(tmp_path, "the tokenizer has 343 tokens and the model 331; they were not made for each other")
    (tmp_path / "tokenizer.json").unlink()
    refused(tmp_path, r"holds no tokenizer\.json")


def test_unknown_ways_to_keep_weights_are_refused(tmp_path: Path) -> None:
    refused(tmp_path, "weights cannot be kept as 'int3'; give one of auto, fp32, bf16", weights="int3")


def test_too_little_memory_is_said_before_loading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_hub_model(tmp_path, FAMILIES["gpt2"])
    monkeypatch.setattr("gpt.hub.memory.available", lambda device: 100_000_000)
    load_model(tmp_path)
    monkeypatch.setattr("gpt.hub.memory.available", lambda device: 60_000)
    monkeypatch.setattr("gpt.load.read_tensor", lambda *_, **__: pytest.fail("loaded"))
    refused(tmp_path, r"needs 0\.\d GB of memory in \w+ and 0\.0 GB are available on cpu; close other programs")


def test_memory_needed_and_available(tmp_path: Path) -> None:
    config = GPTConfig(vocab_size=50_257, layers=12, heads=12, kv_heads=12, width=768, hidden=3072, kinds=0)
    plain = needed(config, torch.float32, packed=False)
    assert 1.2 < plain / (4 * config.parameters) < 1.8
    assert plain - needed(config, torch.bfloat16, packed=False) == 2 * config.parameters
    assert needed(config, torch.float32, packed=True) - plain == 4 * 50_257 * 768
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    8000 kB\n")
    (proc / "self" / "cgroup").write_text("0::/box/job\n")
    cpu = torch.device("cpu")
    assert available(cpu, proc, groups) == 8000 * 1024
    for folder, limit, used, cached in ((groups / "box", 5000, 3000, 500), (groups / "box" / "job", "max", 1, 0)):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text(f"anon 7\ninactive_file {cached}\n")
    assert available(cpu, proc, groups) == 2500
    (proc / "self" / "cgroup").write_text("4:cpu,memory:/elsewhere\n")
    old = groups / "memory"
    old.mkdir()
    (old / "memory.limit_in_bytes").write_text("4000")
    (old / "memory.usage_in_bytes").write_text("3900")
    (old / "memory.stat").write_text("total_inactive_file 100\ninactive_file 3900\n")
    assert available(cpu, proc, groups) == 200
    assert (available(cpu) or 0) > 0


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def cached(monkeypatch: pytest.MonkeyPatch, hub: Path, name: str) -> Path:
    """The folder of a model in a cache of the hub's layout."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(hub))
    repo, commit = hub / f"models--{name.replace('/', '--')}", "0" * 40
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(commit)
    (repo / "snapshots" / commit).mkdir(parents=True)
    return repo / "snapshots" / commit


@pytest.mark.usefixtures("no_network")
def test_a_cached_hub_model_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = cached(monkeypatch, tmp_path, "someone/tiny")
    save_hub_model(folder, FAMILIES["qwen2 tied"])
    monkeypatch.chdir(tmp_path)
    assert find_model("someone/tiny") == folder
    assert read_config(find_model("someone/tiny")).model_type == "qwen2"
    load_model("someone/tiny")


@pytest.mark.usefixtures("no_network")
def test_a_hub_model_that_cannot_be_had_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = cached(monkeypatch, tmp_path, "someone/half")
    monkeypatch.chdir(tmp_path)
    refused("someone/no", "there is no folder someone/no here, it is not in the local cache of the hub, and the hub")
    save_hub_model(folder, FAMILIES["qwen2 tied"], shard="20KB")
    find_model("someone/half")
    next(folder.glob("model-00002*")).unlink()
    refused("someone/half", "someone/half lacks config.json, tokenizer.json or safetensors weights, on the hub or")


def test_what_the_hub_says_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

    asked = []

    def answer(name: str, *, local_files_only: bool = False, **options: list[str]) -> str:
        asked.append(options)
        if local_files_only:
            raise LocalEntryNotFoundError("not here")
        kind = GatedRepoError if name == "a/gated" else RepositoryNotFoundError
        raise kind("refused", response=httpx.Response(403, request=httpx.Request("GET", "https://hub")))

    monkeypatch.setattr("huggingface_hub.snapshot_download", answer)
    with pytest.raises(ValueError, match="the model a/gated is gated; accept its terms"):
        snapshot("a/gated")
    with pytest.raises(ValueError, match="no folder a/lost here and no model of that name on the hub"):
        snapshot("a/lost")
    assert all(options["allow_patterns"] == ["*.json", "*.safetensors", "*.jinja"] for options in asked)


@pytest.mark.usefixtures("no_network")
def test_a_path_is_never_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_hub_id("Qwen/Qwen2.5-0.5B-Instruct") and is_hub_id("openai-community/gpt2")
    (tmp_path / "runs").mkdir()
    for name in ("runs/model", "./a/b", "/a/b", "a/b/c", "gpt2", "~/model", "../a"):
        assert not is_hub_id(name)
        refused(name, "there is no model folder")
    refused(Path("a") / "b", "there is no model folder a/b")  # type: ignore[arg-type]


def test_a_chat_end_to_end(tmp_path: Path) -> None:
    """A Qwen2 folder with a template: the turns become ids, the answer ends with <|im_end|> and decodes."""
    theirs = save_hub_model(tmp_path, FAMILIES["qwen2 tied"])
    words = byte_level()
    save_tokenizer(tmp_path, words, chat_template=CHATML, eos_token="<|im_end|>")
    engine = Engine.load(tmp_path, device="cpu", dtype=torch.float32)
    ids = engine.tokenizer.chat([{"role": "user", "content": "Where is the cat? <|im_end|>"}])
    assert ids is not None and ids.count(words.token_to_id("<|im_end|>")) == 2
    steps = list(engine.generate(ids, max_new_tokens=20))
    wanted = theirs.generate(torch.tensor([ids]), max_new_tokens=20, do_sample=False)[0, len(ids) :].tolist()
    assert [step.id for step in steps] == wanted
    assert "".join(step.text for step in steps) == engine.tokenizer.decode([step.id for step in steps])
    engine.end_ids = frozenset({wanted[3]})
    assert list(engine.generate(ids, max_new_tokens=20))[-1].finish == "end"
    with pytest.raises(ValueError, match="the prompt has 129 tokens and the model's context is 128"):
        engine.generate([5] * 129)
