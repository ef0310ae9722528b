"""Which encoder a run works with: the one asked for, or the store's own; and how its files are split for it."""

from __future__ import annotations

from pathlib import Path

from ingest.batch import most_tokens
from ingest.encode import BUNDLED, Encoder, lost_encoder, read_stamp
from ingest.sandbox import Splitting
from ingest.store import EncoderStamp, Store, StoreError
from ingest.store.schema import DATABASE, is_blank
from ingest.types import IngestError


class Found:
    """An encoder by its stamp, loaded when it is first called for."""

    def __init__(self, encoder: Encoder | str) -> None:
        self._encoder = encoder
        self.stamp: EncoderStamp = read_stamp(encoder) if isinstance(encoder, str) else encoder.stamp

    def __call__(self) -> Encoder:
        if isinstance(self._encoder, str):
            self._encoder = Encoder.load(self._encoder)
        return self._encoder


def find_encoder(directory: Path, encoder: Encoder | str | None, *, rebuild: bool) -> Found:
    """The encoder asked for, or the store's own; StoreError when the store has another and may not be made anew."""
    if is_blank(directory / DATABASE):
        return Found(BUNDLED if encoder is None else encoder)
    with Store.open(directory) as store:
        stored = store.encoder
    try:
        found = Found(stored.name if encoder is None else encoder)
    except IngestError as error:
        raise (lost_encoder(directory, stored.name, error) if encoder is None else error) from error
    if not rebuild and not found.stamp.matches(stored):
        wanted = found.stamp
        raise StoreError(
            f"The store {directory} was made with encoder {stored.name} ({stored.digest[:12]}), not {wanted.name} "
            f"({wanted.digest[:12]}); make it anew: "
            f"python -m ingest PATH --store {directory} --encoder {wanted.name} --rebuild"
        )
    return found


def splitting_for(encoder: Encoder) -> Splitting | None:
    """How the parsing processes split; None where only the encoder itself can count word-pieces."""
    path = encoder.tokenizer_file
    return None if path is None else Splitting(str(path), most_tokens(encoder))
