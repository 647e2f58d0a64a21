"""Where Flower is: `./dispatch up` writes it down beside the credentials."""

from __future__ import annotations

import json

from django.conf import settings


def flower_url() -> str | None:
    """The address of Flower, None where this home has none or keeps it from us."""
    try:
        kept = json.loads((settings.HOME / "credentials.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    url = kept.get("flower_url") if isinstance(kept, dict) else None
    return url if isinstance(url, str) and url.startswith(("http://", "https://")) else None
