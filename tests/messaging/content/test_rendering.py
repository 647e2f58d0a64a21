from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from messaging.content.rendering import (
    LONG_LENGTH,
    SHORT_LENGTH,
    SUBJECT_LENGTH,
    Compiled,
    RenderFailed,
    TemplateRefused,
    compile,
    context_of,
    literal,
    render_subject,
)


def text(source: str, **context: object) -> str:
    return compile(source, html=False, field="text").render(context)


def html(source: str, **context: object) -> str:
    return compile(source, html=True, field="body").render(context)


def refusal(source: str, field: str = "body") -> TemplateRefused:
    with pytest.raises(TemplateRefused) as caught:
        compile(source, html=False, field=field)
    return caught.value


def test_values_are_filled_in_by_path():
    assert (
        text("Hi {{ name }}, {{ order.lines[1].sku }}", name="Bo", order={"lines": [{}, {"sku": "B-2"}]})
        == "Hi Bo, B-2"
    )


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{% if vip %}gold{% elsif n > 2 %}silver{% else %}tin{% endif %}", "silver"),
        ("{% unless vip %}plain{% endunless %}", "plain"),
        ("{% case plan %}{% when 'a', 'b' %}one{% else %}two{% endcase %}", "one"),
        ("{% for x in list %}{{ forloop.index }}{{ x }}{% unless forloop.last %},{% endunless %}{% endfor %}", "1p,2q"),
        ("{% for x in list %}{% break %}{% endfor %}{% for x in none %}{% else %}empty{% endfor %}", "empty"),
        ("{% assign x = n | times: 2 %}{% capture y %}<{{ x }}>{% endcapture %}{{ y }}", "<6>"),
        ("{% for i in (1..4) %}{% cycle 'a', 'b' %}{% endfor %}", "abab"),
        ("{% increment c %}{% increment c %}{% echo n %}", "013"),
        ("a {%- # a remark %} b{% comment %}{{ {% if %}{% comment %}x{% endcomment %}{% endcomment %}", "a b"),
        ("{% raw %}{{ n }} {% if %}{% endraw %}", "{{ n }} {% if %}"),
        ("x  {{- n -}}  y {%- raw -%} {{ z }} {%- endraw -%} w", "x3y{{ z }}w"),
        ("{{ list | join: ', ' | upcase }} {{ list.size }} {{ list.first }}", "P, Q 2 p"),
        ("{{ null_value | default: '-' }}{% if null_value %}x{% endif %}{{ yes }}", "-true"),
    ],
)
def test_the_tags_do_what_liquid_says(source, expected):
    context = {"vip": False, "n": 3, "plan": "b", "list": ["p", "q"], "none": [], "null_value": None, "yes": True}
    assert text(source, **context) == expected


def test_html_escapes_every_value_unless_its_author_says_safe():
    source = "<b title='{{ x }}'>{{ x }}</b>{{ x | append: '<i>' }}{{ x | safe }}"
    assert html(source, x="<'&") == "<b title='&lt;&#39;&amp;'>&lt;&#39;&amp;</b>&lt;&#39;&amp;<i><'&"
    assert text("{{ x }}", x="<'&") == "<'&"


@pytest.mark.parametrize(
    "source",
    [
        "{{ x | upcase }}",
        "{{ x | join: '' }}",
        "{{ list }}",
        "{{ list | join: '<br>' }}",
        "{{ x | url_decode }}",
        "{{ y | url_decode }}",
        "{{ z | base64_decode }}",
        "{{ x | escape_once }}",
        "{{ x | newline_to_br }}",
        "{{ x | strip_newlines }}",
        "{{ 'a' | replace: 'a', x }}",
        "{{ '<<b>script>' | strip_html }}",
        "{% capture c %}{{ y }}{% endcapture %}{{ c | url_decode }}",
        "{% for pair in map %}{{ pair }}{{ pair[0] }}{% endfor %}",
        "{% cycle x, 'a' %}",
        "{{ missing | default: x }}",
        "{{ x | split: 't' }}",
        "{{ x | slice: 0, 7 }}",
        "{{ 'now' | date: x }}",
    ],
)
def test_no_filter_lets_markup_of_the_data_through(source):
    rendered = html(
        source,
        x="<script>",
        y="%3Cscript%3E",
        z="PHNjcmlwdD4=",
        list=["<script>", "b"],
        map={"<script>": "<script>"},
    )
    assert "<script" not in rendered.lower()


def test_a_source_without_markers_is_rendered_as_it_is():
    compiled = compile("50 % off } } { a", html=True, field="body")
    assert compiled.static
    assert compiled.variables == ()
    assert compiled.missing({}) == []
    assert compiled.render({"a": object()}) == "50 % off } } { a"


@pytest.mark.parametrize(
    ("source", "code", "line", "column"),
    [
        ("a\nb {{ c", "unclosed_marker", 2, 3),
        ("{{ a {{ b }}", "unclosed_marker", 1, 1),
        ("{% if a {{ b }}", "unclosed_marker", 1, 1),
        ("ab\n{{ a }\n{{ b }}", "unclosed_marker", 2, 1),
        ("\n {{ }}", "empty_marker", 2, 2),
        ("{%- -%}", "empty_marker", 1, 1),
        ("a {% raw %} b", "unclosed_block", 1, 3),
        ("a {% comment %}{% comment %}{% endcomment %}", "unclosed_block", 1, 3),
        ("{% if a %}\n{% for b in c %}{% endfor %}", "unclosed_block", 1, 1),
        ("{% if a %}{% endfor %}", "unexpected_end", 1, 11),
        ("{% endraw %}", "unknown_tag", 1, 1),
        ("x {% include 'a' %}", "unknown_tag", 1, 3),
        ("{% render 'a' %}", "unknown_tag", 1, 1),
        ("{% liquid echo 1 %}", "unknown_tag", 1, 1),
        ("{% tablerow a in b %}{% endtablerow %}", "unknown_tag", 1, 1),
        ("{% doc %}{% enddoc %}", "unknown_tag", 1, 1),
        ("{% 'x' %}", "unknown_tag", 1, 1),
        ("{% if a %}{% else if b %}{% endif %}", "syntax_error", 1, 11),
        ("{{ a | shout }}", "unknown_filter", 1, 8),
        ("{{ a | escape: environment: b }}", "syntax_error", 1, 16),
        ("{% break %}", "misplaced_tag", 1, 4),
        ("{% else %}", "syntax_error", 1, 4),
        ("{{ a b }}", "syntax_error", 1, 6),
        ("{{ a | }}", "syntax_error", 1, 4),
        ("{{ 'a }}", "syntax_error", 1, 4),
        ("{% if %}x{% endif %}", "syntax_error", 1, 4),
        ("{% for x on y %}{% endfor %}", "syntax_error", 1, 10),
    ],
)
def test_a_malformed_source_is_refused_with_its_place(source, code, line, column):
    refused = refusal(source, field="subject")
    assert (refused.code, refused.line, refused.column, refused.field) == (code, line, column, "subject")
    assert "\n" not in refused.detail


def test_a_source_may_be_as_long_as_its_field_allows():
    assert text("{{ a }}" + "x" * (LONG_LENGTH - 7), a=1).startswith("1xx")
    assert refusal("{{ a }}" + "x" * LONG_LENGTH).code == "source_too_long"
    assert refusal("{{ a }}" + "x" * SHORT_LENGTH, field="subject").code == "source_too_long"
    assert refusal("{{ a }}" + "x" * SHORT_LENGTH, field="/templates/0/name").code == "source_too_long"


def test_the_variables_are_those_that_come_from_outside():
    source = (
        "{{ name }}{% assign a = base %}{{ a }}{% for item in order.items limit: most %}{{ item.sku }}"
        "{{ forloop.index }}{{ currency }}{% endfor %}{% capture c %}{{ inner }}{% endcapture %}{{ c }}"
        "{{ nick | default: other }}"
        "{% if vip and order.total > 3 %}{% endif %}{% increment n %}{{ n }}{{ texts[lang] }}{{ lines[0].x }}"
        "{% case plan %}{% when best %}{% endcase %}{% cycle odd, 'b' %}"
    )
    assert " ".join(compile(source, html=False, field="body").variables) == (
        "base best currency inner lang lines[0].x most name nick odd order.items order.total other plan texts vip"
    )


@pytest.mark.parametrize(
    ("source", "context", "missing"),
    [
        ("{{ a }} {{ b.c }}", {"b": {}}, ["a", "b.c"]),
        ("{{ a }}", {"a": None}, ["a"]),
        ("{{ a.b }}", {"a": {"b": None}}, ["a.b"]),
        ("{{ a | upcase }}", {"a": None}, ["a"]),
        ("{{ a | default: 'x' }}{% if a %}{{ a }}{% endif %}", {"a": None}, []),
        ("{% for x in list %}{{ x }}{% endfor %}", {"list": ["p", None]}, []),
        ("{% for x in list %}{{ x.n }}{% endfor %}", {"list": [{"n": None}]}, ["x.n"]),
        ("{% assign x = a %}{{ x }}", {"a": None}, ["a"]),
        ("{% assign x = nil %}{{ x }}", {}, []),
        ("{{ a | default: 'x' }}{{ b | strip | default: 'y' }}", {}, []),
        ("{{ a | default: b }}", {}, ["b"]),
        ("{{ a | default: b }}", {"a": 1}, []),
        ("{% if a %}{{ a }}{% endif %}{% unless b %}{% endunless %}{% if c == 1 %}{% endif %}", {}, []),
        ("{% if a and b %}{{ a }}{{ b }}{{ b.c }}{% endif %}", {"a": 1, "b": {}}, ["b.c"]),
        ("{% if a %}{{ b }}{% endif %}", {}, []),
        ("{% if a %}{{ b }}{% endif %}", {"a": True}, ["b"]),
        ("{% if a %}{% else %}{{ a }}{% endif %}", {}, ["a"]),
        ("{% for x in list %}{{ x.n }}{{ sep }}{% endfor %}", {"list": []}, []),
        ("{% for x in list %}{{ x.n }}{{ sep }}{% endfor %}", {"list": [{"n": 1}]}, ["sep"]),
        ("{% for x in list %}{% endfor %}", {}, ["list"]),
        ("{% for x in (1..n) %}{% endfor %}", {}, ["n"]),
        ("{% case a %}{% when 1 %}{{ b }}{% endcase %}", {}, []),
        ("{% assign x = a %}{% if x %}{{ x }}{% endif %}", {}, []),
        ("{% assign x = a %}{{ x }}", {}, ["a"]),
        ("{{ 'a' | append: b }}", {}, ["b"]),
        ("{{ texts[lang] }}", {"texts": {"en": "hi"}, "lang": "de"}, ["texts.de"]),
        ("{{ texts[lang] }}", {"texts": {"en": "hi"}, "lang": "en"}, []),
        ("{{ texts[lang] }}{{ texts[lang] | default: 'x' }}", {"texts": {}}, ["texts[lang]"]),
        ("{% if (1..n) contains 1 %}{% endif %}{{ (1..n) | default: 1 }}", {}, ["n"]),
        ("{% for x in list %}{{ x.n }}{% endfor %}", {"list": [{"n": 1}, {}]}, ["x.n"]),
        ("{% for x in list %}{{ x.n | default: 0 }}{% endfor %}", {"list": [{}]}, []),
        ("{% assign o = order %}{{ o.id }}", {"order": {}}, ["o.id"]),
        ("{% if a %}{% assign x = 1 %}{% endif %}{{ x }}", {}, ["x"]),
        ("{% cycle a, 'b' %}", {}, ["a"]),
        (
            "{{ list.size }}{{ list.first }}{{ list[0] }}{{ list[-1] }}{{ map.first }}",
            {"list": [1], "map": {"a": 1}},
            [],
        ),
        (
            "{{ list[7] }}{{ word[0] }}{{ word.first }}",
            {"list": [1], "word": "abc"},
            ["list[7]", "word.first", "word[0]"],
        ),
    ],
)
def test_missing_is_what_the_render_would_fail_for(source, context, missing):
    compiled = compile(source, html=False, field="body")
    assert compiled.missing(context) == missing
    assert list(compiled.preview(context).missing) == missing
    if missing:
        with pytest.raises(RenderFailed) as caught:
            compiled.render(context)
        assert caught.value.code == "missing_variable"
    else:
        compiled.render(context)


def test_what_is_missing_is_told_although_the_render_fails_for_another_reason_too():
    compiled = compile("{% if a %}{{ b }}{{ 1 | divided_by: 0 }}{% endif %}", html=False, field="body")
    assert compiled.missing({"a": 1}) == ["b"]


def test_a_preview_leaves_blanks_and_names_them():
    preview = compile("Hi {{ name | upcase }}, {{ order.id }}!", html=True, field="body").preview({"order": {"id": 7}})
    assert (preview.text, preview.missing) == ("Hi , 7!", ("name",))


def test_the_context_is_the_data_over_name_and_address():
    assert context_of({"a": 1}, "Bo", "bo@example.com") == {"a": 1, "name": "Bo", "to": "bo@example.com"}
    assert context_of({"name": "Ann", "to": "you"}, "Bo", "bo@example.com") == {"name": "Ann", "to": "you"}
    assert context_of({}, "", None) == {}


def test_a_subject_is_one_line_of_bounded_length():
    compiled = compile(" {{ a }}\r\nBcc: x@example.com ", html=False, field="subject")
    assert render_subject(compiled, {"a": "Hi\r\n\tyou\u2028\x85\x1bnow"}) == "Hi you now Bcc: x@example.com"
    long = compile("{{ a }}", html=False, field="subject")
    assert len(render_subject(long, {"a": "é" * SUBJECT_LENGTH})) == SUBJECT_LENGTH
    with pytest.raises(RenderFailed, match="at most 998"):
        render_subject(long, {"a": "é" * (SUBJECT_LENGTH + 1)})
    assert render_subject(compile("a\nb", html=False, field="subject"), {}) == "a b"


def test_dates_come_from_iso_from_seconds_and_from_the_moment_of_sending():
    compiled = compile(
        "{{ iso | date: '%-d %B %Y %H:%M' }}|{{ seconds | date: '%Y' }}|{{ 'now' | date }}|{{ odd | date: '%Y' }}|"
        "{{ nil | date }}",
        html=False,
        field="body",
    )
    context = {"iso": "2026-05-01T10:30:00+02:00", "seconds": 0, "odd": "soon"}
    assert compiled.render(context, now=datetime(2030, 1, 2, tzinfo=UTC)) == "1 May 2026 10:30|1970|2030-01-02|soon|"


def test_a_failure_tells_the_place_and_none_of_the_data():
    with pytest.raises(RenderFailed) as caught:
        text("a\n{{ secret | divided_by: zero }}", secret="4711 hunter2", zero=0)
    assert caught.value.code == "render_error"
    assert "line 2" in caught.value.detail
    assert "hunter2" not in caught.value.detail
    assert "\n" not in caught.value.detail


def test_a_template_is_compiled_once_and_shared_by_threads():
    source = (
        "{% assign x = n | times: 2 %}{% for i in (1..20) %}{% cycle 'a', 'b' %}{% endfor %}{{ x }}{% increment c %}"
    )
    assert compile(source, html=False, field="body") is compile(source, html=False, field="text")
    assert compile(source, html=True, field="body") is not compile(source, html=False, field="body")

    def render(number: int) -> str:
        return compile(source, html=False, field="body").render({"n": number})

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(render, range(400))) == [f"{'ab' * 10}{2 * number}0" for number in range(400)]


def test_more_templates_than_are_kept_still_render():
    for number in range(1200):
        assert text(f"{number} {{{{ a }}}}", a="x") == f"{number} x"


class TestPlainTemplates:
    """Templates that only put values into a text are joined without the engine; nobody can tell by what they give."""

    SOURCES = [
        "{{ a }}",
        "Hi {{ a }}, {{ b.c }}!",
        "{{ b['c'] }}{{ b.d[0] }}",
        "{{- a -}} x",
        "{{ b.d.first }}{{ a.size }}",
    ]
    VALUES = [
        "Ann",
        "",
        "<b>&\"'",
        "Jörg \u2028 \U0001f600",
        "a\r\nb",
        0,
        -5,
        10**17,
        10**18,
        10**30,
        1.5,
        True,
        None,
        [],
        ["x", 1],
        {},
        {"x": 1},
        "nul \x00",
        "\ud800",
        object(),
    ]

    @pytest.mark.parametrize("html", [True, False])
    @pytest.mark.parametrize("source", SOURCES)
    def test_they_give_what_the_engine_gives(self, source: str, html: bool) -> None:
        plain = compile(source, html=html, field="text")
        engine = compile(f"{source}{{% if never %}}{{% endif %}}", html=html, field="text")

        def outcome(compiled: Compiled, context: dict[str, Any]) -> Any:
            try:
                return compiled.render(context), compiled.preview(context), compiled.missing(context)
            except RenderFailed as error:
                return error.code, error.detail, compiled.missing(context)

        for value in self.VALUES:
            for context in ({"a": value}, {"a": value, "b": value}, {"a": value, "b": {"c": value, "d": [value]}}):
                assert outcome(plain, context) == outcome(engine, context), (source, value)


@given(st.lists(st.sampled_from(["{", "}", "%", "{{", "}}", "{%", "%}", "-", " ", "endraw", "raw", "n", "ä", "\n"])))
@example(["{% endraw %}"])
@example(["{%- endraw -%}", "{% raw %}", "{{ n }}"])
@example(["{", "{% endraw %}"])
def test_a_literal_text_is_given_as_it_is(pieces):
    text = "".join(pieces)
    assert compile(literal(text), html=True, field="body").render({"n": 3}) == text
