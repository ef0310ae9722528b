"""What was asked and answered, kept in ``<store>/conversations.sqlite3``: `Conversations`, and `asking` through it."""

from app.conversations.records import Conversation, ConversationError, NotFound, StoredTurn
from app.conversations.store import FILE, Conversations

__all__ = ["FILE", "Conversation", "ConversationError", "Conversations", "NotFound", "StoredTurn"]
