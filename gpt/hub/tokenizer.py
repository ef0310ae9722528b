"""The tokenizer of a published model out of its own ``tokenizer.json``: byte-level BPE (GPT-2, Llama 3, Qwen) and
SentencePiece's vocabularies (Llama 2, Mistral), with the ids that end an answer and the chat template.

A document that contains <|im_end|> must not end a turn. So every token that means something to the model (a marker)
gets a private name that no text can spell, and only :meth:`HubTokenizer.chat` writes those names. They replace the
markers in the vocabulary too, because SentencePiece's would otherwise find </s> in a text by itself.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Words

from gpt.config import read_json
from gpt.hub.chat_template import ChatTemplate
from gpt.tokenizer import BYTE_OF, SURROGATE, Encoded

BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
SPACE = "▁"  # SentencePiece's


class HubTokenizer:
    """Text to ids and back; fits :class:`gpt.interfaces.TextTokenizer`."""

    def __init__(
        self,
        data: dict[str, Any],
        settings: Mapping[str, Any] | None = None,
        template: str | None = None,
        *,
        ends: Sequence[int] = (),
        rows: int | None = None,
    ) -> None:
        """``data`` is tokenizer.json's content, ``settings`` tokenizer_config.json's, ``ends`` the ids that the model's
        own files call ends, ``rows`` the number of embeddings, which may be padded beyond the vocabulary.

        ValueError when the vocabulary cannot be turned into bytes or has more tokens than embeddings.
        """
        settings = settings or {}
        added = {token["id"]: token for token in data.get("added_tokens") or []}
        self._added = {token: str(entry["content"]) for token, entry in added.items()}
        self._special = {token for token, entry in added.items() if entry.get("special")}
        markers = {
            token: text
            for token, text in self._added.items()
            if token in self._special
            or re.fullmatch(r"<\|.+\|>", text)
            or (template is not None and text.strip() and text in template)
        }
        secret = secrets.token_hex(8)
        names = {text: f"\ue000{secret}:{token}\ue001" for token, text in markers.items()}
        self._byte_level, self._drops_space = _spelling(data)
        opening = _opening(data.get("post_processor"))
        self._words = Words.from_str(json.dumps(_renamed(data, names)))
        if any(self._words.token_to_id(names[text]) != token for token, text in markers.items()):
            raise ValueError("its added tokens do not have the ids they are listed with")
        variables = {name: _text(value) for name, value in settings.items() if name.endswith("_token")}
        self._ids = {text: token for token, text in self._added.items()}
        if opening is None:
            bos = variables.get("bos_token", "")
            opening = [self._ids[bos]] if settings.get("add_bos_token") and bos in self._ids else []
        self._opening = opening
        self.vocab_size = 1 + max(self._words.get_vocab(with_added_tokens=True).values(), default=-1)
        self._rows = self.vocab_size if rows is None else rows
        if self.vocab_size > self._rows:
            raise ValueError(
                f"the tokenizer has {self.vocab_size:,} tokens and the model {self._rows:,};"
                " they were not made for each other"
            )
        eos = self._ids.get(variables.get("eos_token", ""))
        self.end_ids = frozenset(ends) | frozenset(() if eos is None else (eos,))
        own = [text for token, text in markers.items() if token not in self._special]
        written = {name: text for name, text in variables.items() if text}
        self._template = None if template is None else ChatTemplate(template, written, names, own)

    @classmethod
    def load(cls, folder: Path, rows: int | None = None) -> HubTokenizer:
        """The tokenizer of a model folder; ValueError with one sentence when it is missing, damaged or too large."""
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise ValueError(
                f"{folder} holds no tokenizer.json, so its weights cannot be used; transformers writes one when the"
                " tokenizer is loaded and saved again"
            )
        settings = _optional(folder / "tokenizer_config.json")
        try:
            return cls(read_json(path), settings, _template(folder, settings), ends=_ends(folder), rows=rows)
        except ValueError as error:
            raise ValueError(str(error) if str(folder) in str(error) else f"{path}: {error}") from None
        except Exception as error:  # the library raises plain Exception, a damaged file makes any other
            raise ValueError(f"{path} is not a tokenizer this version can read ({error})") from None

    def encode(self, text: str) -> list[int]:
        """Ids of a text, in which no word is a marker; half a surrogate pair, which is no character, counts as
        U+FFFD."""
        ids: list[int] = self._words.encode(_whole(text), add_special_tokens=False).ids
        return ids

    def encode_spans(self, text: str) -> Encoded:
        """Ids with character spans; a character split over several tokens gives each of them its whole span."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[Encoded]:
        batch = self._words.encode_batch([_whole(text) for text in texts], add_special_tokens=False)
        return [Encoded(found.ids, _closed(found.offsets, len(text))) for found, text in zip(batch, texts, strict=True)]

    def pieces(self, text: str) -> list[tuple[int, int]]:
        """Character spans of the pieces that no merge crosses; none where the tokenizer cuts nothing beforehand."""
        cutter = self._words.pre_tokenizer
        return [] if cutter is None else [span for _, span in cutter.pre_tokenize_str(_whole(text))]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of the ids, specials left out; bytes that are no UTF-8 show as U+FFFD."""
        text = b"".join(self.token_bytes(token) for token in ids).decode("utf-8", "replace")
        return text.removeprefix(" ") if self._drops_space else text

    def token_bytes(self, token: int) -> bytes:
        """The bytes that one token stands for; empty for a special and for an embedding without a token."""
        if not 0 <= token < self._rows:
            raise ValueError(f"no token has the id {token}; the vocabulary has {self._rows}")
        if token in self._special:
            return b""
        added = self._added.get(token)
        piece = added if added is not None else self._words.id_to_token(token)
        if piece is None:
            return b""
        if not self._byte_level:
            byte = BYTE_TOKEN.fullmatch(piece)
            return bytes([int(byte[1], 16)]) if byte else piece.replace(SPACE, " ").encode("utf-8", "replace")
        if added is not None or any(character not in BYTE_OF for character in piece):
            return piece.encode("utf-8", "replace")
        return bytes(BYTE_OF[character] for character in piece)

    def name(self, token: int) -> str:
        """A printable name of a token: a special's name, or its text."""
        if token in self._special:
            return self._added[token]
        return self.token_bytes(token).decode("utf-8", "replace") or f"<unused {token}>"

    def prompt(self, text: str) -> list[int]:
        """The ids of a text to be continued, behind the tokens that the model's post-processor puts first."""
        return [*self._opening, *self.encode(text)]

    def chat(self, messages: Sequence[Mapping[str, str]]) -> list[int] | None:
        """The ids of turns (role, content) in the model's chat template, up to where its answer begins; None when it
        has none. ValueError when the template refuses the turns."""
        if self._template is None:
            return None
        return self.encode(self._template.render(messages))


def _renamed(data: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """tokenizer.json with the markers under their private names, without padding, cutting and post-processing."""
    added = [
        {**token, "content": names[token["content"]], "normalized": False, "single_word": False}
        if token["content"] in names
        else token
        for token in data.get("added_tokens") or []
    ]
    model = dict(data["model"])
    if isinstance(model["vocab"], dict):
        model["vocab"] = {names.get(piece, piece): token for piece, token in model["vocab"].items()}
    else:
        model["vocab"] = [[names.get(piece, piece), score] for piece, score in model["vocab"]]
    if model.get("unk_token") in names:
        model["unk_token"] = names[model["unk_token"]]
    if "merges" in model:
        pairs = (merge.split(" ", 1) if isinstance(merge, str) else merge for merge in model["merges"])
        model["merges"] = [pair for pair in pairs if "".join(pair) not in names]
    return {**data, "added_tokens": added, "model": model, **dict.fromkeys(("truncation", "padding", "post_processor"))}


def _parts(node: Any) -> Iterator[dict[str, Any]]:
    """A component of tokenizer.json and all that it is composed of."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _parts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _parts(value)


def _spelling(data: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether tokens are spelled in GPT-2's byte alphabet (else with SentencePiece's spaces), and whether a decoded
    text loses its first space."""
    parts = list(_parts(data.get("decoder") or data.get("pre_tokenizer")))
    kinds = {part.get("type") for part in parts}
    if "ByteLevel" in kinds:
        return True, False
    if kinds & {"Metaspace", "ByteFallback"} or any(part.get("pattern") == {"String": SPACE} for part in parts):
        return False, any(
            (part.get("type") == "Strip" and part.get("start"))
            or (part.get("type") == "Metaspace" and part.get("prepend_scheme", "always") != "never")
            for part in parts
        )
    raise ValueError("its tokens are spelled neither in bytes nor with SentencePiece's spaces")


def _opening(post: Any) -> list[int] | None:
    """The ids that a post-processor puts before a text; None when there is no post-processor."""
    if post is None:
        return None
    for part in _parts(post):
        if part.get("type") == "TemplateProcessing":
            ids: list[int] = []
            for item in part["single"]:
                if "SpecialToken" not in item:
                    return ids
                ids += part["special_tokens"][item["SpecialToken"]["id"]]["ids"]
        if part.get("type") in ("BertProcessing", "RobertaProcessing"):
            return [part["cls"][1]]
    return []


def _ends(folder: Path) -> list[int]:
    """The end ids of generation_config.json and config.json, each one id or several."""
    ends: list[int] = []
    for name in ("generation_config.json", "config.json"):
        value = _optional(folder / name).get("eos_token_id")
        ids = value if isinstance(value, list) else [] if value is None else [value]
        if any(isinstance(token, bool) or not isinstance(token, int) or token < 0 for token in ids):
            raise ValueError(f"{folder / name}: eos_token_id is {value!r}, which is no id")
        ends += ids
    return ends


def _template(folder: Path, settings: Mapping[str, Any]) -> str | None:
    """The chat template: a file of its own, or in tokenizer_config.json, alone or the default of several."""
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    found = settings.get("chat_template")
    if isinstance(found, list):
        found = {entry.get("name"): entry.get("template") for entry in found if isinstance(entry, dict)}
    if isinstance(found, dict):
        found = found.get("default")
    return found if isinstance(found, str) else None


def _optional(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _text(value: Any) -> str:
    """A token of tokenizer_config.json, written as a text or as a record of one."""
    content = value.get("content") if isinstance(value, dict) else value
    return content if isinstance(content, str) else ""


def _closed(spans: list[tuple[int, int]], length: int) -> list[tuple[int, int]]:
    """Spans without gaps: an accent that Unicode normalisation joins to its letter belongs to the letter's token."""
    following = [*(start for start, _ in spans[1:]), length]
    pairs = zip(spans, following, strict=False)
    return [(start, max(end, until) if end > start else end) for (start, end), until in pairs]


def _whole(text: str) -> str:
    """The text with lone surrogates replaced one for one, so that spans still fit it."""
    return SURROGATE.sub("\ufffd", text)
