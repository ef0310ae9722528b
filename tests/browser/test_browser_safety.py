"""Hostile documents, names and neighbours in a real browser: no script of theirs runs, no request of theirs counts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page

from app import answer, evidence, turn_view
from app.guard.access import Access, with_password
from app.i18n import say
from ingest.pipeline import ingest
from tests.app.safety.served import Quoting, serving
from tests.browser.conftest import Visit, ask, wait_until

pytestmark = pytest.mark.browser
PICTURE = '<img src="x" onerror="window.hacked=1">'
ATTACK = (
    f'{PICTURE} <script>window.hacked=2</script> <svg onload="window.hacked=3"></svg> ![p](http://evil.example/p.png) '
    "[x](javascript:window.hacked=4) ${window.hacked=5} {{window.hacked=6}} </script></textarea></template><!-- "
    '"><iframe srcdoc="<script>parent.hacked=7</script>"></iframe>'
)
HOSTILE = {
    "<img src=x onerror=window.hacked=8>.md": f"# Orrin {ATTACK}\n\n## Harbour {PICTURE}\n\n"
    f"The harbour of Orrin was dug in 1702 {PICTURE} by forty monks.\n\n| a | {PICTURE} |\n|---|---|\n| `{PICTURE}` | b |\n",
    "orrin.html": f"<html><head><title>Orrin {PICTURE.replace('<', '&lt;')}</title></head><body><h1>The fair</h1>"
    "<p>The fair of Orrin is held in June &lt;img src=x onerror=window.hacked=9&gt; every year.</p>"
    "<script>window.hacked=10</script></body></html>",
}
# What is in the page though only the text of a document put it there.
FOREIGN = (
    "() => document.querySelectorAll('#ob-shell script, #ob-shell [onerror], #ob-shell [onload], #ob-shell iframe, "
)
FOREIGN += '#ob-shell img:not([src^="data:image/"]), dialog script, dialog [onerror], dialog iframe, [href^="javascript"]\').length'


def untouched(page: Page) -> None:
    assert page.evaluate("() => window.hacked") is None
    assert page.evaluate(FOREIGN) == 0


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "files").mkdir()
    for name, text in HOSTILE.items():
        (folder / "files" / name).write_text(text, encoding="utf-8")
    assert ingest([folder / "files"], folder / "store").added == 2
    return folder / "store"


def test_a_hostile_document_is_only_text(hostile: Path, visit: Callable[..., Visit]) -> None:
    """Through ingestion, search, the bundled reader, the list of files, the evidence and the original."""
    with serving(hostile) as url:
        page = visit(url)
        ask(page, f"When was the harbour of Orrin dug? {PICTURE}")
        page.wait_for_selector("#ob-live .ob-foot", timeout=120_000)
        page.wait_for_selector("#ob-evidence .ob-card")
        assert "<img" in page.inner_text("#ob-evidence")
        page.evaluate(
            "() => document.querySelectorAll('#ob-evidence details').forEach((card) => { card.open = true; })"
        )
        untouched(page)
        page.click("[data-original]")
        page.wait_for_selector("dialog.ob-original[open]")
        untouched(page)
        assert "onerror" in page.inner_text("dialog.ob-original")
        page.keyboard.press("Escape")
        page.click('[data-left-tab="files"]')
        assert "<img src=x" in page.inner_text("#ob-documents")
        untouched(page)
        page.reload()
        page.wait_for_selector("#ob-log .ob-turn")
        page.click('[data-left-tab="chats"]')
        assert "<img" in page.inner_text("#ob-chats"), "the title is the question"
        untouched(page)


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_a_hostile_answer_is_only_text(locale: str, store: Path, visit: Callable[..., Visit]) -> None:
    with serving(store, Quoting(ATTACK)) as url:
        page = visit(url, locale=locale)
        ask(page, ATTACK)
        page.wait_for_selector("#ob-live .ob-foot")
        untouched(page)
        assert PICTURE in page.inner_text("#ob-live .ob-answer")
        page.click('[data-right-tab="why"]')
        page.wait_for_function("() => document.querySelector('#ob-why').innerText.includes('onerror')")
        untouched(page)


@pytest.mark.parametrize(
    ("escaping", "policy", "harmed"), [(True, True, None), (True, False, None), (False, True, None), (False, False, 1)]
)
def test_either_of_two_walls_holds(
    escaping: bool,
    policy: bool,
    harmed: int | None,
    store: Path,
    visit: Callable[..., Visit],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without escaping the policy still stops the script; without both it runs, so that the test can fail."""
    if not escaping:
        for module in (turn_view, answer, evidence):
            monkeypatch.setattr(module, "escape", str)
    with serving(store, Quoting("plain words"), without=() if policy else ("headers",)) as url:
        page = visit(url)
        ask(page, f"a question {PICTURE}")
        page.wait_for_selector("#ob-log .ob-question")
        if not escaping:
            page.wait_for_selector("#ob-log img[onerror]", state="attached")
            page.wait_for_function("() => document.querySelector('#ob-log img[onerror]').complete")
        assert page.evaluate("() => window.hacked ?? null") == harmed
        page.errors.clear()  # the picture that is not there, and the script that the policy refused


class Neighbour(BaseHTTPRequestHandler):
    """Somebody else's page on another port of this computer."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<html><body>neighbour</body></html>")

    def log_message(self, format: str, *given: object) -> None:
        pass


@contextmanager
def neighbour() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Neighbour)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://localhost:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()


UPLOAD = """async (url) => {
  const form = new FormData();
  form.append('files', new Blob(['The castle of Grue was sold to a foreign page.']), 'planted.txt');
  const tried = [];
  for (const target of ['documents', 'gradio_api/upload', 'v1/chat/completions']) {
    try { await fetch(url + target, { method: 'POST', mode: 'no-cors', credentials: 'include', body: form }); } catch (e) {}
    try { tried.push((await fetch(url + target, { method: 'POST', body: form })).status); } catch (e) { tried.push(0); }
  }
  for (const target of ['config', 'documents', 'search?query=bridge']) {
    try { tried.push((await (await fetch(url + target)).text()).length); } catch (e) { tried.push(0); }
  }
  return tried;
}"""
FRAME = """async (url) => {
  const frame = document.createElement('iframe');
  frame.src = url;
  document.body.append(frame);
  await new Promise((done) => { frame.onload = done; });
  return frame.contentDocument === null;
}"""
SOCKET = """(url) => new Promise((done) => {
  const socket = new WebSocket(url.replace('http', 'ws') + 'v1/chat/completions');
  socket.onopen = () => done('open');
  socket.onerror = () => done('refused');
})"""


@pytest.mark.parametrize("guarded", [True, False])
def test_a_foreign_page_plants_nothing_and_reads_nothing(guarded: bool, chromium: Browser, tmp_path: Path) -> None:
    with serving(tmp_path / "store", without=() if guarded else ("origin",)) as url, neighbour() as foreign:
        context = chromium.new_context()
        own = context.new_page()
        own.goto(url)
        page = context.new_page()
        page.goto(foreign)
        read = page.evaluate(UPLOAD, url)
        assert (read == [0] * 6) is guarded, "Gradio lets every page of this computer read its configuration"
        assert page.evaluate(SOCKET, url) == "refused"
        assert page.evaluate(FRAME, url)
        names = [document["name"] for document in httpx.get(f"{url}documents").json()["data"]]
        assert names == ([] if guarded else ["planted.txt"])
        context.close()


def test_a_login_in_both_languages(store: Path, chromium: Browser) -> None:
    access = with_password("correct horse")
    with serving(store, Quoting("plain words"), access=lambda: access) as url:
        for locale, code in (("en-US", "en"), ("zh-CN", "zh")):
            context = chromium.new_context(locale=locale)
            page = context.new_page()
            errors: list[str] = []
            page.on("console", lambda said, errors=errors: errors.append(said.text) if said.type == "error" else None)
            page.goto(url)
            assert page.url == f"{url}login"
            assert page.inner_text("button") == say(code, "guard.enter")  # type: ignore[arg-type]
            assert errors == []
            page.fill("[name=password]", "wrong horse")
            page.click("button")
            assert say(code, "guard.wrong") in page.inner_text("form")  # type: ignore[arg-type]
            page.fill("[name=password]", "correct horse")
            page.click("button")
            page.wait_for_selector("#ob-question textarea")
            assert page.evaluate("() => document.cookie") == "", "no script can read the cookies"
            ask(page, "Who is here?")
            page.wait_for_selector("#ob-live .ob-foot")
            page.click("#ob-header .ob-logout")
            page.click("button")
            assert page.url == f"{url}login"
            page.goto(url)
            assert page.url == f"{url}login"
            context.close()


def test_two_people_do_not_see_each_other(store: Path, chromium: Browser) -> None:
    """Two users of one server: conversations and their addresses are each one's own."""
    users = {name: with_password("correct horse").users["openbook"] for name in ("ann", "bob")}
    access = Access(users)
    with serving(store, Quoting("plain words"), access=lambda: access) as url:
        pages = {}
        for name in users:
            page = chromium.new_context().new_page()
            page.goto(url)
            page.fill("[name=user]", name)
            page.fill("[name=password]", "correct horse")
            page.click("button")
            page.wait_for_selector("#ob-question textarea")
            pages[name] = page
        ask(pages["ann"], "a secret of ann")
        pages["ann"].wait_for_selector("#ob-live .ob-foot")
        wait_until(lambda: "#c=" in pages["ann"].url)
        chat = pages["ann"].url.split("#c=")[1]
        bob = pages["bob"]
        for name, more in (("open", {}), ("rename", {"title": "taken"}), ("export", {"form": "json"}), ("delete", {})):
            with bob.expect_response(lambda reply: "gradio_api/run" in reply.url) as told:
                bob.evaluate("([name, data]) => window.openbookSend(name, data)", [name, {"id": chat, **more}])
            assert told.value.ok
            assert "secret of ann" not in told.value.text() + bob.content()
        bob.goto("about:blank")
        with bob.expect_response(lambda reply: "gradio_api/run" in reply.url) as told:
            bob.goto(f"{url}#c={chat}")
        assert "secret of ann" not in told.value.text()
        pages["ann"].reload()
        pages["ann"].wait_for_selector("#ob-log .ob-turn")
        assert "secret of ann" in pages["ann"].inner_text("#ob-log")
        assert "taken" not in pages["ann"].inner_text("#ob-left")
        for page in pages.values():
            page.context.close()
