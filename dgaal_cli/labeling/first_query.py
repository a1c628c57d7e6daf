"""Ask the first images at once, in a workspace where nothing has been asked or trained yet."""

import time

from dgaal_cli.config.schema import Config
from dgaal_cli.data.presence import PoolGoneError
from dgaal_cli.errors import BusyError, DgaalError
from dgaal_cli.events import AnyEvent, Warned
from dgaal_cli.labeling.view import join_notices
from dgaal_cli.rounds.state import round_state
from dgaal_cli.store.protocol import Store
from dgaal_cli.workspace import Workspace

_WAIT_S = 5.0
"""Another session may choose the first images at the same time."""


def ask_at_once(workspace: Workspace, config: Config, store: Store) -> str:
    """Open the first query if there is none; return a notice, empty if nothing was done.

    Raises:
        PoolGoneError: The pool is missing, or contains no image; the store is unchanged.
    """
    until = time.monotonic() + _WAIT_S
    while _is_fresh(workspace, store):
        try:
            with workspace.lock("train", doing="choosing the first images"):
                return _ask(workspace, config, store) if _is_fresh(workspace, store) else ""
        except BusyError:
            if time.monotonic() > until:
                return ""
            time.sleep(0.1)
        except PoolGoneError:
            raise
        except DgaalError as error:
            return f"no images were chosen: {error}"
    return ""


def _is_fresh(workspace: Workspace, store: Store) -> bool:
    if store.last_query() is not None:
        return False
    state = round_state(workspace, store)
    return state.trained is None and not state.is_midway and not state.damage


def _ask(workspace: Workspace, config: Config, store: Store) -> str:
    # NumPy is imported only where it is needed: a session must start fast.
    from dgaal_cli.rounds.next_query import choose_next
    from dgaal_cli.rounds.stored_query import store_query

    warnings: list[str] = []

    def listen(event: AnyEvent) -> None:
        if isinstance(event, Warned):
            warnings.append(event.message)

    chosen = choose_next(
        workspace, config, store, count=None, synthetic=0, is_urgent=True, emit=listen
    )
    store_query(workspace, config, store, chosen.query)
    return join_notices(*warnings)
