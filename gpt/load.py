"""From a name to a model that can run: "bundled", a folder, or an id of the Hugging Face hub.

A folder is ours or a published family's: then our decoder runs it (``gpt/hub/families.py``, ``weights_file.py``). Any
other causal model goes through transformers behind the same interface (``gpt/hub/foreign.py``). Weights are read from
safetensors only. The network is used for a hub id that is not in the local cache, and for nothing else.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import torch
from torch.overrides import TorchFunctionMode

from gpt.config import MODEL_TYPE, GPTConfig, read_json
from gpt.hub.families import FAMILIES, Family, NotNative, family_config
from gpt.hub.memory import check_memory, needed
from gpt.hub.snapshot import is_hub_id, snapshot
from gpt.hub.tokenizer import HubTokenizer
from gpt.hub.weights_file import (
    PICKLED,
    WEIGHTS,
    check_size,
    check_tensors,
    headers,
    known_tensors,
    read_tensor,
    refuse_pickle,
    settle_tying,
    weight_files,
)
from gpt.interfaces import Decoder, TextTokenizer
from gpt.kernels.packed import pack
from gpt.kernels.precision import FORMATS, fast_dtype
from gpt.model import GPT
from gpt.tokenizer import Tokenizer

__all__ = ["BUNDLED", "PICKLED", "WEIGHTS", "find_model", "load_model", "read_config"]

BUNDLED = Path(__file__).parent / "weights" / "bundled"
MAX_CONTEXT = 1 << 20  # the rotary tables take context x head size x 4 bytes before any token is read


def find_model(name: str | Path = "bundled") -> Path:
    """The folder that a model's name means: "bundled" is the one that comes with the package; an id of the hub, as
    "Qwen/Qwen2.5-0.5B-Instruct", is looked up in the local cache first.

    ValueError for a missing folder, for a file, and for pickled weights.
    """
    if str(name) == "bundled":
        if not (BUNDLED / WEIGHTS).is_file():
            raise ValueError("the bundled weights are missing from this installation; install the package again")
        return BUNDLED
    path = Path(name).expanduser()
    if path.suffix.lower() in PICKLED and not path.is_dir():
        raise ValueError(refuse_pickle(path))
    if not path.exists():
        if isinstance(name, str) and is_hub_id(name):
            return snapshot(name)
        raise ValueError(
            f"there is no model folder {path}; give a folder with config.json, a hub id as owner/model, or 'bundled'"
        )
    if not path.is_dir():
        raise ValueError(f"{path} is a file; give the folder that holds it beside config.json")
    return path


def read_config(folder: Path) -> GPTConfig:
    """``folder``/config.json, ours or a published family's, its types checked.

    :class:`gpt.hub.families.NotNative`, a ValueError, when only transformers runs that model; ValueError with one
    sentence when it cannot be used at all.
    """
    path = folder / "config.json"
    try:
        config = family_config(read_json(path), path)
    except TypeError as error:
        raise ValueError(f"{path} has a setting of the wrong type ({error})") from None
    if config.context > MAX_CONTEXT:
        raise ValueError(f"{path}: a context of {config.context} is over {MAX_CONTEXT:,}")
    for name, wanted in get_type_hints(GPTConfig).items():
        value = getattr(config, name)
        allowed = get_args(wanted)
        if allowed and all(isinstance(choice, str) for choice in allowed):
            if value not in allowed:
                raise ValueError(f"{path}: {name} is {value!r}, which is none of {', '.join(allowed)}")
            continue
        kinds = allowed or (wanted,)
        if type(value) not in kinds and not (wanted is float and type(value) is int):
            raise ValueError(f"{path}: {name} is {value!r}, which is no {kinds[0].__name__}")
    if not (math.isfinite(config.rope_base) and config.rope_base > 0 and 0 <= config.norm_eps < 1):
        raise ValueError(f"{path}: rope_base or norm_eps is out of range")
    return config


class Unwritten(TorchFunctionMode):
    """Modules are made without drawing the random weights that a file replaces. A draw without memory behind it
    ("meta") makes torch import its compiler, which takes 3.3 s."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))


def load_model(
    name: str | Path = "bundled",
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    weights: str = "auto",
) -> tuple[Decoder, TextTokenizer]:
    """A model ready to run, and its tokenizer.

    ``device``  CUDA where there is one, else the CPU
    ``dtype``   of the activations; by default what ``weights`` says or the device multiplies fastest in
    ``weights`` how the matrices are kept: "fp32", "bf16", "int8" or "int4"; "auto" chooses by the CPU and the model's
                size (:func:`gpt.kernels.precision.choose_format`); "plain" leaves them as they were read, for training
                and for looking inside. A model that transformers runs is always plain.

    ValueError, one sentence, for: a missing file, pickled weights, a tokenizer of another vocabulary, too little
    memory, missing, foreign or wrongly shaped matrices, and weights that are not finite.
    """
    if weights not in FORMATS:
        raise ValueError(f"weights cannot be kept as {weights!r}; give one of {', '.join(FORMATS)}")
    folder = find_model(name)
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    fixed = {"fp32": torch.float32, "bf16": torch.bfloat16}
    kind = dtype or fixed.get(weights) or fast_dtype(place)
    try:
        config = read_config(folder)
    except NotNative as reason:
        from gpt.hub.foreign import load_foreign

        return load_foreign(folder, str(reason), device=place, dtype=kind)
    family = FAMILIES[config.model_type]
    files = weight_files(folder)
    tokenizer = _tokenizer(folder, config)
    model = _assemble(folder, files, family, config, place, kind, packed=weights != "plain")
    return pack(model, weights), tokenizer


def _tokenizer(folder: Path, config: GPTConfig) -> TextTokenizer:
    if config.model_type != MODEL_TYPE:
        return HubTokenizer.load(folder, config.vocab_size)
    tokenizer = Tokenizer.load(folder)
    if tokenizer.vocab_size != config.vocab_size:
        raise ValueError(
            f"{folder}: the tokenizer has {tokenizer.vocab_size:,} tokens and the model {config.vocab_size:,};"
            " they were not made for each other"
        )
    return tokenizer


def _assemble(
    folder: Path,
    files: list[Path],
    family: Family,
    config: GPTConfig,
    device: torch.device,
    dtype: torch.dtype,
    *,
    packed: bool,
) -> GPT:
    where = files[0] if len(files) == 1 else folder
    tensors = known_tensors(headers(files), family)
    if settle_tying(config.tied, tensors, family) != config.tied:
        config = replace(config, tied=False)
    check_size(tensors, config, where)
    check_memory(folder, needed(config, dtype, packed=packed), dtype, device)
    with torch.device("meta"), Unwritten():  # but for the rotary tables, which no file holds
        model = GPT(config)
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    check_tensors(tensors, wanted, family, where)
    state = {name: read_tensor(tensors, family, name, device=device, dtype=dtype) for name in wanted}
    model.load_state_dict(state, assign=True)
    model.compute_dtype = dtype
    return model.to(device).requires_grad_(False).eval()
