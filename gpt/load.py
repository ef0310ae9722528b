"""From a folder to a model that can run: config.json, model.safetensors and tokenizer.json, all checked.

Weights are read from safetensors only. Pickled files (.bin, .pt, ...) can run code when they are opened, so
they are refused by name. On the CPU, weights of the wanted type stay memory-mapped: nothing is copied.
"""

from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from gpt.checkpoint import save_model
from gpt.config import GPTConfig
from gpt.model import GPT
from gpt.precision import fast_dtype
from gpt.rope import rotary_tables
from gpt.tokenizer import Tokenizer

__all__ = ["BUNDLED", "PICKLED", "WEIGHTS", "find_model", "load_model", "read_config", "save_model"]

BUNDLED = Path(__file__).parent / "weights" / "bundled"
WEIGHTS = "model.safetensors"
MAX_CONTEXT = 1 << 20  # the rotary tables take context x head size x 4 bytes before any token is read
PICKLED = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})


def find_model(name: str | Path = "bundled") -> Path:
    """The folder that a model's name means: "bundled" is the one that comes with the package.

    ValueError for a missing folder, for a file, and for pickled weights.
    """
    if str(name) == "bundled":
        if not (BUNDLED / WEIGHTS).is_file():
            raise ValueError(
                "the bundled weights are missing from this installation; install the package again"
            )
        return BUNDLED
    path = Path(name).expanduser()
    if path.suffix.lower() in PICKLED and not path.is_dir():
        raise ValueError(_refuse_pickle(path))
    if not path.exists():
        raise ValueError(f"there is no model folder {path}; give a folder with config.json, or 'bundled'")
    if not path.is_dir():
        raise ValueError(f"{path} is a file; give the folder that holds it beside config.json")
    return path


def read_config(folder: Path) -> GPTConfig:
    """`folder`/config.json, its types checked; ValueError with one sentence when it cannot be used."""
    try:
        config = GPTConfig.load(folder)
    except TypeError as error:
        raise ValueError(f"{folder / 'config.json'} has a setting of the wrong type ({error})") from None
    if config.context > MAX_CONTEXT:
        raise ValueError(f"{folder / 'config.json'}: a context of {config.context} is over {MAX_CONTEXT:,}")
    default = GPTConfig()
    for field in fields(config):
        value, wanted = getattr(config, field.name), type(getattr(default, field.name))
        number = wanted is float and type(value) is int
        if type(value) is not wanted and not number:
            raise ValueError(
                f"{folder / 'config.json'}: {field.name} is {value!r}, which is no {wanted.__name__}"
            )
    if not (math.isfinite(config.rope_base) and config.rope_base > 0 and 0 <= config.norm_eps < 1):
        raise ValueError(f"{folder / 'config.json'}: rope_base or norm_eps is out of range")
    return config


def load_model(
    name: str | Path = "bundled",
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> tuple[GPT, Tokenizer]:
    """A model ready to run, and its tokenizer. Device: CUDA where there is one, else the CPU; dtype: the
    one it multiplies fastest in (:func:`gpt.precision.fast_dtype`).

    ValueError, one sentence, for: a missing file, pickled weights, another family of model, a tokenizer of
    another size, missing, foreign or wrongly shaped matrices, and weights that are not finite.
    """
    folder = find_model(name)
    config = read_config(folder)
    path = folder / WEIGHTS
    if not path.is_file():
        pickled = sorted(p for p in folder.iterdir() if p.suffix.lower() in PICKLED)
        raise ValueError(_refuse_pickle(pickled[0]) if pickled else f"{folder} holds no {WEIGHTS}")
    tokenizer = Tokenizer.load(folder)
    if tokenizer.vocab_size != config.vocab_size:
        raise ValueError(
            f"{folder}: the tokenizer has {tokenizer.vocab_size:,} tokens and the model"
            f" {config.vocab_size:,}; they were not made for each other"
        )
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    model = _assemble(config, path, place, dtype or fast_dtype(place))
    return model, tokenizer


def _assemble(config: GPTConfig, path: Path, device: torch.device, dtype: torch.dtype) -> GPT:
    state = _read_weights(path, config)
    with torch.device("meta"):  # shapes only: random weights would be drawn just to be replaced
        model = GPT(config)
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    for name, shape in wanted.items():
        if name not in state:
            raise ValueError(f"{path} lacks the matrix {name}")
        if tuple(state[name].shape) != shape:
            raise ValueError(
                f"{path}: {name} is {_by(state[name].shape)} and config.json asks for {_by(shape)}"
            )
    foreign = sorted(set(state) - set(wanted))
    if foreign:
        raise ValueError(f"{path} holds {foreign[0]}, which a model of this config.json does not have")
    for name, tensor in state.items():
        if not tensor.is_floating_point():
            raise ValueError(f"{path}: {name} holds {tensor.dtype}, not floating-point weights")
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{path}: {name} holds weights that are NaN or infinite; the file is damaged")
        state[name] = tensor.to(device=device, dtype=dtype)
    model.load_state_dict(state, assign=True)
    cos, sin = rotary_tables(config)
    model.cos, model.sin = cos.to(device), sin.to(device)
    model.compute_dtype = dtype
    return model.requires_grad_(False).eval()


def _read_weights(path: Path, config: GPTConfig) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            held = sum(math.prod(file.get_slice(name).get_shape()) for name in names)
            # Before a model of those sizes is built: a config.json may ask for a billion layers.
            if held != config.parameters:
                raise ValueError(
                    f"{path} holds {held:,} weights and its config.json asks for {config.parameters:,}"
                )
            return {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is damaged or no safetensors file ({error})") from None


def _refuse_pickle(path: Path) -> str:
    return (
        f"{path} is a pickled file, which can run code when it is opened, so it is never read;"
        f" convert the weights to {WEIGHTS}"
    )


def _by(shape: tuple[int, ...] | torch.Size) -> str:
    return " x ".join(str(n) for n in shape)
