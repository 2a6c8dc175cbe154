"""Whether a text is in a language that the English classifier can read. A rough guess, on the careful side."""

import unicodedata
from collections.abc import Sequence

MOST_FOREIGN_LETTERS = 0.34  # of a text's letters outside the Latin script
_ENGLISH_WORDS = (
    "a an the of in on at to and with from by for is are as it its that this through over under into his her their "
    "while near behind across like make how shot video scene"
)
_ENGLISH = frozenset(_ENGLISH_WORDS.split())
_OTHERS = {
    "Spanish": "el la los las una un de con que en por del y se su al como para sobre está unos",
    "French": "le la les une un des du de dans avec et sur qui au aux est en sous par comment il elle",
    "German": "der das ein eine einen einem mit und auf im von den dem ist nach zum wie sich über am",
    "Portuguese": "um uma com em na de da os que por para ao como e sobre numa",
    "Italian": "il lo la un una con di che nel nella su del della e gli sopra da",
    "Dutch": "de het een en op naar bij aan uit zijn",
    "Polish": "w na z się jest nad po przez jak",
    "Turkish": "bir ve ile bu için da de nasıl",
    "Indonesian": "di yang dan dengan sebuah seorang ke dari pada untuk cara",
    "Swedish": "en ett och på med som av till den det är",
}
_OTHER_WORDS = {name: frozenset(words.split()) - _ENGLISH for name, words in _OTHERS.items()}
LEAST_WORDS = 2


def foreign(plain: str, words: Sequence[str]) -> str:
    """What a text seems to be written in when it is not English: a language, "another script", or ""."""
    letters = [c for c in plain if c.isalpha()]
    if not letters:
        return ""
    outside = sum(not unicodedata.name(c, "").startswith("LATIN") for c in letters)
    if outside / len(letters) > MOST_FOREIGN_LETTERS:
        return "another script"
    english = sum(word in _ENGLISH for word in words)
    name, kinds = max(
        ((name, len(known & set(words))) for name, known in _OTHER_WORDS.items()), key=lambda pair: pair[1]
    )
    return name if kinds >= LEAST_WORDS and kinds > english else ""
