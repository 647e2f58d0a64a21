"""Workspaces, people and their keys."""

# mypy: disallow-any-generics=False
# Django's admin classes take no parameters at run time.

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as StockUserAdmin
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from messaging.admin.base import ReadOnlyAdmin, list_link
from messaging.models import ApiKey, Member, User, Workspace
from messaging.tenancy import keys


@admin.register(User)
class UserAdmin(StockUserAdmin):
    list_display = ("username", "avatar_id", "is_active", "is_staff", "is_superuser", "last_login")
    list_filter = ("is_active", "is_staff", "is_superuser")
    readonly_fields = ("avatar_id", "last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "password", "avatar_id")}),
        ("Person", {"fields": ("first_name", "last_name", "email", "rate_limit")}),
        ("Admin site", {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        ("Times", {"fields": ("last_login", "date_joined")}),
    )


@admin.register(Workspace)
class WorkspaceAdmin(admin.ModelAdmin):
    list_display = ("name", "slug", "id", "created_at", "its_messages", "its_members")
    search_fields = ("=slug", "name")
    limits = ("encrypted", "daily_quota", "send_rate")
    fields = ("name", "slug", *limits, "id", "created_at", "its_messages", "its_members")
    readonly_fields = ("id", "created_at", "its_messages", "its_members")

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        # Every row of the domain belongs to a workspace: it cannot go by one click.
        return False

    @admin.display(description="messages")
    def its_messages(self, workspace: Workspace) -> SafeString:
        return list_link("message", f"workspace__id__exact={workspace.pk}", "show")

    @admin.display(description="members")
    def its_members(self, workspace: Workspace) -> SafeString:
        return list_link("member", f"workspace__id__exact={workspace.pk}", "show")


@admin.register(Member)
class MemberAdmin(admin.ModelAdmin):
    list_display = ("user", "workspace", "role", "created_at")
    list_filter = ("role",)
    list_select_related = ("user", "workspace")
    search_fields = ("user__username", "=workspace__slug")
    autocomplete_fields = ("user", "workspace")
    fields = ("workspace", "user", "role", "created_at")
    readonly_fields = ("created_at",)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return self.readonly_fields if obj is None else ("workspace", "user", *self.readonly_fields)

    def delete_model(self, request: HttpRequest, obj: Member) -> None:
        self._remove([obj])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Member]) -> None:
        self._remove(queryset)

    @staticmethod
    def _remove(members: Iterable[Member]) -> None:
        """Take places away, and with each the keys that act for the person there."""
        with transaction.atomic():
            for member in members:
                keys.end(keys.keys_of(workspace_id=member.workspace_id).filter(user_id=member.user_id))
                member.delete()


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    """Keys are made by their owners through the API, which shows the secret once; here they end."""

    list_display = ("name", "prefix", "workspace", "user", "mode", "created_at", "last_used_at", "revoked_at")
    list_filter = ("mode", ("revoked_at", admin.EmptyFieldListFilter))
    list_select_related = ("workspace", "user")
    search_fields = ("=prefix", "name")
    fields = (
        *("name", "prefix", "workspace", "user", "mode", "scopes", "rate_limit"),
        *("created_at", "expires_at", "last_used_at", "revoked_at"),
    )
    actions = ("revoke",)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Whether the person may end keys; the rows themselves nobody edits."""
        return request.user.has_perm("messaging.change_apikey")

    @admin.action(description="Revoke the selected keys", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        ending = list(queryset.filter(revoked_at=None))
        keys.end(ApiKey.objects.filter(pk__in=[key.pk for key in ending]))
        for key in ending:
            self.log_change(request, key, "revoked")
        text = "1 key revoked." if len(ending) == 1 else f"{len(ending)} keys revoked."
        self.message_user(request, text, messages.SUCCESS if ending else messages.WARNING)
