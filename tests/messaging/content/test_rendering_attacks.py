"""Templates and data made to hurt: each must end at once in one of our two errors, or do no harm."""

from __future__ import annotations

import pytest

from messaging.content.rendering import RenderFailed, TemplateRefused, compile


def refused(source: str) -> str:
    with pytest.raises(TemplateRefused) as caught:
        compile(source, html=True, field="body")
    return caught.value.code


def failed(source: str, **context: object) -> str:
    with pytest.raises(RenderFailed) as caught:
        compile(source, html=False, field="body").render(context)
    return caught.value.code


@pytest.mark.parametrize(
    "source",
    [
        "{{" * 16_000,
        "{{" * 250_000,
        "{%" * 16_000,
        "{{ a }" * 16_000,
        "{{" + " " * 60_000 + "}}",
        "{% if a" + " " * 60_000 + "%}{% endif %}",
        "{{ a" + " " * 500_000,
        "{% raw %}" * 50_000,
        "{% comment %}" * 40_000,
        "{% comment " * 40_000,
        "{% comment %}" + "{% " * 100_000,
        "{% raw %}" + "{%   " * 100_000,
        "{{ " + "(" * 1_900 + " }}",
        "{{ a" + "[a" * 900 + " }}",
        "{{ " + '["a' * 15 + " }}",
        "{{ '" + '"' * 1_900 + " }}",
        "{% if a %}" * 4_000,
        "{% if a %}" * 30 + "{% endif %}" * 30,
        "{{ a }}" * 20_000,
        "{{ a | " + "x" * 3_000 + " }}",
    ],
)
def test_sources_that_are_slow_to_parse_are_refused(source):
    assert refused(source)


def test_a_long_chain_of_tests_is_parsed_or_refused():
    assert compile("{% if " + " or ".join(["a"] * 390) + " %}x{% endif %}", html=False, field="body").render({}) == ""


@pytest.mark.parametrize(
    "source",
    [
        "{{ (1..100000000) | join: ',' }}",
        "{{ (1..100000000) | size }}",
        "{{ (1..n) | reverse }}",
        "{{ (1..1001) }}",
        "{% for i in (1..100000000) %}x{% endfor %}",
        "{% for i in (1..100000000) reversed %}x{% endfor %}",
        "{% for i in (1..100000000000) offset: 99999999999 %}x{% endfor %}",
        "{% for i in (1..n) limit: 1 %}x{% endfor %}",
        "{% if (1..1000000000000) contains 'x' %}x{% endif %}",
        "{% unless (1..1000000000000) contains 1.5 %}x{% endunless %}",
        "{% assign r = (1..n) %}{% if r contains 'x' %}x{% endif %}",
        "{% case 1 %}{% when (1..n) %}{% endcase %}",
        "{% cycle (1..n), 'a' %}",
        "{{ list | concat: (1..n) }}",
        "{% assign x = a | default: (1..n) %}",
        "{{ list[lines[0]] | default: (1..n) }}",
    ],
)
def test_no_range_is_longer_than_its_bound_wherever_it_stands(source):
    assert failed(source, n=10**15, list=[1], lines=[0], a=None) == "limit_exceeded"


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in (1..1000) %}{% for j in (1..1000) %}{% endfor %}{% endfor %}",
        "{% for i in (1..1000) %}{% endfor %}" * 100,
        "{% for i in (1..1000) %}{% break %}{% endfor %}" * 100,
        "{% for i in many %}{% for j in many %}{% endfor %}{% endfor %}",
        "{% for i in (1..1000) %}" + "{% assign a = 1 %}" * 2_000 + "{% endfor %}",
        "{% for i in (1..1000) %}" + "{{ 1 }}" * 2_000 + "{% endfor %}",
        "{% case 1 %}{% when 1,1,1,1,1,1,1,1,1,1 %}" * 19 + "{% endcase %}" * 19,
        "{% for i in (1..1000) %}{% capture z %}{{ big }}{% endcapture %}{% endfor %}",
        "{% for i in (1..1000) %}{{ big }}{% endfor %}",
        "{% for i in (1..1000) %}{{ big | escape | size }}{% endfor %}",
        "".join(f"{{% assign a{number} = 1 %}}" for number in range(2_000)),
        "".join(f"{{% assign a{number} = big %}}" for number in range(20)),
        "{% assign a = 'xxxxxxxxxx' %}" + "{% assign a = a | append: a %}" * 40,
        "{% capture a %}xxxxxxxxxx{% endcapture %}" + "{% capture a %}{{ a }}{{ a }}{% endcapture %}" * 40,
        "{% assign a = many %}" + "{% assign a = a | concat: a %}" * 40,
        "{{ big" + " | upcase" * 200 + " }}",
        "{{ big | replace: 'a', big }}",
        "{{ big | replace: '', big }}",
        "{{ big | split: '' | size }}",
        "{{ big | prepend: big | append: big | append: big }}",
        "{{ many | join: big }}",
        "{{ 'a,b,c,d,e' | split: ',' | join: big }}",
        "{{ amps | escape | escape }}",
        "{{ 999999999 | times: 999999999 | times: 999999999 }}",
        "{{ 1000000000000000000 | plus: 1 }}",
        "{{ " + "9" * 1_000 + " | plus: 1 }}",
        "{{ huge | times: 2 }}",
        "{{ long | sort }}",
        "{{ 'a' | append: huge }}",
        "{{ list | concat: long }}",
    ],
)
def test_what_grows_without_end_is_cut(source):
    context = {
        "big": "a" * 100_000,
        "amps": "&" * 50_000,
        "many": [f"x{number}" for number in range(900)],
        "long": [0] * 5_001,
        "huge": 10**30,
        "list": [1],
    }
    assert failed(source, **context) == "limit_exceeded"


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'now' | date: '%1000000000d' }}",
        "{{ 'now' | date: pattern }}",
        "{{ 'now' | date: '%' }}",
        "{{ 'AA==' | base64_decode }}",
        "{{ '%00' | url_decode }}",
        "{{ 1 | divided_by: 0 }}",
        "{{ '1e999999' | ceil }}",
        "{{ 'sNaN' | sum }}",
        "{{ list | sort }}",
        "{{ 'x' | slice: 'a' }}",
        "{{ 'x' | truncate: list }}",
        "{{ 'x' | upcase: 1, 2, 3 }}",
        "{{ 'abc' | base64_decode }}",
        "{% if list > 1 %}{% endif %}",
    ],
)
def test_filters_given_nonsense_fail_in_our_own_words(source):
    assert failed(source, pattern="%Y" * 200, list=[1, "a", {}]) == "render_error"


def test_tags_are_stripped_from_text_in_one_pass():
    compiled = compile("{{ a | strip_html }}", html=False, field="body")
    assert compiled.render({"a": "<p>a<!-- <b> --> &amp; <script>x</script >b</p> 1 < 2<br/"}) == "a &amp; b 1 < 2"
    for piece in ("<script", "<!--", "<a ", "<", "</script", "<style>", "<!"):
        compiled.render({"a": piece * 30_000})


@pytest.mark.parametrize(
    "path",
    [
        "__class__",
        "__class__.__mro__",
        "['__class__']",
        "['__init__']['__globals__']",
        "items",
        "keys",
        "format",
        "__liquid__",
        "__html__",
        "__getitem__",
        "force_liquid_default",
    ],
)
@pytest.mark.parametrize("root", ["text", "list", "map", "forloop", "number", "absent"])
def test_no_attribute_of_a_value_is_within_reach(root, path):
    joined = f"{root}{path}" if path.startswith("[") else f"{root}.{path}"
    source = f"{{% for i in list %}}{{{{ {joined} }}}}{{% endfor %}}"
    assert failed(source, text="x", list=[1], map={"a": 1}, number=1) == "missing_variable"
    preview = compile(source, html=False, field="body").preview(
        {"text": "x", "list": [1], "map": {"a": 1}, "number": 1}
    )
    assert preview.text == ""


class Trap:
    """Stands for anything that is not JSON; nothing of it may be called."""

    def _spring(self, *_: object) -> str:
        raise AssertionError("a value of the data was executed")

    __str__ = __html__ = __liquid__ = __call__ = __len__ = __iter__ = __getitem__ = __eq__ = _spring
    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("value", [Trap(), [Trap()], {"b": {"c": [Trap()]}}, len, {1, 2}, b"x", (1, 2)])
def test_data_that_is_not_json_is_refused_before_anything_of_it_runs(value):
    assert failed("{{ a }}{{ b | upcase }}", a=value) == "unusable_data"


def test_too_much_data_is_refused():
    assert failed("{{ a }}", a="x" * 1_000_001) == "limit_exceeded"
    assert failed("{{ a }}", a=[[0] * 1_000] * 2_000) == "limit_exceeded"


def test_files_and_other_templates_are_out_of_reach():
    for name in (
        "include",
        "render",
        "extends",
        "layout",
        "block",
        "import",
        "from",
        "macro",
        "call",
        "with",
        "snippet",
    ):
        assert refused(f"{{% {name} '/etc/passwd' %}}") == "unknown_tag"


def test_deeply_nested_data_does_no_harm():
    nested: object = "x"
    for _ in range(50_000):
        nested = [nested]
    compiled = compile("{{ a }}{{ a | join: '' }}{{ a | size }}", html=True, field="body")
    with pytest.raises(RenderFailed) as caught:
        compiled.render({"a": nested})
    assert caught.value.code == "render_error"
    while isinstance(nested, list):
        nested = nested.pop()
