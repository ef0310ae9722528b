"""Weights out of safetensors files, one or in shards, each tensor checked and converted as it is read.

The files are memory-mapped: a tensor of the wanted type and order stays there and costs no copy; another one is
converted alone, so that two full copies never exist. Pickled files (.bin, .pt, ...) can run code when they are opened,
so they are refused by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from gpt.config import GPTConfig, read_json
from gpt.hub.families import Family

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLED = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})
FLOATS = frozenset({"F64", "F32", "F16", "BF16"})


@dataclass(frozen=True, slots=True)
class Stored:
    """One tensor of a file, known by its header until it is read."""

    file: Any
    path: Path
    name: str
    shape: tuple[int, ...]
    kind: str

    def read(self) -> Tensor:
        try:
            return self.file.get_tensor(self.name)
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{self.path} is damaged at {self.name} ({error})") from None


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that hold a folder's weights; ValueError when there are none, pickled ones being named."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / INDEX).is_file():
        return _shards(folder / INDEX)
    pickled = sorted(p for p in folder.iterdir() if p.suffix.lower() in PICKLED)
    raise ValueError(refuse_pickle(pickled[0]) if pickled else f"{folder} holds no {WEIGHTS}")


def _shards(index: Path) -> list[Path]:
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
        raise ValueError(f"{index} maps no tensors to files")
    paths = []
    for name in sorted(set(names.values())):
        path = index.parent / name
        if Path(name).name != name or path.suffix != ".safetensors":
            raise ValueError(f"{index} names {name!r}, which is no safetensors file beside it")
        if not path.is_file():
            raise ValueError(f"{index.parent} lacks the shard {name} that {index.name} names")
        paths.append(path)
    return paths


def refuse_pickle(path: Path) -> str:
    return (
        f"{path} is a pickled file, which can run code when it is opened, so it is never read;"
        f" convert the weights to {WEIGHTS}"
    )


def headers(paths: Iterable[Path]) -> dict[str, Stored]:
    """All tensors of the files by name, their shapes and types; no weight is read yet."""
    tensors: dict[str, Stored] = {}
    for path in paths:
        try:
            file = safe_open(path, framework="pt")
            for name in file.keys():  # noqa: SIM118  (not a dictionary)
                part = file.get_slice(name)
                tensors[name] = Stored(file, path, name, tuple(part.get_shape()), part.get_dtype())
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{path} is damaged or no safetensors file ({error})") from None
    return tensors


def known_tensors(stored: Mapping[str, Stored], family: Family) -> dict[str, Stored]:
    """The tensors by their names without the family's prefix, its unlearned buffers left out."""
    return {name: tensor for full, tensor in stored.items() if (name := family.canonical(full)) is not None}


def settle_tying(config_tied: bool, tensors: dict[str, Stored], family: Family) -> bool:
    """Whether the unembedding is the embedding. Where the configuration says so and the file holds both, their
    values decide, as they do in transformers; a lone unembedding then serves as the embedding too. The table that
    is not needed is taken out of ``tensors``."""
    head, table = family.source("unembedding.weight").name, family.source("embedding.weight").name
    if not config_tied or head not in tensors or head == "unembedding.weight":
        return config_tied
    if table in tensors and not torch.equal(tensors[head].read(), tensors[table].read()):
        return False
    tensors.setdefault(table, tensors[head])
    del tensors[head]
    return True


def check_tensors(
    tensors: Mapping[str, Stored], wanted: Mapping[str, tuple[int, ...]], family: Family, where: Path
) -> None:
    """ValueError for the first tensor that is missing, wrongly shaped, of whole numbers or of another model."""
    used = set()
    for name, ours in wanted.items():
        source = family.source(name)
        if source.name not in tensors:
            raise ValueError(f"{where} lacks the matrix {source.name}")
        used.add(source.name)
        held, shape = tensors[source.name], source.shape(ours)
        if held.shape != shape:
            raise ValueError(f"{held.path}: {held.name} is {_by(held.shape)} and config.json asks for {_by(shape)}")
        if held.kind not in FLOATS:
            raise ValueError(f"{held.path}: {held.name} holds {held.kind}, not floating-point weights")
    foreign = sorted(set(tensors) - used)
    if foreign:
        held = tensors[foreign[0]]
        raise ValueError(f"{held.path} holds {held.name}, which a model of this config.json does not have")


def check_size(tensors: Mapping[str, Stored], config: GPTConfig, where: Path) -> None:
    """ValueError for a configuration far larger than the file, before a model of those sizes is built: a config.json
    may ask for a billion layers. What differs by less is named tensor by tensor (:func:`check_tensors`)."""
    held = sum(prod(tensor.shape) for tensor in tensors.values())
    if config.parameters > 4 * held:
        raise ValueError(f"{where} holds {held:,} weights and its config.json asks for {config.parameters:,}")


def read_tensor(
    tensors: Mapping[str, Stored], family: Family, name: str, *, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """Our parameter ``name``, converted; ValueError when it holds a NaN or an infinity."""
    source = family.source(name)
    held = tensors[source.name]
    tensor = held.read()
    check_finite(tensor, held.path, held.name)
    if source.third is not None:
        tensor = tensor.chunk(3, dim=-1)[source.third]
    if source.transposed:
        tensor = tensor.t()
    return tensor.to(device=device, dtype=dtype).contiguous()


def check_finite(tensor: Tensor, where: Path, name: str) -> None:
    """ValueError when ``tensor`` holds a NaN or an infinity: both ends of its range tell, for NaN passes through them.
    Asking every weight takes 75 times as long, 420 ms for 4096 x 4096 against 6."""
    if tensor.numel() and not bool(torch.isfinite(torch.stack(torch.aminmax(tensor))).all()):
        raise ValueError(f"{where}: {name} holds weights that are NaN or infinite; the file is damaged")


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape) or "a single number"
