"""Where the arguments of a call have blocks."""

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]


def block_lists(payload: Json) -> Iterator[tuple[Any, str]]:
    """Each list of blocks outside chunks, and where it stands: the message's own, its attachments', a view's."""
    yield payload.get("blocks"), "/blocks"
    for number, attachment in enumerate(payload.get("attachments") or []):
        yield attachment.get("blocks"), f"/attachments/{number}/blocks"
    yield (payload.get("view") or {}).get("blocks"), "/view/blocks"
