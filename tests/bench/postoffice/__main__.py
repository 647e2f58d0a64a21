"""Accepts and sends so many e-mails, and prints seconds and how many were sent as JSON."""

import json
import os
import sys
import tempfile
import time

import django

from tests.bench.content import BODY, SUBJECT, TEXT, address


def main(count: int) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.bench.postoffice.settings")
    django.setup()
    from post_office import mail
    from post_office.models import STATUS, Email

    before = Email.objects.filter(status=STATUS.sent).count()
    drafts = [
        {
            "recipients": [address(number)],
            "sender": "Bench <bench@example.com>",
            "subject": SUBJECT,
            "message": TEXT,
            "html_message": BODY,
        }
        for number in range(count)
    ]
    with tempfile.TemporaryDirectory() as folder:
        begun = time.time()
        mail.send_many(drafts)
        mail.send_queued_mail_until_done(os.path.join(folder, "lock"), processes=2)
        seconds = time.time() - begun
    sent = Email.objects.filter(status=STATUS.sent).count() - before
    print(json.dumps({"seconds": seconds, "sent": sent}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
