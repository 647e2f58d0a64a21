"""Browsers' sessions: Django ends them by their date and keeps the rows."""

from __future__ import annotations

from django.contrib.sessions.models import Session
from django.db.models.functions import Now


def forget_ended(limit: int) -> int:
    """Delete sessions that are over, at most `limit`; give how many went."""
    ended = Session.objects.filter(expire_date__lt=Now()).order_by("expire_date").values("pk")[:limit]
    number, _ = Session.objects.filter(pk__in=ended).delete()
    return number
