"""Checks the database that DATABASE_URL names and prints its violations as one line of JSON."""

from __future__ import annotations

import json
import sys

import django

if __name__ == "__main__":
    django.setup()
    from tests.messaging.invariants import check_all

    sys.stdout.write(json.dumps(check_all()))
