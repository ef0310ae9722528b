"""Models of the Hugging Face hub, by id: what lies in the local cache is used as it is, the rest is fetched once."""

from __future__ import annotations

import re
from pathlib import Path

from gpt.hub.weights_file import weight_files

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
WANTED = ["*.json", "*.safetensors", "*.jinja"]
# Other formats of the same weights in folders below, and Mistral's second copy of them beside.
UNWANTED = ["*/*", "consolidated*"]


def is_hub_id(name: str) -> bool:
    """Whether ``name`` has the form owner/model and is no path: nothing of its first part lies here."""
    return HUB_ID.fullmatch(name) is not None and not Path(name.partition("/")[0]).exists()


def snapshot(name: str) -> Path:
    """The folder of the model ``name`` in the local cache; fetched when it is not whole there.

    Only configuration, safetensors and templates are fetched, never code nor pickles. ValueError with one sentence
    when the hub cannot be reached or has no such model.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        cached = Path(snapshot_download(name, allow_patterns=WANTED, ignore_patterns=UNWANTED, local_files_only=True))
        if _whole(cached):
            return cached
    except LocalEntryNotFoundError:
        pass
    try:
        folder = Path(snapshot_download(name, allow_patterns=WANTED, ignore_patterns=UNWANTED))
    except GatedRepoError:
        raise ValueError(f"the model {name} is gated; accept its terms on the hub and run 'hf auth login'") from None
    except RepositoryNotFoundError:
        raise ValueError(f"there is no folder {name} here and no model of that name on the hub") from None
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        reason = type(error.__cause__ or error).__name__
        raise ValueError(
            f"there is no folder {name} here, it is not in the local cache of the hub, and the hub cannot be reached"
            f" ({reason}); go online once or give a folder"
        ) from None
    if not _whole(folder):
        raise ValueError(
            f"the model {name} lacks config.json, tokenizer.json or safetensors weights, on the hub or, while that"
            f" cannot be reached, in the local cache {folder}"
        )
    return folder


def _whole(folder: Path) -> bool:
    """Whether a folder holds all that a model needs; a download that was cut short left some of it."""
    try:
        weight_files(folder)
    except ValueError:
        return False
    return all((folder / name).is_file() for name in ("config.json", "tokenizer.json"))
