"""Batches, contents, claims and receipts have pages of their own, which nobody can write through."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from channels_app.types import Receipt, ReceiptKind
from messaging.dispatch import receipts
from messaging.models import Batch, ReceiptRecord
from messaging.models.keys import uuid7
from tests.factories import accept_batch, accept_message, make_workspace, message
from tests.messaging.admin.test_messages import hold


def test_a_batch_leads_to_its_messages(operator: Client) -> None:
    batch = accept_batch(make_workspace(), ["ann@example.com", "nobody"])
    text = operator.get(reverse("admin:messaging_batch_changelist")).content.decode()
    query = f"batch__id__exact={batch.batch_id}"
    assert query in text
    answer = operator.get(f"{reverse('admin:messaging_message_changelist')}?{query}")
    assert [row.pk for row in answer.context["cl"].result_list] == batch.ids
    page = operator.get(reverse("admin:messaging_batch_change", args=[batch.batch_id]))
    assert page.status_code == 200


def test_a_claim_shows_who_holds_what(operator: Client) -> None:
    key = accept_message(make_workspace())
    claim = hold(key)
    for address in (
        reverse("admin:messaging_claim_changelist"),
        reverse("admin:messaging_claim_change", args=[claim.pk]),
    ):
        text = operator.get(address).content.decode()
        assert "email@here" in text
        assert "email.normal" in text
    assert reverse("admin:messaging_message_change", args=[key]) in text


def test_receipts_are_filtered_by_state_and_found_by_id(operator: Client) -> None:
    key = accept_message(make_workspace())
    report = Receipt(kind=ReceiptKind.DELIVERED, key="k", message_id=key, detail={"raw": "<script>"})
    (pending,) = receipts.keep("sandbox", [report])
    address = reverse("admin:messaging_receiptrecord_changelist")
    shown = {
        query: [row.pk for row in operator.get(f"{address}?{query}").context["cl"].result_list]
        for query in ("state__exact=pending", "state__exact=applied", f"q={pending}", f"q={uuid7()}", "q=sand")
    }
    assert list(shown.values()) == [[pending], [], [pending], [], []]
    text = operator.get(reverse("admin:messaging_receiptrecord_change", args=[pending])).content.decode()
    assert "&lt;script&gt;" in text
    assert reverse("admin:messaging_message_change", args=[key]) in text
    assert ReceiptRecord.objects.count() == 1


@pytest.mark.parametrize("model", ["batch", "content", "claim", "receiptrecord", "rawcallback", "fallbackstep"])
def test_nothing_is_made_here(operator: Client, model: str) -> None:
    assert operator.get(reverse(f"admin:messaging_{model}_add")).status_code == 403


def test_nothing_is_changed_or_deleted_here(operator: Client) -> None:
    key = accept_message(make_workspace())
    accept_batch(make_workspace(), ["ann@example.com"])
    batch = Batch.objects.get()
    rows = {"content": message(key).content_id, "batch": batch.pk, "claim": hold(key).pk}
    for model, pk in rows.items():
        assert operator.post(reverse(f"admin:messaging_{model}_change", args=[pk]), {}).status_code == 403
        delete = reverse(f"admin:messaging_{model}_delete", args=[pk])
        assert operator.post(delete, {"post": "yes"}).status_code == 403
