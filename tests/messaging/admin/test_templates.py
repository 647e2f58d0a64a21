"""Operators see templates and everything that they ever said, and change nothing."""

from __future__ import annotations

from django.test import Client
from django.urls import reverse

from messaging.content import authoring
from tests.factories import accept_message, make_template, make_user, make_workspace, revise_template


def test_a_template_shows_its_versions_and_leads_to_its_messages(operator: Client) -> None:
    workspace = make_workspace()
    edition = make_template(workspace, text="Hi {{ name }}")
    key = accept_message(workspace, template="welcome", subject="", text="", name="Ann")
    later = revise_template(edition, text="Hello {{ who }}")

    page = operator.get(reverse("admin:messaging_template_change", args=[edition.id])).content.decode()
    for said in (edition.said, later.said):
        assert reverse("admin:messaging_templateversion_change", args=[said.pk]) in page
    assert page.index(str(later.said.pk)) < page.index(str(edition.said.pk))
    query = f"template__id__exact={edition.id}"
    assert query in page
    answer = operator.get(f"{reverse('admin:messaging_message_changelist')}?{query}")
    assert [row.pk for row in answer.context["cl"].result_list] == [key]


def test_a_version_is_shown_as_text_never_as_a_page(operator: Client) -> None:
    edition = make_template(make_workspace(), body="<script>{{ x }}</script>")
    page = operator.get(reverse("admin:messaging_templateversion_change", args=[edition.said.pk])).content.decode()
    assert "&lt;script&gt;{{ x }}&lt;/script&gt;" in page
    assert reverse("admin:messaging_template_change", args=[edition.id]) in page


def test_templates_are_found_by_how_key_or_name_begin(operator: Client) -> None:
    workspace = make_workspace()
    order = make_template(workspace, "order.shipped", name="Left our house")
    make_template(workspace, "reset")
    gone = make_template(workspace, "order.gone")
    authoring.delete(workspace_id=workspace.id, template_id=gone.id)

    def found(query: str) -> set[object]:
        answer = operator.get(f"{reverse('admin:messaging_template_changelist')}?{query}")
        return {row.pk for row in answer.context["cl"].result_list}

    assert found("q=order") == {order.id, gone.id}
    assert found("q=left") == {order.id}
    assert found(f"q={order.id}") == {order.id}
    assert found("q=order&deleted_at__isempty=1") == {order.id}


def test_nobody_changes_a_template_here(operator: Client) -> None:
    edition = make_template(make_workspace())
    for model, key in (("template", edition.id), ("templateversion", edition.said.pk)):
        assert operator.get(reverse(f"admin:messaging_{model}_add")).status_code == 403
        change = reverse(f"admin:messaging_{model}_change", args=[key])
        assert operator.post(change, {"key": "x", "subject": "x"}).status_code == 403
        assert operator.post(reverse(f"admin:messaging_{model}_delete", args=[key])).status_code == 403


def test_who_may_not_look_sees_nothing(db: None) -> None:
    edition = make_template(make_workspace())
    client = Client()
    client.force_login(make_user(is_staff=True))
    assert client.get(reverse("admin:messaging_template_change", args=[edition.id])).status_code == 403
