"""`python -m bot` that ends with the demo that started it, also when that was killed and could end nothing any more.

A bot that outlived its demo would join the next one on that port and answer each of its questions a second time.
"""

from __future__ import annotations

import os
import runpy
import threading


def _end_with_the_demo() -> None:
    """The demo holds the other end of standard input; the kernel closes it however the demo ends."""
    while os.read(0, 1):
        pass
    # At once: the workspace, the agents and whoever would read an answer are gone.
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_demo, daemon=True).start()
    runpy.run_module("bot", run_name="__main__", alter_sys=True)
