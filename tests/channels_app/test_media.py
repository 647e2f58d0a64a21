"""What kind of file media are, where nobody says."""

from __future__ import annotations

import pytest

from channels_app.types import Media, MediaKind


@pytest.mark.parametrize(
    ("url", "filename", "kind"),
    [
        ("https://a.example/b.png", "", MediaKind.IMAGE),
        ("https://a.example/b.JPG?size=1#top", "", MediaKind.IMAGE),
        ("https://a.example/b.mp4", "", MediaKind.VIDEO),
        ("https://a.example/b.mp3", "", MediaKind.AUDIO),
        ("https://a.example/b.pdf", "", MediaKind.DOCUMENT),
        ("https://a.example/b.txt", "", MediaKind.DOCUMENT),
        ("https://a.example/", "", MediaKind.DOCUMENT),
        ("https://a.example/7", "b.png", MediaKind.IMAGE),
        ("https://a.example/b.png", "b.pdf", MediaKind.DOCUMENT),
    ],
)
def test_the_ending_of_the_name_or_else_of_the_url_tells_the_kind(url: str, filename: str, kind: MediaKind) -> None:
    assert Media(url=url, filename=filename).kind is kind


def test_the_type_that_was_given_wins_over_the_ending() -> None:
    assert Media(url="https://a.example/b.png", type=MediaKind.DOCUMENT).kind is MediaKind.DOCUMENT


def test_what_was_not_said_is_not_given() -> None:
    assert Media(url="https://a.example/b").given() == {"url": "https://a.example/b"}
