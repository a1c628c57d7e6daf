"""SQL about events that several modules use."""


def is_of_flag(event: str) -> str:
    """Return an SQL expression: whether an event sets, removes or restores a flag, not an answer.

    Args:
        event: Alias of the table ``event``.
    """
    undone = f"(SELECT r.says FROM event r WHERE r.event_id = {event}.refers_to)"  # noqa: S608
    return f"(ifnull({undone}, {event}.says) IN ('flag','unflag'))"
