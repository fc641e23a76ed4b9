"""What Slack takes, in one table. Sources: Slack's reference; where it is silent, what others' failures showed."""

from __future__ import annotations

BLOCKS = 50
"""Blocks in a message; one more is `invalid_blocks`."""
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
BUTTON = 75
"""Characters on a button."""
TABLE_ROWS, TABLE_CELLS = 100, 20
"""Rows of a table and cells of a row; a markdown block's tables become such tables."""
ITEMS = 50
"""Items a message may become: Slack takes each heading, rule and run of text of a markdown block for a block."""

FALLBACK = 2_900
"""Characters of `text` there is always room for while an answer runs: what notifications and screen readers get."""
FALLBACK_LEAST = 500
"""The same when an answer has ended, with sources and a question below it."""
FRAME = 1_500
"""Characters kept for status, footer, notes and buttons."""
PAGE = PAYLOAD - FALLBACK - FRAME
"""Characters one message has for its folds and its text together."""
EXTRAS = FALLBACK - FALLBACK_LEAST
"""Characters that sources, or what the agent asks, may take beside them."""
FRAME_BLOCKS = 9
"""Blocks around folds and text: status or note, what is asked, sources, footer, buttons, notes on pages."""
PAGE_ITEMS = ITEMS - FRAME_BLOCKS - 3
"""Items a page's text may become, so that a few folds fit beside it."""
FOLDS = 4_500
"""Characters the folds may take of that while the first message is still being written."""
FOLDS_LEAST = 700
"""Characters always left for folds, enough for the one that sums them up."""
SHOWN_CALLS = 12
"""Tool calls with a fold of their own; older ones are summed up, or they would drown the answer."""
PREVIEWS = (1_500, 600, 200)
"""Characters to which a call's arguments and results are cut, tried from the first on."""
PREVIEWS_AT_END = (7_000, 6_000, 4_500, 3_000, 2_000, 1_500, 1_000, 600, 400, 200)
"""The same for an answer that has ended: folds take what its text leaves of the message."""
HIDDEN = 10_000
"""Characters of calls that may be left out of a message; more are attached as a file, which costs the thread another
message."""
THINKING = 1_500
"""Characters of what the agent thought that its fold shows."""
NOTE = 500
"""Characters of the sentence that says how a run ended."""
SHOWN_SOURCES = 6
"""Sources with a link of their own."""
SHOWN_OPTIONS = 5
"""Suggested answers with a button of their own."""
MESSAGES = 12
"""Messages one answer may take; of one that is longer the last shows its end, and a file has it whole."""
FILE = 1_000_000
"""Characters of a file attached to a reply: more than anybody reads, little enough to make safe in a second or two."""
