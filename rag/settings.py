"""Settings of the chat, from flags, environment (``OPENBOOK_…``) and ``openbook.toml``, in that order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from rag.strategies.names import NAMES, Name
from rag.types import Mode, RagError

MAX_QUESTION = 10_000  # characters: far above any question, below anything that would stall the encoder


class Settings(BaseSettings):
    """Every knob of an answer, with its range; `load` turns a bad value into one sentence."""

    model_config = SettingsConfigDict(env_prefix="OPENBOOK_", toml_file="openbook.toml", extra="ignore")

    store: Path = Path(".openbook")
    model: str = Field("bundled", min_length=1)
    temperature: float = Field(0.0, ge=0.0, le=2.0)
    top_p: float = Field(1.0, gt=0.0, le=1.0)
    seed: int = Field(0, ge=0, lt=2**63)
    k: int = Field(5, ge=1, le=50)
    mode: Mode = "quote"
    strategy: Name = "direct"
    prompts: Path | None = None
    timeout: float = Field(60.0, ge=1.0, le=3600.0)
    retries: int = Field(2, ge=0, le=10)
    reranker: Path | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


_RANGES = {
    "temperature": "a number from 0 (greedy) to 2",
    "top_p": "a number above 0 and at most 1",
    "seed": "a whole number from 0 to 2**63 - 1",
    "k": "a whole number from 1 to 50",
    "mode": "quote or compose",
    "model": "bundled, none, a model folder, a hub id, or openai:MODEL@http://host/v1",
    "store": "a folder",
    "strategy": f"one of {', '.join(NAMES)}",
    "prompts": "a folder of prompt templates",
    "timeout": "seconds from 1 to 3600 that a model server may be silent",
    "retries": "a whole number from 0 to 10",
    "reranker": "a folder of a cross-encoder",
}


def load(**flags: Any) -> Settings:
    """Settings with every flag that is not None on top. RagError names the setting and its range."""
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "?"
        raise RagError(
            f"{name} is {first.get('input')!r}, but it must be {_RANGES.get(name, 'valid')}: "
            f"see {'-k' if name == 'k' else '--' + name.replace('_', '-')}, OPENBOOK_{name.upper()} or openbook.toml."
        ) from None
    except (OSError, ValueError) as error:
        raise RagError(f"openbook.toml cannot be read ({error}): mend or remove it.") from None


def check_question(question: object) -> str:
    """The question without surrounding white space; RagError when there is none or it is far too long."""
    if not isinstance(question, str):
        raise RagError(f"The question is a {type(question).__name__}, but it must be text.")
    stripped = question.strip()
    if not stripped:
        raise RagError("The question is empty: type what you want to know.")
    if len(stripped) > MAX_QUESTION:
        raise RagError(
            f"The question has {len(stripped):,} characters, but at most {MAX_QUESTION:,} are read: shorten it."
        )
    return stripped
