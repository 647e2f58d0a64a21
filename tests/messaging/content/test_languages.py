"""Languages have one spelling each, and fall back from the special to the general."""

from __future__ import annotations

import pytest

from messaging.content import languages


@pytest.mark.parametrize(
    ("given", "spelled"),
    [
        ("en", "en"),
        ("EN", "en"),
        ("pt_br", "pt-BR"),
        ("PT-br", "pt-BR"),
        ("pt_BR.UTF-8", "pt-BR"),
        ("ca_ES@valencia", "ca-ES"),
        ("zh-hant-tw", "zh-Hant-TW"),
        ("es-419", "es-419"),
        ("sl-rozaj-BISKE", "sl-rozaj-biske"),
        ("en-u-CA-gregory", "en-u-ca-gregory"),
        ("fil", "fil"),
        (" de ", "de"),
    ],
)
def test_a_tag_has_one_spelling(given: str, spelled: str) -> None:
    assert languages.canonical(given) == spelled
    assert languages.canonical(spelled) == spelled


@pytest.mark.parametrize(
    "given", ["", "C", "e", "e n", "en-", "-en", "en--US", "ën", "en\n", "123", "en-toolongpart", "x" * 9, "a-" * 20]
)
def test_what_is_no_tag_is_told_apart(given: str) -> None:
    assert languages.canonical(given) == (None if given != "en\n" else "en")
    assert languages.chain(given) == ([] if given != "en\n" else ["en"])


@pytest.mark.parametrize(
    ("given", "chain"),
    [
        ("en", ["en"]),
        ("pt-BR", ["pt-BR", "pt"]),
        ("zh_hant_TW", ["zh-Hant-TW", "zh-Hant", "zh"]),
        ("de-DE-u-co-phonebk", ["de-DE-u-co-phonebk", "de-DE-u-co", "de-DE", "de"]),
    ],
)
def test_a_language_falls_back_part_by_part(given: str, chain: list[str]) -> None:
    assert languages.chain(given) == chain
