"""What Slack takes, in one table. Sources: Slack's reference; where it is silent, what others' failures showed."""

from __future__ import annotations

BLOCKS = 50
"""Blocks in a message; one more is `invalid_blocks`."""
MARKDOWN = 12_000
"""Characters over all markdown blocks of a message."""
PAYLOAD = 12_000
"""Characters of blocks and text together. Not documented; failures are reported near 13,000."""
TEXT = 4_000
"""Characters of `text` in chat.update; one more is `msg_too_long`."""
TITLE = 150
"""Characters of a container's title or subtitle."""
CHILDREN = 10
"""Blocks in a container."""
SECTION = 3_000
"""Characters of a section's text."""

FALLBACK = 2_900
"""Characters of `text` we send: notifications and screen readers get that much of the answer."""
FRAME = 1_500
"""Characters kept for status, footer, notes and buttons."""
PAGE = PAYLOAD - FALLBACK - FRAME
"""Characters one message has for its folds and its text together."""
FOLDS = 4_500
"""Characters the folds may take of that while the first message is still being written."""
FOLDS_LEAST = 700
"""Characters always left for folds, enough for the one that sums them up."""
SHOWN_CALLS = 12
"""Tool calls with a fold of their own; older ones are summed up, or they would drown the answer."""
PREVIEWS = (1_500, 600, 200)
"""Characters to which a call's arguments and results are cut, tried from the first on."""
NOTE = 500
"""Characters of the sentence that says how a run ended."""
MESSAGES = 12
"""Messages one answer may take; what is longer is cut there, and the last one says how much is missing."""
