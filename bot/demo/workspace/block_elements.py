"""Checks of the elements inside blocks: buttons, menus, images, feedback, inputs."""

from typing import Any

from .block_texts import plain_text, text_object
from .check import Check, Checker
from .messages import Json

BUTTON_TEXT_MAX = 75
BUTTON_VALUE_MAX = 2_000
ACTION_ID_MAX = 255
URL_MAX = 3_000
ALT_TEXT_MAX = 2_000
PLACEHOLDER_MAX = 150
OPTIONS_MAX = 100
OVERFLOW_OPTIONS_MAX = 5
BOX_OPTIONS_MAX = 10
OPTION_TEXT_MAX = 75
OPTION_VALUE_MAX = 150
CONFIRM_TITLE_MAX = 100
CONFIRM_TEXT_MAX = 300
CONFIRM_BUTTON_MAX = 30
VISIBLE_TO_MAX = 10
INPUT_MAX = 3_000


def _confirm(check: Check, value: Any, at: str) -> None:
    if value is None or check.object(value, at, {"title", "text", "confirm", "deny"}, {"style"}) is None:
        return
    plain_text(check, value.get("title"), f"{at}/title", CONFIRM_TITLE_MAX)
    text_object(check, value.get("text"), f"{at}/text", CONFIRM_TEXT_MAX)
    plain_text(check, value.get("confirm"), f"{at}/confirm", CONFIRM_BUTTON_MAX)
    plain_text(check, value.get("deny"), f"{at}/deny", CONFIRM_BUTTON_MAX)
    check.one_of(value.get("style"), f"{at}/style", ("primary", "danger"))


def _button(check: Check, element: Json, at: str) -> None:
    optional = {"action_id", "url", "value", "style", "confirm", "accessibility_label"}
    check.object(element, at, {"type", "text"}, optional)
    plain_text(check, element.get("text"), f"{at}/text", BUTTON_TEXT_MAX)
    check.string(element.get("value"), f"{at}/value", BUTTON_VALUE_MAX, least=0)
    check.string(element.get("url"), f"{at}/url", URL_MAX)
    check.string(element.get("accessibility_label"), f"{at}/accessibility_label", BUTTON_TEXT_MAX)
    check.one_of(element.get("style"), f"{at}/style", ("primary", "danger"))
    _confirm(check, element.get("confirm"), f"{at}/confirm")


def _feedback_buttons(check: Check, element: Json, at: str) -> None:
    check.object(element, at, {"type", "positive_button", "negative_button"}, {"action_id"})
    for side in ("positive_button", "negative_button"):
        button = element.get(side)
        place = f"{at}/{side}"
        if button is None or check.object(button, place, {"text", "value"}, {"accessibility_label"}) is None:
            continue
        plain_text(check, button.get("text"), f"{place}/text", BUTTON_TEXT_MAX)
        check.string(button.get("value"), f"{place}/value", BUTTON_VALUE_MAX)
        check.string(button.get("accessibility_label"), f"{place}/accessibility_label", BUTTON_TEXT_MAX)


def _icon_button(check: Check, element: Json, at: str) -> None:
    optional = {"action_id", "value", "confirm", "accessibility_label", "visible_to_user_ids"}
    check.object(element, at, {"type", "icon", "text"}, optional)
    check.one_of(element.get("icon"), f"{at}/icon", ("trash",))
    plain_text(check, element.get("text"), f"{at}/text", BUTTON_TEXT_MAX)
    check.string(element.get("value"), f"{at}/value", BUTTON_VALUE_MAX)
    check.string(element.get("accessibility_label"), f"{at}/accessibility_label", BUTTON_TEXT_MAX)
    seen_by = check.items(element.get("visible_to_user_ids"), f"{at}/visible_to_user_ids", VISIBLE_TO_MAX)
    for user, place in seen_by:
        check.string(user, place, ACTION_ID_MAX)
    _confirm(check, element.get("confirm"), f"{at}/confirm")


def image(check: Check, element: Json, at: str) -> None:
    """An image element: a public address or an uploaded file, and what it shows in words."""
    check.object(element, at, {"type", "alt_text"}, {"image_url", "slack_file"})
    if ("image_url" in element) == ("slack_file" in element):
        check.fail("exactly one of image_url and slack_file is required", at)
    check.string(element.get("image_url"), f"{at}/image_url", URL_MAX)
    check.string(element.get("alt_text"), f"{at}/alt_text", ALT_TEXT_MAX)


def _options(check: Check, element: Json, at: str, most: int, least: int = 1) -> None:
    for option, place in check.items(element.get("options"), f"{at}/options", most, least):
        if check.object(option, place, {"text", "value"}, {"description", "url"}) is None:
            continue
        text_object(check, option.get("text"), f"{place}/text", OPTION_TEXT_MAX)
        check.string(option.get("value"), f"{place}/value", OPTION_VALUE_MAX)
        text_object(check, option.get("description"), f"{place}/description", OPTION_TEXT_MAX)
        check.string(option.get("url"), f"{place}/url", URL_MAX)


def _static_select(check: Check, element: Json, at: str) -> None:
    optional = {
        "action_id",
        "options",
        "option_groups",
        "initial_option",
        "initial_options",
        "placeholder",
        "confirm",
        "focus_on_load",
        "max_selected_items",
    }
    check.object(element, at, {"type"}, optional)
    if ("options" in element) == ("option_groups" in element):
        check.fail("exactly one of options and option_groups is required", at)
    plain_text(check, element.get("placeholder"), f"{at}/placeholder", PLACEHOLDER_MAX)
    _options(check, element, at, OPTIONS_MAX)
    for group, place in check.items(element.get("option_groups"), f"{at}/option_groups", OPTIONS_MAX):
        if check.object(group, place, {"label", "options"}) is not None:
            plain_text(check, group.get("label"), f"{place}/label", OPTION_TEXT_MAX)
            _options(check, group, place, OPTIONS_MAX)
    _confirm(check, element.get("confirm"), f"{at}/confirm")


def _overflow(check: Check, element: Json, at: str) -> None:
    check.object(element, at, {"type", "options"}, {"action_id", "confirm"})
    _options(check, element, at, OVERFLOW_OPTIONS_MAX)
    _confirm(check, element.get("confirm"), f"{at}/confirm")


def _boxes(check: Check, element: Json, at: str) -> None:
    optional = {"action_id", "initial_option", "initial_options", "confirm", "focus_on_load"}
    check.object(element, at, {"type", "options"}, optional)
    _options(check, element, at, BOX_OPTIONS_MAX)
    _confirm(check, element.get("confirm"), f"{at}/confirm")


def _plain_text_input(check: Check, element: Json, at: str) -> None:
    looks = {"placeholder", "multiline", "focus_on_load", "dispatch_action_config"}
    bounds = {"initial_value", "min_length", "max_length"}
    check.object(element, at, {"type"}, {"action_id"} | looks | bounds)
    plain_text(check, element.get("placeholder"), f"{at}/placeholder", PLACEHOLDER_MAX)
    check.string(element.get("initial_value"), f"{at}/initial_value", INPUT_MAX, least=0)
    check.integer(element.get("min_length"), f"{at}/min_length", 0, INPUT_MAX)
    check.integer(element.get("max_length"), f"{at}/max_length", 1, INPUT_MAX)
    check.flag(element, at, "multiline", "focus_on_load")


def _opaque(check: Check, element: Json, at: str) -> None:
    """Elements this app never sends: their own fields are not looked into."""
    plain_text(check, element.get("placeholder"), f"{at}/placeholder", PLACEHOLDER_MAX)


_CHECKERS: dict[str, Checker] = {
    "button": _button,
    "feedback_buttons": _feedback_buttons,
    "icon_button": _icon_button,
    "image": image,
    "static_select": _static_select,
    "multi_static_select": _static_select,
    "overflow": _overflow,
    "checkboxes": _boxes,
    "radio_buttons": _boxes,
    "plain_text_input": _plain_text_input,
    **dict.fromkeys(
        (
            "users_select",
            "channels_select",
            "conversations_select",
            "external_select",
            "multi_users_select",
            "multi_channels_select",
            "multi_conversations_select",
            "multi_external_select",
            "datepicker",
            "timepicker",
            "datetimepicker",
            "workflow_button",
            "rich_text_input",
            "email_text_input",
            "url_text_input",
            "number_input",
            "file_input",
        ),
        _opaque,
    ),
}
IN_CONTEXT_ACTIONS = ("feedback_buttons", "icon_button")
_INPUT_ONLY = (
    "plain_text_input",
    "rich_text_input",
    "email_text_input",
    "url_text_input",
    "number_input",
    "file_input",
)
IN_ACTIONS = tuple(kind for kind in _CHECKERS if kind not in (*IN_CONTEXT_ACTIONS, "image", *_INPUT_ONLY))
IN_SECTION = (*IN_ACTIONS, "image")
IN_INPUT = tuple(
    kind
    for kind in _CHECKERS
    if kind not in (*IN_CONTEXT_ACTIONS, "image", "button", "overflow", "workflow_button")
)


def element(check: Check, value: Any, at: str, allowed: tuple[str, ...]) -> None:
    """One element of a kind that may stand here; an absent one is not looked at."""
    if value is None:
        return
    kind = check.kind(value, at, allowed)
    if kind is not None:
        check.string(value.get("action_id"), f"{at}/action_id", ACTION_ID_MAX)
        _CHECKERS[kind](check, value, at)
