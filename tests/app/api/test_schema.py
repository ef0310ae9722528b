"""Schemathesis: whatever the description allows, and much that it does not, gets a reply that the description knows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, settings
from schemathesis import checks

from app.api import attach
from app.workspace import Workspace
from tests.app.api.conftest import make_store, serving

# Left out are the checks that hold for an interface without meaning: a well-formed name of a model that is not here
# gets 404, numbers may come as text ("5"), and keys are asked for only where some are set.
EXCLUDED = [checks.positive_data_acceptance, checks.negative_data_rejection, checks.ignored_auth]


def described() -> Any:
    """The description; it depends on nothing that is stored."""
    server = FastAPI()
    attach(server, Workspace(Path("nowhere")))
    return schemathesis.openapi.from_dict(server.openapi())


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server over a store of its own, from which documents may vanish."""
    with serving(Workspace(make_store(tmp_path_factory.mktemp("fuzzed")))) as url:
        yield url


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@described().parametrize()
@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_replies_are_as_described(case: Any, own: str, session: requests.Session) -> None:
    case.call_and_validate(base_url=own, session=session, excluded_checks=EXCLUDED, timeout=60)
