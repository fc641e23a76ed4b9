"""What a person does with a modal: fills it in and submits it, or closes it."""

from collections.abc import Mapping
from typing import Any

from . import cast
from .delivery import Dispatcher
from .errors import SlackError
from .events import VERIFICATION_TOKEN, NothingToClick, person_object
from .messages import Json
from .methods_views import checked_view, show_modal, stored_view
from .person_actions import Done, failure_of
from .state import State

MAX_TYPED = 3_000
REQUIRED = "Please complete this required field."
_CHOICES = ("static_select", "radio_buttons")


class ModalActions:
    """The people before their modals."""

    def __init__(self, state: State, dispatcher: Dispatcher) -> None:
        self._state = state
        self._dispatcher = dispatcher

    async def submit(self, user: str, values: Mapping[str, str]) -> Done:
        """Submits the modal a person has before them; `values` by action_id.

        What Slack's client refuses by itself, such as a required field left empty, is in `errors` and
        never reaches the app; what the app refuses is there too. Raises `NothingToClick`.
        """
        view = self._open(user)
        filled, errors = _filled(view, values)
        if errors:
            return Done(False, errors=errors)
        view["state"] = {"values": filled}
        payload = self._payload("view_submission", user, view)
        payload |= {"trigger_id": self._state.new_trigger(user), "response_urls": []}
        delivery = self._dispatcher.send("interactive", payload)
        await self._dispatcher.finished(delivery)
        if not delivery.acked:
            return Done(False, failure_of(delivery))
        return self._answered(user, view, delivery.response)

    async def close(self, user: str) -> Done:
        """Closes it; the app hears of that only where its view asked for it."""
        view = self._open(user)
        show_modal(self._state, user, None)
        if not view.get("notify_on_close"):
            return Done(True)
        payload = self._payload("view_closed", user, view) | {"is_cleared": False}
        delivery = self._dispatcher.send("interactive", payload)
        await self._dispatcher.finished(delivery)
        return Done(delivery.acked, "" if delivery.acked else failure_of(delivery), delivery.response)

    def _open(self, user: str) -> Json:
        view = self._state.modals.get(self._state.person(user).id)
        if view is None:
            raise NothingToClick(f"{user} has no modal open")
        return view

    def _payload(self, kind: str, user: str, view: Json) -> Json:
        return {
            "type": kind,
            "team": {"id": cast.TEAM_ID, "domain": cast.TEAM_DOMAIN},
            "user": person_object(self._state.person(user)),
            "api_app_id": cast.APP_ID,
            "token": VERIFICATION_TOKEN,
            "view": view,
            "is_enterprise_install": False,
            "enterprise": None,
        }

    def _answered(self, user: str, view: Json, response: Any) -> Done:
        """What becomes of the modal after the ack: it closes, or shows errors or another view."""
        answer = response if isinstance(response, dict) else {}
        what = answer.get("response_action")
        if what == "errors":
            ids = {block["block_id"] for block in view["blocks"]}
            errors = answer.get("errors")
            if not isinstance(errors, dict) or not errors or not set(errors) <= ids:
                return Done(False, "the app's errors name no block of the modal", response)
            return Done(False, response=response, errors={str(k): str(v) for k, v in errors.items()})
        if what == "update":
            try:
                changed = checked_view(answer.get("view"), ("modal",))
            except SlackError as error:
                return Done(False, error.code, response)
            show_modal(self._state, user, stored_view(self._state, changed, view["id"]))
            return Done(True, response=response)
        if what not in (None, "clear"):
            return Done(False, f"this workspace does not know response_action {what!r}", response)
        show_modal(self._state, user, None)
        return Done(True, response=response)


def _filled(view: Json, values: Mapping[str, str]) -> tuple[Json, dict[str, str]]:
    """The view's state with what was typed and chosen, and what is wrong with it by block_id."""
    state: Json = {}
    errors: dict[str, str] = {}
    asked = [block for block in view["blocks"] if block["type"] == "input"]
    unknown = set(values) - {block["element"]["action_id"] for block in asked}
    if unknown:
        raise NothingToClick(f"the modal has no input {', '.join(sorted(unknown))}")
    for block in asked:
        element = block["element"]
        typed = values.get(element["action_id"], element.get("initial_value", ""))
        problem = _problem(element, typed, bool(block.get("optional")))
        if problem:
            errors[block["block_id"]] = problem
        state[block["block_id"]] = {element["action_id"]: _value(element, typed)}
    return state, errors


def _problem(element: Json, typed: str, optional: bool) -> str:
    if not typed.strip():
        return "" if optional else REQUIRED
    if element["type"] in _CHOICES:
        return ""
    least, most = element.get("min_length", 0), element.get("max_length", MAX_TYPED)
    if not least <= len(typed) <= most:
        return f"Please write {least} to {most} characters."
    return ""


def _value(element: Json, typed: str) -> Json:
    """One element of view.state.values."""
    if element["type"] not in _CHOICES:
        return {"type": element["type"], "value": typed or None}
    chosen = next((option for option in element.get("options", []) if option["value"] == typed), None)
    if typed and chosen is None:
        raise NothingToClick(f"{element['action_id']!r} has no option {typed!r}")
    return {"type": element["type"], "selected_option": chosen}
