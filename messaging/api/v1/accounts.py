"""Says in a sentence why a message stands where it stands."""

from __future__ import annotations

from messaging.models import Message
from messaging.state import Status

_SUMMARIES: dict[Status, str] = {
    Status.SCHEDULED: "It waits for the time that it is scheduled for.",
    Status.QUEUED: "It waits for a worker of its lane.",
    Status.SENDING: "A worker is handing it to the provider.",
    Status.SENT: "The provider took it and has not reported on it yet.",
    Status.DELIVERED: "The provider reports that it arrived.",
    Status.OPENED: "The recipient opened it.",
    Status.CLICKED: "The recipient followed a link in it.",
    Status.BOUNCED: "The recipient's side gave it back.",
    Status.FAILED: "It could not be sent and will not be tried again by itself.",
    Status.UNSUBSCRIBED: "The recipient unsubscribed.",
    Status.CANCELLED: "It was cancelled before it was sent.",
}


def summary(row: Message) -> str:
    """Why the message stands where it stands, for a person."""
    match waits_for(row):
        case "retry":
            return f"Attempt {row.attempts} of {row.max_attempts} failed; it is tried again when it is due."
        case "throttle":
            return "The provider asked to wait; it is tried again when it is due."
        case "receipt":
            return "Nobody can tell whether the provider took it; it waits for a report until the deadline."
    return _SUMMARIES[Status(row.status)]


def waits_for(row: Message) -> str | None:
    """What the message waits for: schedule, worker, retry, throttle, provider, receipt; None where it does not."""
    status = Status(row.status)
    if status is Status.SCHEDULED:
        return "schedule"
    if status is Status.QUEUED:
        if row.error_code and row.attempts:
            return "retry"
        return "throttle" if row.throttles else "worker"
    if status is Status.SENDING:
        return "receipt" if row.claim_id is None else "provider"
    return None
