"""How the API gateway says no: codes, HTTP statuses and the three shapes of body it may take."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Literal


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request refused. `form` is the body's shape; "lower" is JSON with keys in lower camel case."""

    status: int
    code: str
    message: str
    form: Literal["json", "lower", "xml", "html"] = "json"
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self, request_id: str, host: str, product: str) -> tuple[str, str]:
        """The content type and the text of the answer. `product` is the service's code name."""
        facts = {
            "RequestId": request_id,
            "HostId": host,
            "Code": self.code,
            "Message": self.message,
            "Recommend": f"https://api.aliyun.com/troubleshoot?q={self.code}&product={product}",
        }
        match self.form:
            case "json":
                return "application/json;charset=utf-8", json.dumps(facts, ensure_ascii=False)
            case "lower":
                lower = {name[0].lower() + name[1:]: value for name, value in facts.items()}
                return "application/json;charset=utf-8", json.dumps(lower, ensure_ascii=False)
            case "xml":
                inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in facts.items())
                return (
                    "text/xml;charset=utf-8",
                    f'<?xml version="1.0" encoding="UTF-8"?><Error>{inner}</Error>',
                )
            case "html":
                title = f"{self.status} {self.message}"
                page = f"<html><head><title>{escape(title)}</title></head><body><h1>{escape(title)}</h1></body></html>"
                return "text/html", page


class Refused(Exception):
    """Raised while a request is checked; carries the answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.refusal = Refusal(status, code, message)

    @classmethod
    def of(cls, refusal: Refusal) -> Refused:
        """With a refusal in any form."""
        refused = cls(refusal.status, refusal.code, refusal.message)
        refused.refusal = refusal
        return refused
