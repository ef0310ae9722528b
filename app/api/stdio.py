"""``python -m app mcp``: the MCP server for a client that starts it itself and talks through its pipes."""

from __future__ import annotations

import argparse
import logging
import sys

from ingest.command_line import Parser


def parser() -> argparse.ArgumentParser:
    flags = Parser(prog="python -m app mcp", description="Search and ask your documents from an MCP client.")
    flags.add_argument("--store", help="folder of the index (default: OPENBOOK_STORE or .openbook)")
    flags.add_argument("--model", help="model that answers (default: OPENBOOK_MODEL or bundled)")
    return flags


def main(arguments: list[str]) -> int:
    """Serves stdin and stdout until they are closed. 2 when it could not start. All talk goes to stderr."""
    chosen = parser().parse_args(arguments)
    from app.api.mcp_server import build
    from app.workspace import Workspace
    from rag.settings import load
    from rag.types import RagError

    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    try:
        settings = load(store=chosen.store, model=chosen.model)
    except RagError as error:
        print(error, file=sys.stderr)
        return 2
    workspace = Workspace(settings.store, settings.model)
    workspace.warm()
    try:
        build(workspace).run("stdio")
    except KeyboardInterrupt:
        pass
    finally:
        workspace.close()
    return 0
