"""Labels become names that people say. Well under a second."""

import pytest

from hibari.worlds.naming import bare, is_plural, name_of, with_article


@pytest.mark.parametrize(
    ("label", "phrase"),
    [
        ("octopus", "an octopus"),
        ("lady beetle", "a ladybug"),
        ("unicorn", "a unicorn"),
        ("hourglass done", "an hourglass"),
        ("umbrella", "an umbrella"),
        ("grapes", "grapes"),
        ("Santa Claus: medium skin tone", "Santa Claus with medium skin tone"),
        ("woman: dark skin tone, red hair", "a woman with dark skin tone and red hair"),
        ("man: light skin tone, bald", "a bald man with light skin tone"),
        ("person: light skin tone, beard", "a person with light skin tone and a beard"),
        ("man feeding baby", "a man feeding a baby"),
        ("family: man, woman, girl, boy", "a family of a man, a woman, a girl and a boy"),
        ("kiss: woman, woman", "two women kissing"),
        ("kiss: woman, man", "a woman and a man kissing"),
        ("couple with heart: man, man, dark skin tone", "two men with a heart between them with dark skin tone"),
        ("flag: Japan", "the flag of Japan"),
        ("five o’clock", "a clock showing five o'clock"),
        ("woman in motorized wheelchair: facing right", "a woman in a motorized wheelchair facing right"),
    ],
)
def test_names(label: str, phrase: str) -> None:
    assert with_article(name_of(label)) == phrase


def test_number() -> None:
    assert is_plural("grapes") and is_plural("two women kissing") and is_plural("people holding hands")
    assert not is_plural("octopus") and not is_plural("cactus") and not is_plural("bus")


def test_adjectives_choose_the_article() -> None:
    assert with_article("orange octopus", "octopus") == "an orange octopus"
    assert with_article("big octopus", "octopus") == "a big octopus"


def test_keywords() -> None:
    assert bare("over the blue ocean") == "blue ocean"
    assert bare("at sunset") == "at sunset"
    assert bare("an octopus") == "octopus"
