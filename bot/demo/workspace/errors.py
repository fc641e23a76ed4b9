"""A refusal of the Web API, as a method raises it."""

from collections.abc import Sequence
from typing import Any


class SlackError(Exception):
    """Becomes `{"ok": false, "error": code, "response_metadata": {"messages": […]}}`.

    `code` is Slack's error code; `messages` are its longer reasons, for those who read logs.
    """

    def __init__(self, code: str, messages: Sequence[str] = (), **extra: Any) -> None:
        super().__init__(code)
        self.code = code
        self.messages = list(messages)
        self.extra = extra

    def body(self) -> dict[str, Any]:
        """The JSON body of the answer."""
        answer: dict[str, Any] = {"ok": False, "error": self.code, **self.extra}
        if self.messages:
            answer["response_metadata"] = {"messages": self.messages}
        return answer
