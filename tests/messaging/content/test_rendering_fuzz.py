"""Random templates over random data: whatever comes, it is refused, or it fails, or it renders."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from messaging.content.liquid.filters import NAMES
from messaging.content.rendering import Compiled, RenderFailed, TemplateRefused, compile, render_subject

PIECES = """
{{
}}
{%
%}
{{-
-%}
{{ a }}
{{ b.c[0] | upcase }}
{% if a %}
{% elsif b %}
{% else %}
{% endif %}
{% unless a %}
{% endunless %}
{% for x in b %}
{% for x in (1..n) reversed %}
{% for x in m limit: n offset: continue %}
{{ x }}
{% endfor %}
{% break %}
{% case a %}
{% when 1, 'a' or b %}
{% endcase %}
{% assign y = a | split: 'a' %}
{{ y | join: a }}
{% capture z %}
{% endcapture %}
{{ z | append: z | replace: 'a', z }}
{%- raw -%}
{% endraw %}
{% comment %}
{% endcomment %}
{% # note %}
{% cycle a, b %}
{% increment a %}
{% decrement q %}
{% echo a | default: b %}
{{ forloop.parentloop.index }}
{{ m | map: 'k' | sort | uniq | first }}
{{ n | times: n | date: a }}
{{ nothing | default: a, allow_false: true }}
 | upcase
 and a
 contains
'
"
(
)
[
..
99999999999999999999
é
""".strip("\n").splitlines()
SHREDS = st.lists(st.sampled_from([*PIECES, "\n", "\u2028"]), max_size=25).map("".join)
VALUE_PARTS = st.sampled_from(
    ["a", "b", "b.c", "b[0]", "m[a]", "m[n].c", "m.first", "n", "x", "x.k", "y", "1", "'a,b'", "(1..n)", "forloop.last"]
)
FILTER_PARTS = st.builds(
    " | {}{}".format,
    st.sampled_from(sorted(NAMES)),
    st.sampled_from(["", ": a", ": 'a'", ": n", ": 1, 2", ": 'k', a", ": b, 'x'"]),
)
EXPRESSIONS = st.builds("{}{}".format, VALUE_PARTS, st.lists(FILTER_PARTS, max_size=3).map("".join))
TESTS = st.sampled_from(
    ["a", "a == b", "n > 1", "m contains a", "b and x or n", "a != nil", "b == empty", "(1..n) contains a"]
)
LOOPS = st.sampled_from(["b", "m", "(1..n)", "b reversed", "m limit: n", "b offset: continue", "a", "x.k"])
WELL_FORMED = st.recursive(
    EXPRESSIONS.map("{{{{ {} }}}}".format)
    | EXPRESSIONS.map("{{% assign y = {} %}}".format)
    | st.sampled_from(["é ", "\n"]),
    lambda inner: (
        st.builds("{}{}".format, inner, inner)
        | st.builds("{{% if {} %}}{}{{% else %}}{}{{% endif %}}".format, TESTS, inner, inner)
        | st.builds("{{% for x in {} %}}{}{{% break %}}{{% endfor %}}".format, LOOPS, inner)
        | st.builds("{{% for x in {} %}}{}{{% else %}}{}{{% endfor %}}".format, LOOPS, inner, inner)
        | st.builds("{{% capture z %}}{}{{% endcapture %}}{{{{ z }}}}".format, inner)
        | st.builds("{{% case a %}}{{% when b, n %}}{}{{% else %}}{}{{% endcase %}}".format, inner, inner)
    ),
    max_leaves=12,
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(["1", "a", "<b>"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["c", "k", "size", "first"]), inner),
    max_leaves=12,
)
CONTEXTS = st.dictionaries(st.sampled_from(["a", "b", "m", "n", "x"]), VALUES)


def attempt(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except (RenderFailed, TemplateRefused) as ours:
        assert_one_line(ours)
        return ours


def assert_one_line(ours: RenderFailed | TemplateRefused) -> None:
    assert ours.code
    assert "\n" not in ours.detail
    if isinstance(ours, TemplateRefused):
        assert ours.line >= 1
        assert ours.column >= 1


def use(compiled: Compiled | TemplateRefused, context: dict[str, object]) -> None:
    if isinstance(compiled, TemplateRefused):
        return
    missing = compiled.missing(context)
    rendered = attempt(lambda: compiled.render(context))
    if isinstance(rendered, str):
        assert not missing
        assert "\0" not in rendered
        rendered.encode()
    else:
        assert missing or rendered.code != "missing_variable"
    subject = attempt(lambda: render_subject(compiled, context))
    assert isinstance(subject, RenderFailed) or not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", subject)


@settings(max_examples=400, deadline=None)
@given(source=SHREDS, context=CONTEXTS, html=st.booleans())
def test_shreds_of_templates_are_refused_or_fail_or_render(source, context, html):
    use(attempt(lambda: compile(source, html=html, field="body")), context)


@settings(max_examples=600, deadline=None)
@given(source=WELL_FORMED, context=CONTEXTS, html=st.booleans())
def test_well_formed_templates_fail_or_render_with_any_data(source, context, html):
    use(compile(source, html=html, field="body"), context)


@settings(max_examples=300, deadline=None)
@given(inside=st.text(max_size=60), context=CONTEXTS)
def test_any_text_at_all_may_stand_in_a_marker(inside, context):
    for pattern in ("{{§}}", "{%§%}", "{% if § %}{% endif %}", "{{ a | § }}", "{% for § %}{% endfor %}"):
        source = pattern.replace("§", inside)
        use(attempt(lambda text=source: compile(text, html=True, field="subject")), context)
