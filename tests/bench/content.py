"""What every subject of the benchmark sends: an e-mail of ordinary size, with and without the recipient's name."""

from __future__ import annotations

from typing import Any

SUBJECT = "Your order has left our house"
TEXT = "Good day,\n\n" + "your order has left our house and will reach you in two days.\n" * 6 + "\nYour shop\n"
BODY = (
    "<!doctype html><html><body><h1>Good day,</h1>"
    + "<p>your order has left our <strong>house</strong> and will reach you in two days.</p>\n" * 16
    + '<p><a href="https://example.com/orders">See your order</a></p></body></html>\n'
)
NAMED = {
    "subject": "{{ name }}, your order has left our house",
    "text": TEXT.replace("Good day", "Good day {{ name }}"),
    "body": BODY.replace("Good day", "Good day {{ name }}"),
}
SHARED = {"subject": SUBJECT, "text": TEXT, "body": BODY}


def address(number: int) -> str:
    return f"customer.{number}@example.com"


def name(number: int) -> str:
    return f"Customer {number}"


def batch(numbers: range, *, shared: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The body of a request for many recipients."""
    return {
        **shared,
        **fields,
        "recipients": [{"to": address(number), "name": name(number)} for number in numbers],
    }


def single(number: int, **fields: Any) -> dict[str, Any]:
    """The body of a request for one."""
    return {**SHARED, **fields, "to": address(number), "name": name(number)}
