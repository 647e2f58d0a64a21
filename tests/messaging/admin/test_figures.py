"""Operators see rollups and the state of providers, and cannot write through them."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from analytics import health, rollups
from messaging.dispatch import transitions
from messaging.dispatch.transitions import Move
from messaging.models.keys import uuid7
from messaging.state import Priority, Status
from tests.factories import accept_batch, make_workspace


@pytest.mark.parametrize("model", ["rollup", "timing", "progress"])
def test_what_was_counted_is_listed(transactional_db: None, operator: Client, model: str) -> None:
    workspace = make_workspace("Counted")
    (key,) = accept_batch(workspace, ["ann@example.com"]).ids
    transitions.claim_many(
        claim_id=(claim := uuid7()),
        worker="test",
        channel="email",
        priority=Priority.NORMAL,
        shares={workspace.id: 1},
        group=1,
        lease=60.0,
    )
    transitions.flush_many([Move(id=key, to=Status.SENT, provider="smtp")], claim_id=claim, mark=1)
    rollups.roll_up()
    answer = operator.get(reverse(f"admin:analytics_{model}_changelist"))
    assert answer.status_code == 200
    assert answer.context["cl"].result_count > 0
    assert operator.get(reverse(f"admin:analytics_{model}_add")).status_code == 403


def test_the_state_of_every_channel_is_shown(operator: Client) -> None:
    health.look(workers=("email",))
    text = operator.get(reverse("admin:analytics_health")).content.decode()
    assert "(sandbox)" in text
    assert "worker:email" in text


def test_the_state_is_not_for_everybody(db: None) -> None:
    assert Client().get(reverse("admin:analytics_health")).status_code == 302
