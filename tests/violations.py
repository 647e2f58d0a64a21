"""Checks databases of the server that DATABASE_URL names: reads their names, and answers each with its violations.

An answer is a line of JSON; the first line says that it is ready.
"""

from __future__ import annotations

import json
import sys

import django

if __name__ == "__main__":
    django.setup()
    from django.db import connection, transaction

    from tests.messaging.invariants import check_all

    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        connection.settings_dict["NAME"] = line.strip()
        with transaction.atomic(), connection.cursor() as cursor:
            # What holds must hold at every moment: messages may be on their way.
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            found = check_all()
        # Whoever asks may be about to kill the server.
        connection.close()
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()
