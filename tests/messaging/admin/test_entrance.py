"""Signing in to the admin."""

from __future__ import annotations

import pytest
from django.test import Client

from messaging.tenancy import attempts
from tests.factories import make_user

LOGIN = "/admin/login/"
PASSWORD = "correct horse battery"


@pytest.mark.django_db
def test_guessing_is_slowed_and_a_success_begins_anew() -> None:
    user = make_user(is_staff=True)
    user.set_password(PASSWORD)
    user.save()
    client, right = Client(), {"username": user.username, "password": PASSWORD, "next": "/admin/"}
    for _ in range(attempts.TRIES - 1):
        assert b"correct username" in client.post(LOGIN, {**right, "password": "wrong"}).content
    assert client.post(LOGIN, right).status_code == 302
    client.logout()
    for _ in range(attempts.TRIES):
        assert b"correct username" in client.post(LOGIN, {**right, "password": "wrong"}).content
    refused = client.post(LOGIN, right)
    assert (refused.status_code, b"Too many tries" in refused.content) == (200, True)
