"""The vocabulary of block checks: collects errors worded as Slack words them, with a JSON pointer."""

from collections.abc import Callable, Collection, Iterator
from typing import Any

from .messages import Json

BLOCK_ID_MAX = 255


class Check:
    """Collects what is wrong with a payload; every method reports and goes on."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def fail(self, reason: str, at: str) -> None:
        """Notes an error at a JSON pointer such as `/blocks/3/text`."""
        self.errors.append(f"[ERROR] {reason} [json-pointer:{at}]")

    def object(
        self, value: Any, at: str, required: Collection[str] = (), optional: Collection[str] = ()
    ) -> Json | None:
        """The object, when it is one; missing and unknown fields are errors."""
        if not isinstance(value, dict):
            self.fail("must be an object", at)
            return None
        for name in required:
            if value.get(name) is None:
                self.fail(f"missing required field: {name}", at)
        for name in value:
            if name not in required and name not in optional:
                self.fail(f"invalid additional property: {name}", at)
        return value

    def string(self, value: Any, at: str, most: int, least: int = 1) -> None:
        """A string of `least` to `most` characters; an absent one is not looked at."""
        if value is None:
            return
        if not isinstance(value, str):
            self.fail("must be a string", at)
        elif len(value) < least:
            self.fail(f"must be more than {least - 1} characters", at)
        elif len(value) > most:
            self.fail(f"must be less than {most + 1} characters", at)

    def flag(self, holder: Json, at: str, *names: str) -> None:
        """Fields that are true or false when they are there."""
        for name in names:
            if name in holder and not isinstance(holder[name], bool):
                self.fail("must be a boolean", f"{at}/{name}")

    def integer(self, value: Any, at: str, least: int, most: int) -> None:
        """A whole number within bounds; an absent one is not looked at."""
        if value is None:
            return
        if not isinstance(value, int) or isinstance(value, bool):
            self.fail("must be an integer", at)
        elif not least <= value <= most:
            self.fail(f"must be between {least} and {most}", at)

    def one_of(self, value: Any, at: str, allowed: Collection[str]) -> None:
        """One of a few words; an absent one is not looked at."""
        if value is not None and value not in allowed:
            self.fail(f"must be a valid enum value, one of: {', '.join(allowed)}", at)

    def items(self, value: Any, at: str, most: int, least: int = 1) -> Iterator[tuple[Any, str]]:
        """The items of an array with their pointers."""
        if value is None:
            return
        if not isinstance(value, list):
            self.fail("must be an array", at)
            return
        if len(value) < least:
            self.fail(f"no fewer than {least} items allowed", at)
        if len(value) > most:
            self.fail(f"no more than {most} items allowed", at)
        for i, item in enumerate(value):
            yield item, f"{at}/{i}"

    def kind(self, value: Any, at: str, known: Collection[str]) -> str | None:
        """The `type` of an object, when it is one of the known ones here."""
        if not isinstance(value, dict):
            self.fail("must be an object", at)
        elif "type" not in value:
            self.fail("missing required field: type", at)
        elif value["type"] not in known:
            self.fail(f"unsupported type: {value['type']}", f"{at}/type")
        else:
            return str(value["type"])
        return None


Checker = Callable[[Check, Json, str], None]
