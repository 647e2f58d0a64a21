"""Access tokens for people: signing in, and going on without signing in again."""

from __future__ import annotations

from typing import Any, cast

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import RefreshToken
from rest_framework_simplejwt.utils import get_md5_hash_password

from messaging.api.common.rendering import answer
from messaging.api.common.signing import sign_in
from messaging.api.v1.operations import View, operation
from messaging.api.v1.serializers.tenancy import Access, Credentials, Refresh, Tokens
from messaging.errors import Unauthenticated
from messaging.models import User


class TokenIssue(View):
    authentication_classes = ()

    @operation("sign_in", takes=Credentials, answers={200: Tokens}, tag="tokens")
    def post(self, request: Request) -> HttpResponse:
        """Give tokens for a username and a password."""
        given = self.parsed(Credentials)
        user = sign_in(request, username=given.username, password=given.password)
        refresh = RefreshToken.for_user(user)
        return answer(Tokens(access=str(refresh.access_token), refresh=str(refresh)))


class TokenRefresh(View):
    authentication_classes = ()

    @operation("refresh_token", takes=Refresh, answers={200: Access}, tag="tokens")
    def post(self, request: Request) -> HttpResponse:
        """Give a new access token, unless the person has left or changed the password since."""
        try:
            token = RefreshToken(cast(Any, self.parsed(Refresh).refresh))
        except TokenError as error:
            raise Unauthenticated("The token is invalid or has expired.", code="invalid_token") from error
        user = User.objects.filter(id=token["user_id"], is_active=True).first()
        if user is None or token.get("hash_password") != get_md5_hash_password(user.password):
            raise Unauthenticated("The token is invalid or has expired.", code="invalid_token")
        return answer(Access(access=str(token.access_token)))
