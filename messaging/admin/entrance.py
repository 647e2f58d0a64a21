"""The page where operators sign in: guessing is slowed as it is for tokens."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.exceptions import ValidationError

from messaging.tenancy import attempts


class SignInForm(AdminAuthenticationForm):
    """Django's own, with so many tries for a username from one address, then a pause."""

    def clean(self) -> dict[str, Any]:
        username = str(self.cleaned_data.get("username") or "")
        address = str(self.request.META.get("REMOTE_ADDR", "")) if self.request else ""
        if not attempts.begin(username=username, address=address):
            raise ValidationError("Too many tries to sign in. Try again in a few minutes.", code="rate_limited")
        cleaned: dict[str, Any] = super().clean()
        if self.get_user() is not None:
            attempts.succeed(username=username, address=address)
        return cleaned
