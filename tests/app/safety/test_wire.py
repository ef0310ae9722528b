"""Connections that send nothing, too slowly, too much or too many; and certificates."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from app.guard import wire
from app.guard.access import AccessError
from app.guard.wire import Patient, check_tls
from app.server import Server, listen
from tests.app.safety.asking import small


@asynccontextmanager
async def serving(protocol: type | None = None, **options: Any) -> AsyncIterator[int]:
    """Uvicorn over a real socket; ``protocol`` None is its own."""
    sock = listen("127.0.0.1", 0)
    given = wire.options() | options
    if protocol is None:
        given.pop("http")
    else:
        given["http"] = protocol
    server = uvicorn.Server(uvicorn.Config(small([]), lifespan="off", **given))
    task = asyncio.create_task(server.serve(sockets=[sock]))
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield sock.getsockname()[1]
    finally:
        server.should_exit = True
        server.force_exit = True
        await task
        sock.close()


class Hasty(Patient):
    header_seconds = 0.1
    most = 5


async def closed(port: int, *pieces: bytes) -> bool:
    """Whether the server ends the connection by itself after these bytes, without an answer, within a second."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await asyncio.wait_for(reader.read(), 1.0) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    finally:
        writer.close()


@pytest.mark.parametrize(
    "pieces", [(), (b"GET / HTTP/1.1\r\n",), (b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"X-A: b\r\n")]
)
async def test_headers_that_never_end_are_not_waited_for(pieces: tuple[bytes, ...]) -> None:
    async with serving(Hasty) as port:
        assert await closed(port, *pieces)
    async with serving() as port:
        assert not await closed(port, *pieces)


async def test_a_whole_request_is_answered_and_the_next_one_too() -> None:
    request = b"GET /text HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with serving(Hasty) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(request)
            assert (await reader.readuntil(b"text")).startswith(b"HTTP/1.1 200")
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(4)
        writer.close()


async def test_connections_are_counted() -> None:
    async with serving(Hasty) as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(Hasty.most)]
        assert await closed(port, b"GET /text HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for _, writer in held:
            writer.close()


async def test_one_address_may_not_take_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "is_loopback", lambda peer: False)
    monkeypatch.setattr(Hasty, "most_per_address", 2)
    async with serving(Hasty) as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        assert await closed(port, b"GET /text HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for _, writer in held:
            writer.close()
    assert not Patient._peers["127.0.0.1"]


async def test_long_headers_are_refused() -> None:
    async with serving(Patient) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /text HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 2 * wire.HEADER_BYTES)
        assert b"400" in (await reader.read(200)).split(b"\r\n")[0]
        writer.close()


def test_the_server_is_told_not_to_believe_nor_to_tell() -> None:
    told = Server(small([]), lambda: None, {}).config  # type: ignore[arg-type]
    assert told.http is Patient
    assert (told.proxy_headers, told.server_header, told.access_log, told.ws) == (False, False, False, "none")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    openssl = shutil.which("openssl")
    assert openssl is not None
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
         "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    key.chmod(0o600)
    return certificate, key


def test_certificates(pair: tuple[Path, Path]) -> None:
    certificate, key = pair
    assert check_tls(None, None) == {}
    assert check_tls(certificate, key) == {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)}
    for wrong in ((certificate, None), (None, key), (key, certificate), (certificate, Path("/nowhere"))):
        with pytest.raises(AccessError):
            check_tls(*wrong)
    key.chmod(0o644)
    with pytest.raises(AccessError) as refused:
        check_tls(certificate, key)
    assert refused.value.key == "guard.file_open"
    key.chmod(0o600)


async def test_it_speaks_tls(pair: tuple[Path, Path]) -> None:
    import ssl

    trust = ssl.create_default_context(cafile=str(pair[0]))
    trust.check_hostname = False
    async with serving(Patient, **check_tls(*pair)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
        writer.write(b"GET /text HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).endswith(b"text")
        writer.close()
