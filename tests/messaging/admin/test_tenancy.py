"""Operators see workspaces, people and keys, and end keys; no page shows a secret."""

from __future__ import annotations

from django.test import Client
from django.urls import reverse

from messaging.models import ApiKey, Member, Mode, Role, User, Workspace
from messaging.tenancy import keys
from tests.factories import make_member, make_user, make_workspace


def make_key(workspace: Workspace, user: User, mode: Mode = Mode.LIVE) -> keys.NewKey:
    return keys.make(workspace_id=workspace.id, user_id=user.id, name="Ours", scopes=["messages:read"], mode=mode)


def test_a_key_is_shown_without_its_secret_and_cannot_be_made(operator: Client) -> None:
    workspace = make_workspace()
    key = make_key(workspace, make_member(workspace).user)
    for address in (
        reverse("admin:messaging_apikey_changelist"),
        reverse("admin:messaging_apikey_change", args=[key.row.pk]),
    ):
        text = operator.get(address).content.decode()
        assert key.row.prefix in text
        assert key.raw not in text
        assert key.raw.removeprefix(key.row.prefix) not in text
        assert bytes(key.row.digest).hex() not in text
    assert operator.get(reverse("admin:messaging_apikey_add")).status_code == 403


def test_revoked_keys_open_nothing(operator: Client) -> None:
    workspace = make_workspace()
    user = make_member(workspace).user
    first, second = make_key(workspace, user), make_key(workspace, user)
    address = reverse("admin:messaging_apikey_changelist")
    for expected in ("1 key revoked.", "0 keys revoked."):
        answer = operator.post(address, {"action": "revoke", "_selected_action": [first.row.pk]}, follow=True)
        assert [str(each) for each in answer.context["messages"]] == [expected]
    assert ApiKey.objects.get(pk=first.row.pk).revoked_at is not None
    assert ApiKey.objects.get(pk=second.row.pk).revoked_at is None


def test_a_member_who_is_taken_out_leaves_no_live_key(operator: Client) -> None:
    workspace, other = make_workspace(), make_workspace("Other")
    member = make_member(workspace, Role.OPERATOR)
    Member.objects.create(workspace=other, user=member.user, role=Role.MEMBER)
    here, there = make_key(workspace, member.user), make_key(other, member.user)
    answer = operator.post(reverse("admin:messaging_member_delete", args=[member.pk]), {"post": "yes"})
    assert answer.status_code == 302
    assert not Member.objects.filter(pk=member.pk).exists()
    assert ApiKey.objects.get(pk=here.row.pk).revoked_at is not None
    assert ApiKey.objects.get(pk=there.row.pk).revoked_at is None


def test_a_member_is_added_and_changes_role_but_not_place(operator: Client) -> None:
    workspace, other, user = make_workspace(), make_workspace("Other"), make_user()
    form = {"workspace": workspace.pk, "user": user.pk, "role": "viewer"}
    assert operator.post(reverse("admin:messaging_member_add"), form).status_code == 302
    member = Member.objects.get(user=user)
    address = reverse("admin:messaging_member_change", args=[member.pk])
    assert operator.post(address, {"workspace": other.pk, "role": "operator"}).status_code == 302
    member.refresh_from_db()
    assert (member.workspace_id, member.role) == (workspace.pk, "operator")


def test_workspaces_are_made_and_renamed_but_not_deleted(operator: Client) -> None:
    made = operator.post(reverse("admin:messaging_workspace_add"), {"name": "New <b>", "slug": "new"})
    assert made.status_code == 302
    workspace = Workspace.objects.get(slug="new")
    assert "<b>" not in operator.get(reverse("admin:messaging_workspace_changelist")).content.decode()
    assert operator.get(reverse("admin:messaging_workspace_delete", args=[workspace.pk])).status_code == 403


def test_a_person_is_added_with_a_password_that_works(operator: Client) -> None:
    form = {
        "username": "ann",
        "usable_password": "true",
        "password1": "quiet river stone",
        "password2": "quiet river stone",
    }
    assert operator.post(reverse("admin:messaging_user_add"), form).status_code == 302
    user = User.objects.get(username="ann")
    assert user.check_password("quiet river stone")
    text = operator.get(reverse("admin:messaging_user_change", args=[user.pk])).content.decode()
    assert str(user.avatar_id) in text
    assert operator.get(reverse("admin:messaging_user_changelist"), {"q": "ann"}).status_code == 200
