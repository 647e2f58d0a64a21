"""`manage rotate_keys`: the platform's first key takes over, and workspaces get new keys of their own."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from messaging.content import encryption
from messaging.errors import EncryptionFailed


class Command(BaseCommand):
    help = (
        "Wrap every workspace's keys by the first key of DISPATCH_KEYS, after which the others can be taken out. "
        "No message is touched, and it may be run while messages are sent."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--renew",
            action="store_true",
            help="also make a new key for each workspace that has one; what was encrypted before still opens",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            encryption.verify()
            renewed = encryption.renew_all() if options["renew"] else 0
            wrapped = encryption.rewrap()
        except (EncryptionFailed, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{_keys(wrapped)} wrapped anew, {_keys(renewed)} made.")


def _keys(number: int) -> str:
    return "1 key" if number == 1 else f"{number:,} keys"
