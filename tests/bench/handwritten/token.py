"""Prints the token of a new user, for the benchmark's client."""

import os

import django

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.bench.handwritten.settings")
    django.setup()
    from django.contrib.auth.models import User
    from rest_framework.authtoken.models import Token

    print(Token.objects.create(user=User.objects.create_user("bench")).key)
