"""Templates are saved in versions that never change, checked when they are saved, and found by language."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection

from channels_app.types import Channel
from messaging.content import authoring, templates
from messaging.content.parts import Parts
from messaging.content.rendering import LONG_LENGTH, RenderFailed
from messaging.errors import AlreadyExists, Conflict, Invalid, NotFound
from messaging.models import Campaign, CampaignStatus, Template, TemplateVersion, Workspace
from messaging.models.keys import uuid7
from tests.factories import make_template, make_user, make_workspace, revise_template

EVIL = '<script>alert("x")</script>'


@pytest.fixture
def workspace(db: None) -> Workspace:
    return make_workspace()


def refused(workspace: Workspace, **fields: Any) -> list[tuple[str, str]]:
    """The places that saving such a template is refused for."""
    with pytest.raises(Invalid) as refusal:
        make_template(workspace, **fields)
    assert not Template.objects.exists()
    return [(error.pointer, error.code) for error in refusal.value.errors]


class TestSaving:
    def test_the_first_save_is_version_1(self, workspace: Workspace) -> None:
        author = make_user()
        edition = authoring.create(
            workspace_id=workspace.id,
            author_id=author.id,
            key="order.shipped",
            channel=Channel.EMAIL,
            language="pt_br",
            name=" Order shipped ",
            action_type="order",
            parts=Parts(subject="Hi {{ name }}", body="<p>{{ order.id }}</p>", text="{{ order.lines[0].sku }}"),
        )

        row, said = edition.template, edition.said
        assert (row.key, row.channel, row.language, row.version) == ("order.shipped", "email", "pt-BR", 1)
        assert (row.name, row.action_type) == ("Order shipped", "order")
        assert (said.version, said.author_id) == (1, author.id)
        assert said.variables == ["name", "order.id", "order.lines[0].sku"]
        assert templates.get(workspace_id=workspace.id, template_id=row.id) == edition

    def test_without_a_language_it_is_in_the_workspaces_own(self, workspace: Workspace) -> None:
        Workspace.objects.filter(id=workspace.id).update(language="de-AT")
        assert make_template(workspace).template.language == "de-AT"

    def test_a_later_save_makes_the_next_version_and_leaves_the_first_as_it_was(self, workspace: Workspace) -> None:
        first = make_template(workspace, text="one {{ a }}", name="Welcome")
        second = revise_template(first, text="two {{ b }}")

        assert (second.said.version, second.template.version, second.said.variables) == (2, 2, ["b"])
        assert second.template.name == "Welcome"
        assert second.template.updated_at > first.template.updated_at
        assert TemplateVersion.objects.get(id=first.said.id).text == "one {{ a }}"
        rows = templates.versions_of(workspace_id=workspace.id, template_id=first.id)
        assert [(row.version, row.text) for row in rows] == [(1, "one {{ a }}"), (2, "two {{ b }}")]

    def test_the_next_version_has_nothing_of_the_one_before(self, workspace: Workspace) -> None:
        first = make_template(workspace, body="<p>Hi</p>")
        second = authoring.revise(
            workspace_id=workspace.id, template_id=first.id, author_id=None, parts=Parts(text="only this")
        )
        assert second.parts == Parts(text="only this")

    def test_names_change_without_another_version(self, workspace: Workspace) -> None:
        edition = make_template(workspace)
        renamed = authoring.rename(
            workspace_id=workspace.id, template_id=edition.id, name="Hello", action_type="register"
        )
        assert (renamed.template.name, renamed.template.action_type) == ("Hello", "register")
        assert renamed.said == edition.said

    def test_there_is_one_for_each_key_channel_and_language(self, workspace: Workspace) -> None:
        make_template(workspace, language="de")
        with pytest.raises(AlreadyExists) as refusal:
            make_template(workspace, language="DE")
        assert refusal.value.code == "template_exists"

        make_template(workspace, language="de-CH")
        make_template(workspace, channel=Channel.SMS, subject="", language="de")
        make_template(make_workspace(), language="de")
        assert TemplateVersion.objects.count() == 4

    @pytest.mark.parametrize(
        ("fields", "places"),
        [
            ({"key": ""}, [("/key", "invalid_key")]),
            ({"key": "a b"}, [("/key", "invalid_key")]),
            ({"key": ".hidden"}, [("/key", "invalid_key")]),
            ({"key": "x" * 101}, [("/key", "invalid_key")]),
            ({"key": "0192f0c1-1111-7000-8000-000000000000"}, [("/key", "invalid_key")]),
            ({"language": "no tag"}, [("/language", "invalid_language")]),
            ({"name": "a\nb"}, [("/name", "control_character")]),
            ({"name": "x" * 201}, [("/name", "too_long")]),
            ({"action_type": "x" * 101}, [("/action_type", "too_long")]),
            ({"text": ""}, [("/body", "required")]),
            ({"subject": "Hi\r\nBcc: eve@example.com"}, [("/subject", "control_character")]),
            ({"text": "x" * (LONG_LENGTH + 1)}, [("/text", "too_long")]),
            ({"channel": Channel.SMS}, [("/subject", "not_carried")]),
            ({"text": "{% if a %}x"}, [("/text", "template_refused")]),
            ({"text": "{{ a | shout }}"}, [("/text", "template_refused")]),
            ({"body": "{% include 'other' %}"}, [("/body", "template_refused")]),
            ({"subject": "{{", "body": "{%", "key": "-"}, [("/key", "invalid_key"), ("/subject", "template_refused"),
              ("/body", "template_refused")]),
        ],
    )  # fmt: skip
    def test_it_refuses(self, workspace: Workspace, fields: dict[str, Any], places: list[tuple[str, str]]) -> None:
        assert refused(workspace, **fields) == places

    def test_a_refusal_says_where_in_the_source(self, workspace: Workspace) -> None:
        with pytest.raises(Invalid) as refusal:
            make_template(workspace, text="Good day\n  {{ name | shout }}")
        assert refusal.value.errors[0].detail == "line 2, column 13: There is no filter `shout`."

    def test_a_version_that_is_refused_is_not_kept(self, workspace: Workspace) -> None:
        edition = make_template(workspace)
        with pytest.raises(Invalid):
            revise_template(edition, text="{{ open")
        assert templates.get(workspace_id=workspace.id, template_id=edition.id) == edition

    def test_another_workspace_has_no_part_in_it(self, workspace: Workspace) -> None:
        edition, other = make_template(workspace), make_workspace()
        known: dict[str, Any] = {"workspace_id": other.id, "template_id": edition.id}
        for attempt in (
            lambda: templates.get(**known),
            lambda: templates.versions_of(**known),
            lambda: authoring.revise(**known, author_id=None, parts=Parts(text="x")),
            lambda: authoring.rename(**known, name="x"),
            lambda: authoring.delete(**known),
        ):
            with pytest.raises(NotFound, match="no such template"):
                attempt()
        assert templates.get(workspace_id=workspace.id, template_id=edition.id) == edition


@pytest.mark.usefixtures("transactional_db")
def test_saves_at_the_same_moment_make_one_version_each_without_a_gap() -> None:
    edition = make_template(make_workspace())
    gate = threading.Barrier(6)
    made: list[tuple[int, str]] = []

    def save(number: int) -> None:
        gate.wait()
        try:
            saved = revise_template(edition, text=f"by {number}")
            made.append((saved.said.version, saved.said.text))
        finally:
            connection.close()

    threads = [threading.Thread(target=save, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    kept = list(edition.template.versions.order_by("version").values_list("version", "text"))
    assert [version for version, _ in kept] == [1, 2, 3, 4, 5, 6, 7]
    assert sorted(made) == kept[1:]
    assert Template.objects.get().version == 7


class TestDeleting:
    def test_it_leaves_the_lists_and_frees_its_key(self, workspace: Workspace) -> None:
        edition = make_template(workspace)
        authoring.delete(workspace_id=workspace.id, template_id=edition.id)

        with pytest.raises(NotFound):
            templates.get(workspace_id=workspace.id, template_id=edition.id)
        with pytest.raises(NotFound):
            authoring.delete(workspace_id=workspace.id, template_id=edition.id)
        assert make_template(workspace).id != edition.id

    def test_its_versions_stay(self, workspace: Workspace) -> None:
        edition = make_template(workspace)
        authoring.delete(workspace_id=workspace.id, template_id=edition.id)
        assert TemplateVersion.objects.get() == edition.said

    @pytest.mark.parametrize("status", list(CampaignStatus))
    def test_a_campaign_that_has_not_ended_holds_it(self, workspace: Workspace, status: CampaignStatus) -> None:
        edition = make_template(workspace)
        Campaign.objects.create(
            workspace=workspace, name="Sale", channel="email", template=edition.template, status=status
        )
        ended = status in {CampaignStatus.COMPLETED, CampaignStatus.PARTLY_FAILED, CampaignStatus.CANCELLED}
        if not ended:
            with pytest.raises(Conflict) as refusal:
                authoring.delete(workspace_id=workspace.id, template_id=edition.id)
            assert refusal.value.code == "template_in_use"
        else:
            authoring.delete(workspace_id=workspace.id, template_id=edition.id)
        assert templates.templates_of(workspace_id=workspace.id).exists() is not ended


class TestChoosing:
    @pytest.mark.parametrize(
        ("there", "wishes", "chosen"),
        [
            (["en", "pt", "pt-BR"], ["pt-BR"], "pt-BR"),
            (["en", "pt"], ["pt-BR"], "pt"),
            (["en", "pt-BR"], ["pt"], "en"),
            (["pt", "en"], ["fr"], "en"),
            (["de", "en"], ["fr", "de-CH"], "de"),
            (["de", "en", "fr"], ["fr", "de"], "fr"),
            (["de", "en"], ["", ""], "en"),
            (["de", "en"], ["nonsense!"], "en"),
            (["de", "en"], ["DE_de.UTF-8"], "de"),
            (["it", "de"], ["fr"], "it"),
        ],
    )
    def test_wishes_fall_back_to_the_workspaces_language_and_then_to_the_oldest(
        self, workspace: Workspace, there: list[str], wishes: list[str], chosen: str
    ) -> None:
        for language in there:
            make_template(workspace, language=language)
        offer = templates.offer(workspace_id=workspace.id, name="welcome", channel=Channel.EMAIL)
        assert offer.choose(*wishes).language == chosen

    def test_the_workspaces_language_falls_back_too(self, workspace: Workspace) -> None:
        Workspace.objects.filter(id=workspace.id).update(language="de-AT")
        for language in ("en", "de"):
            make_template(workspace, language=language)
        offer = templates.offer(workspace_id=workspace.id, name="welcome", channel=Channel.EMAIL)
        assert offer.choose("fr").language == "de"

    def test_an_id_means_this_language_and_no_other(self, workspace: Workspace) -> None:
        make_template(workspace, language="en")
        german = make_template(workspace, language="de")
        offer = templates.offer(workspace_id=workspace.id, name=str(german.id), channel=Channel.EMAIL)
        assert offer.choose("en").id == german.id

    def test_what_is_not_there_is_refused_by_name(self, workspace: Workspace) -> None:
        gone = make_template(workspace, "gone")
        authoring.delete(workspace_id=workspace.id, template_id=gone.id)
        make_template(make_workspace(), "theirs")
        make_template(workspace, "sms", channel=Channel.SMS, subject="")
        for name in ("gone", "theirs", "sms", "Gone", "", str(gone.id), str(uuid7())):
            with pytest.raises(Invalid) as refusal:
                templates.offer(workspace_id=workspace.id, name=name, channel=Channel.EMAIL)
            places = [(each.pointer, each.code) for each in refusal.value.errors]
            assert (refusal.value.code, places) == ("template_not_found", [("/template", "template_not_found")])

    def test_for_a_purpose_the_newest_of_the_language_wins(self, workspace: Workspace) -> None:
        older = make_template(workspace, "a", action_type="otp", language="en")
        newer = make_template(workspace, "b", action_type="otp", language="en")
        german = make_template(workspace, "a", action_type="otp", language="de")
        make_template(workspace, "c", action_type="reset", language="en")
        revise_template(older, text="saved last, but made first")

        def found(language: str) -> Any:
            row = templates.find(workspace_id=workspace.id, action_type="otp", channel=Channel.EMAIL, language=language)
            return row.id

        assert found("en-GB") == newer.id
        assert found("fr") == newer.id
        assert found("de") == german.id
        with pytest.raises(Invalid, match="no template of the type verify"):
            templates.find(workspace_id=workspace.id, action_type="verify", channel=Channel.EMAIL)


class TestPreviews:
    def test_missing_variables_are_blank_and_named(self, workspace: Workspace) -> None:
        edition = make_template(
            workspace,
            subject="{{ name }}: {{ code }}",
            body="<p>{{ order.id }} {{ note | default: 'none' }}</p>{% if vip %}{{ perk }}{% endif %}",
        )
        shown = edition.preview({"name": "Ann"})
        assert (shown.subject, shown.body, shown.text) == ("Ann:", "<p> none</p>", "Good day")
        assert shown.missing == ["code", "order.id"]
        assert edition.preview({"name": "Ann", "vip": True, "code": 1, "order": {"id": 2}}).missing == ["perk"]

    def test_values_are_escaped_in_the_body_of_an_email_and_nowhere_else(self, workspace: Workspace) -> None:
        said = {"body": "<p>{{ x }}</p>", "text": "{{ x }}"}
        mail = make_template(workspace, subject="{{ x }}", **said).preview({"x": EVIL})
        assert mail.body == "<p>&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;</p>"
        assert (mail.subject, mail.text) == (EVIL, EVIL)

        chat = make_template(workspace, channel=Channel.TELEGRAM, subject="", **said).preview({"x": EVIL})
        assert chat.body == f"<p>{EVIL}</p>"

    def test_a_value_cannot_break_out_of_the_subject(self, workspace: Workspace) -> None:
        edition = make_template(workspace, subject="Hi {{ name }}")
        shown = edition.preview({"name": "Ann\r\nBcc: eve@example.com\x1b\u2028x"})
        assert shown.subject == "Hi Ann Bcc: eve@example.com x"

    @pytest.mark.parametrize(
        "text",
        [
            "{% for a in (1..1000) %}{% for b in (1..1000) %}x{% endfor %}{% endfor %}",
            "{% for a in (1..99999999) %}x{% endfor %}",
            "{% assign s = 'ab' %}{% for a in (1..60) %}{% assign s = s | append: s %}{% endfor %}{{ s }}",
            "{{ n | times: n | times: n | times: n }}",
        ],
    )
    def test_a_template_that_explodes_is_stopped(self, workspace: Workspace, text: str) -> None:
        with pytest.raises(RenderFailed, match="limit"):
            make_template(workspace, text=text).preview({"n": 10**9})

    @pytest.mark.parametrize(
        "path", ["x.__class__", "x.__class__.__mro__[1]", "x['__init__']", "x.format", "items.append", "x.keys"]
    )
    def test_attributes_are_out_of_reach(self, workspace: Workspace, path: str) -> None:
        edition = make_template(workspace, text=f"[{{{{ {path} }}}}]")
        shown = edition.preview({"x": "text", "items": [1]})
        assert shown.text == "[]"
        assert len(shown.missing) == 1
