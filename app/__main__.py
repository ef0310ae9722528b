"""``python -m app``: the chat in a browser."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from pathlib import Path
from typing import NoReturn

from ingest.command_line import Parser
from ingest.terminal import tamed

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ.setdefault("HF_HUB_OFFLINE", "1")


def parser() -> argparse.ArgumentParser:
    flags = Parser(prog="python -m app", description="Chat with your documents in a browser.")
    flags.add_argument("--host", default="127.0.0.1", help="address to serve (default: this computer only)")
    flags.add_argument("--port", type=int, default=7860)
    flags.add_argument("--store", help="folder of the index (default: OPENBOOK_STORE or .openbook)")
    flags.add_argument("--model", help="model that answers (default: OPENBOOK_MODEL or bundled)")
    flags.add_argument("--certfile", type=Path, help="certificate (PEM) to serve https with")
    flags.add_argument("--keyfile", type=Path, help="its private key (PEM), readable by you alone")
    flags.epilog = (
        "python -m app mcp --help: for agents. python -m app feedback --help: answers with a thumb. "
        "python -m app password --help, python -m app key --help: who may come in from elsewhere."
    )
    return flags


@tamed()
def load_gradio() -> None:
    """Imports Gradio without the package ``mcp``, which it would import for an interface that stays off here: 0.5 of
    3.8 seconds of the import. Ours is at `app.api.mcp_mount`, which imports it when an agent comes."""
    if "mcp" not in sys.modules:
        sys.modules["mcp"] = None  # type: ignore[assignment]
        try:
            import gradio  # noqa: F401
        finally:
            del sys.modules["mcp"]


def main(arguments: list[str] | None = None) -> int:
    """Serves the page until interrupted. 0 after Ctrl+C, 2 when it could not start."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] in (["password"], ["key"]):
        from app.guard import command

        return command.main(given)
    if given[:1] == ["mcp"]:
        from app.api import stdio

        return stdio.main(given[1:])
    if given[:1] == ["feedback"]:
        from app.conversations import feedback

        return feedback.main(given[1:])
    chosen = parser().parse_args(given)
    load_gradio()
    from app.guard import logs, wire
    from app.guard.access import AccessError
    from app.i18n import console_language, say
    from app.launch import LaunchError, check, doors, said
    from app.server import build_server, serve
    from app.ui import build_ui
    from app.workspace import Workspace
    from rag.settings import load
    from rag.types import RagError

    logs.configure()
    language = console_language()
    try:
        settings = load(store=chosen.store, model=chosen.model)
        access = doors()
        check(chosen.host, chosen.port, access())  # before the models are touched
        tls = wire.check_tls(chosen.certfile, chosen.keyfile)
    except AccessError as error:
        print(said(error), file=sys.stderr)
        return 2
    except (RagError, LaunchError) as error:
        print(error, file=sys.stderr)
        return 2

    def ready(url: str) -> None:
        print(say(language, "launch.serving", url=url), flush=True)
        if access().users:
            print(say(language, "launch.password", user=", ".join(access().users)), flush=True)
        if not workspace.exists():
            print(say(language, "launch.no_store", store=settings.store), file=sys.stderr, flush=True)
        trouble = workspace.trouble()
        if trouble is not None:
            said = say(language, "launch.store_bad", store=settings.store, reason=trouble)
            print(said, file=sys.stderr, flush=True)

    workspace = Workspace(settings.store, settings.model)
    page = build_ui(workspace, warm=True)
    try:
        application = build_server(workspace, page, host=chosen.host, access=access)
        serve(application, chosen.host, chosen.port, ready=ready, tls=tls)
    except LaunchError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        workspace.close()
    return 0


def run() -> NoReturn:
    """`main` as a process: it ends even where a thread is still loading a model."""
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    if threading.active_count() > 1:
        # Python would end such a thread within C++ code, which ends the process by std::terminate instead (code -6).
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    run()
