"""Asking within a conversation: the turn is stored, a job answers it, and the answer is stored when it ends.

The page need not be there any more by then; when it comes back, `thread` gives it the turn with the running job.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from app.conversations.records import ConversationError, StoredTurn
from app.jobs import Busy, Job, new_id
from app.workspace import NoDocuments
from ingest.types import IngestError
from rag.types import RagError

if TYPE_CHECKING:
    from app.workspace import Workspace

# The chain rewrites a follow-up from what came before; more than this only pushes passages out of the budget.
HISTORY = 6


@dataclass(frozen=True, slots=True)
class Asked:
    """A turn and the job that answers it."""

    turn: StoredTurn
    job: Job


def ask(
    workspace: Workspace,
    owner: str,
    conversation: str | None,
    question: str,
    options: Mapping[str, Any],
    lane: str = "",
) -> Asked:
    """Asks a question at the end of a conversation; None makes a new one. ``options`` are the chain's, checked.

    NotFound for a conversation that is not there, ConversationError when it takes no more turns, Busy.
    """
    workspace.jobs.admit(owner)
    kept = workspace.conversations
    id = new_id()
    within = conversation or kept.create(owner).id
    turn = kept.append(owner, within, question, options, id)
    return Asked(turn, _submit(workspace, owner, turn, id, lane or within))


def again(
    workspace: Workspace,
    owner: str,
    turn_id: int,
    options: Mapping[str, Any],
    question: str | None = None,
    lane: str = "",
) -> Asked:
    """Answers a turn again, with another seed in ``options`` or another question; the earlier version stays."""
    workspace.jobs.admit(owner)
    id = new_id()
    turn = workspace.conversations.replace(owner, turn_id, question, options, id)
    return Asked(turn, _submit(workspace, owner, turn, id, lane or turn.conversation))


def thread(workspace: Workspace, owner: str, conversation: str) -> list[tuple[StoredTurn, Job | None]]:
    """The turns on view, each with its job while that runs. One whose job is gone was interrupted: it is stopped."""
    shown: list[tuple[StoredTurn, Job | None]] = []
    for turn in workspace.conversations.turns(owner, conversation):
        job = workspace.jobs.get(turn.job, owner) if turn.open else None
        if job is not None:
            now = replace(turn, status=job.status, answer=job.answer, error=reason(job))
        elif turn.open:
            now = replace(turn, status="stopped", error="conversations.interrupted")
        else:
            now = turn
        shown.append((now, job))
    return shown


def history(turns: Sequence[StoredTurn]) -> list[dict[str, str]]:
    """The answered turns as the messages the chain takes, oldest first."""
    messages: list[dict[str, str]] = []
    for turn in [turn for turn in turns if turn.answer is not None][-HISTORY:]:
        assert turn.answer is not None
        messages.append({"role": "user", "content": turn.question})
        messages.append({"role": "assistant", "content": turn.answer.answer})
    return messages


def _submit(workspace: Workspace, owner: str, turn: StoredTurn, id: str, lane: str) -> Job:
    kept = workspace.conversations
    before = history(kept.before(owner, turn.id))
    asked = cast(Any, {**turn.options, "question": turn.question, "history": before})

    def store(job: Job) -> None:
        kept.finish(turn.id, job.status, job.answer, reason(job), job.seconds)

    try:
        return workspace.jobs.submit(owner, asked, workspace.chain, lane=lane, id=id, on_end=store)
    except Busy as error:  # others came in between
        kept.finish(turn.id, "failed", error=str(error))
        raise


def reason(job: Job) -> str:
    """Why a job failed: a sentence, or the key of one of the page's, with the exception's name behind a bar."""
    if job.failure is None:
        return ""
    if isinstance(job.failure, NoDocuments):
        return "answer.no_documents"
    if isinstance(job.failure, RagError | IngestError | ConversationError):
        return job.error
    return f"answer.unexpected|{type(job.failure).__name__}"
