"""Questions that were asked before their thread was moved: they stay with the agent they were asked of."""

from __future__ import annotations

from bot.model.run import Run, State
from bot.store.runs import Runs
from bot.store.sessions import Sessions


async def stay(run: Run, runs: Runs, sessions: Sessions) -> None:
    """Bind a run that has yet to be asked to the session it was asked in, if its thread has another one by now.

    That is the one of the run before it, which was accepted before the move, too. A question that nobody has worked on,
    nor on one before it, goes with the move.
    """
    if run.may_have_begun or run.question.resumes or not (run.after or run.backend):
        return
    if await sessions.moves(run.question.thread) == run.moves:
        return
    before = run.after
    while not run.backend and before:
        earlier = await runs.get(before)
        if earlier is None or earlier.moves != run.moves:
            break  # It was moved before as well: where to is not known any more.
        # One that was stopped while it waited was bound to nothing.
        run.backend, run.agent_id, run.session_id = earlier.backend, earlier.agent_id, earlier.session_id
        is_said = earlier.state is State.ANSWERED and earlier.message_id
        run.parent_id = earlier.message_id if is_said else earlier.parent_id
        before = earlier.after
    run.stays = bool(run.backend)
