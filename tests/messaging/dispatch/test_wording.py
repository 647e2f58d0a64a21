"""Messages made from templates: in each recipient's language, filled in, and true to their version for ever."""

from __future__ import annotations

import pytest

from channels_app.types import Channel
from messaging.content import authoring, contents, templates
from messaging.dispatch import intake, selectors
from messaging.dispatch.selectors import MessageFilter
from messaging.errors import Invalid
from messaging.models import Contact, Content, Message, Workspace
from messaging.models.keys import uuid7
from tests.factories import accept_message, make_template, make_workspace, message, revise_template


@pytest.fixture
def workspace(db: None) -> Workspace:
    return make_workspace()


def accept(
    workspace: Workspace, *recipients: intake.Recipient, batch: bool = True, **fields: object
) -> intake.Acceptance:
    draft = intake.Draft(**{"channel": Channel.EMAIL, "template": "welcome", **fields})  # type: ignore[arg-type]
    return intake.accept(
        workspace_id=workspace.id, author_id=None, test=False, draft=draft, recipients=recipients, batch=batch
    )


def to(address: str = "ann@example.com", **fields: object) -> intake.Recipient:
    return intake.Recipient(to=address, **fields)  # type: ignore[arg-type]


def refused(workspace: Workspace, *recipients: intake.Recipient, **fields: object) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as refusal:
        accept(workspace, *(recipients or (to(),)), batch=False, **fields)
    assert not Message.objects.exists()
    assert not Content.objects.exists()
    return [(each.pointer, each.code) for each in refusal.value.errors]


def sent(key: object) -> tuple[str, str]:
    """What goes out: HTML and text, as the worker renders them."""
    row = Message.objects.get(pk=key)
    loaded = contents.load(row.content_id, html=row.channel == Channel.EMAIL)
    return loaded.render(data=row.data, name=row.name, to=row.recipient, now=row.created_at)


def test_a_message_says_what_the_template_says_and_remembers_its_version(workspace: Workspace) -> None:
    edition = make_template(
        workspace, subject="Hi {{ name }}", body="<p>{{ code }}</p>", text="{{ code }}", action_type="otp"
    )
    row = message(accept(workspace, to(name="Ann", data={"code": "<1>"})).ids[0])

    assert (row.template_id, row.subject, row.action_type, row.language) == (edition.id, "Hi Ann", "otp", "en")
    content = Content.objects.get()
    assert (content.template_version_id, content.subject, content.body, content.text) == (edition.said.id, "", "", "")
    assert sent(row.id) == ("<p>&lt;1&gt;</p>", "<1>")
    assert templates.origins([row]) == {row.content_id: edition.origin}


def test_it_says_the_same_after_newer_versions_and_after_the_template_is_gone(workspace: Workspace) -> None:
    edition = make_template(workspace, text="one {{ n }}")
    first = accept(workspace, to(data={"n": 1})).ids[0]
    revise_template(edition, text="two {{ m }}")
    second = accept(workspace, to(data={"m": 2})).ids[0]
    authoring.delete(workspace_id=workspace.id, template_id=edition.id)

    for key, text, version in ((first, "one 1", 1), (second, "two 2", 2)):
        row = selectors.message(workspace_id=workspace.id, message_id=key)
        assert selectors.rendered(message=row).text == sent(key)[1] == text
        assert templates.origins([row])[row.content_id].version == version
    assert refused_after(workspace) == [("/template", "template_not_found")]


def refused_after(workspace: Workspace) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as refusal:
        accept(workspace, to())
    return [(each.pointer, each.code) for each in refusal.value.errors]


def test_what_is_given_beside_a_template_replaces_its_parts(workspace: Workspace) -> None:
    make_template(workspace, subject="Theirs", body="<p>theirs</p>", text="theirs", action_type="otp")
    key = accept(workspace, to(data={"x": 1}), subject="Mine", text="mine {{ x }}", action_type="reset").ids[0]

    row = message(key)
    assert (row.subject, row.action_type) == ("Mine", "reset")
    assert sent(key) == ("<p>theirs</p>", "mine 1")


@pytest.mark.parametrize(
    ("asked", "language"), [("", "en"), ("pt_br", "pt-BR"), ("pt-PT", "pt"), ("de-CH", "de"), ("fr", "en")]
)
def test_the_language_asked_for_decides(workspace: Workspace, asked: str, language: str) -> None:
    for each in ("de", "pt", "pt-BR", "en"):
        make_template(workspace, language=each, text=f"in {each}")
    key = accept(workspace, to(), language=asked).ids[0]
    assert (message(key).language, sent(key)[1]) == (language, f"in {language}")


def test_in_one_batch_each_contact_gets_its_own_language(workspace: Workspace) -> None:
    for language in ("en", "de"):
        make_template(workspace, language=language, subject=f"[{language}] {{{{ name }}}}", text=f"in {language}")
    locales = ["de_AT", "pt-BR", "", "de", "en-GB"]
    contacts = [
        Contact.objects.create(workspace=workspace, name=f"C{place}", email=f"c{place}@example.com", locale=locale)
        for place, locale in enumerate(locales)
    ]
    accepted = accept(workspace, *(intake.Recipient(contact_id=str(each.id)) for each in contacts), to(name="Di"))

    rows = [message(key) for key in accepted.ids]
    assert [row.language for row in rows] == ["de", "en", "en", "de", "en", "en"]
    assert [row.subject for row in rows] == ["[de] C0", "[en] C1", "[en] C2", "[de] C3", "[en] C4", "[en] Di"]
    assert Content.objects.count() == 2
    assert [sent(row.id)[1] for row in rows] == [f"in {row.language}" for row in rows]


def test_the_language_asked_for_goes_before_the_contacts(workspace: Workspace) -> None:
    for language in ("en", "de", "fr"):
        make_template(workspace, language=language)
    contact = Contact.objects.create(workspace=workspace, name="Ann", email="ann@example.com", locale="de")
    someone = intake.Recipient(contact_id=str(contact.id))
    assert message(accept(workspace, someone, language="fr").ids[0]).language == "fr"
    assert message(accept(workspace, someone, language="it").ids[0]).language == "de"


def test_missing_variables_are_named_for_each_recipient(workspace: Workspace) -> None:
    make_template(workspace, subject="{{ name }}", body="<p>{{ order.id }}</p>", text="{{ order.total }}")
    good = to("b@example.com", name="Bob", data={"order": {"id": 1, "total": 2}})
    accepted = accept(workspace, to(), good, to("c@example.com", name="Cy", data={"order": {"id": 1}}))

    assert len(accepted.ids) == 1
    assert [(one.index, one.code, one.pointer, one.detail) for one in accepted.rejected] == [
        (0, "missing_variables", "/data", "the template needs: name, order.id, order.total"),
        (2, "missing_variables", "/data", "the template needs: order.total"),
    ]


def test_a_template_that_explodes_is_refused_at_once(workspace: Workspace) -> None:
    make_template(workspace, text="{% for a in (1..n) %}{% for b in (1..n) %}x{% endfor %}{% endfor %}")
    assert refused(workspace, to(data={"n": 1000})) == [("/data", "render_failed")]
    assert accept(workspace, to(data={"n": 3})).ids


def test_a_value_cannot_break_out_of_the_subject(workspace: Workspace) -> None:
    make_template(workspace, subject="Hi {{ who }}")
    row = message(accept(workspace, to(data={"who": "Ann\r\nBcc: eve@example.com"})).ids[0])
    assert row.subject == "Hi Ann Bcc: eve@example.com"


def test_it_refuses(workspace: Workspace) -> None:
    theirs = make_template(make_workspace(), "theirs")
    make_template(workspace, "chat", channel=Channel.TELEGRAM, subject="")
    bare = make_template(workspace, "bare", subject="")
    assert refused(workspace) == [("/template", "template_not_found")]
    assert refused(workspace, template=str(uuid7())) == [("/template", "template_not_found")]
    assert refused(workspace, template=str(theirs.id)) == [("/template", "template_not_found")]
    assert refused(workspace, template="chat") == [("/template", "template_not_found")]
    assert refused(workspace, template="bare") == [("/subject", "required")]
    assert refused(workspace, template="bare", subject="x", language="no tag") == [("/language", "invalid_language")]
    assert refused(workspace, template="nothing", category="") == [
        ("/template", "template_not_found"),
        ("/category", "length"),
    ]
    assert accept(workspace, to(), template=str(bare.id), subject="Hi").ids


def test_a_dry_run_tells_what_the_template_would_say(workspace: Workspace) -> None:
    make_template(workspace, subject="Hi {{ name }}", text="in {{ n }}")
    told = intake.explain(
        workspace_id=workspace.id,
        test=False,
        draft=intake.Draft(channel=Channel.EMAIL, template="welcome"),
        recipient=to(name="Ann", data={"n": 1}),
    )
    assert (told["subject"], told["text"]) == ("Hi Ann", "in 1")
    assert not Content.objects.exists()


def test_messages_are_found_by_the_key_and_by_the_id_of_their_template(workspace: Workspace) -> None:
    english, german = make_template(workspace), make_template(workspace, language="de")
    make_template(workspace, "other")
    keys = [accept(workspace, to(), language=language).ids[0] for language in ("en", "de", "en")]
    accept(workspace, to(), template="other")
    accept_message(workspace)
    theirs = make_workspace()
    make_template(theirs)
    accept(theirs, to())

    def found(name: str, **fields: object) -> list[object]:
        where = MessageFilter(template=name, **fields)  # type: ignore[arg-type]
        return [row.id for row in selectors.messages(workspace_id=workspace.id, where=where, limit=10)]

    assert found("welcome") == keys[::-1]
    assert found(str(english.id)) == [keys[2], keys[0]]
    assert found(str(german.id)) == [keys[1]]
    assert found("welcome", to="ann@example.com", channels=frozenset({Channel.EMAIL})) == keys[::-1]
    assert found("welcome", q="ann@example.com") == keys[::-1]
    assert found("nothing") == []
    authoring.delete(workspace_id=workspace.id, template_id=german.id)
    assert found("welcome") == keys[::-1]
