"""Captions: varied English for what a scene shows, and nothing that it does not show.

A caption is put together from the tables in words.py: noun phrases, verb phrases in one of three forms, a place, and at
times the camera and the weather. Its length, order and form are drawn from the generator that is handed in.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hibari.worlds import naming, words
from hibari.worlds.portraits import portray
from hibari.worlds.scene import Labels

DOUBLED = {"hop", "pop", "get", "stop", "spin", "swim", "bob", "drop"}


@dataclass(frozen=True, kw_only=True)
class Glimpse:
    """What a caption may say of one thing beyond its labels; empty words say nothing.

    `detail` is the way it goes or turns, `size` and `pace` an adjective and an adverb that fit, `spot` where it is.
    """

    detail: str = ""
    size: str = ""
    pace: str = ""
    spot: str = ""


def conjugate(phrase: str, form: str) -> str:
    """A starred verb phrase in a form: "third" (it drifts), "plural" (they drift) or "ing" (drifting)."""
    return re.sub(r"\*(\w+)", lambda match: _inflect(match[1], form), phrase)


def _inflect(verb: str, form: str) -> str:
    if form == "plural":
        return verb
    if form == "third":
        return verb + ("es" if verb.endswith(("s", "sh", "ch", "x", "o")) else "s")
    if verb in DOUBLED:
        return f"{verb}{verb[-1]}ing"
    return f"{verb[:-1] if verb.endswith('e') else verb}ing"


class Captioner:
    """Writes the caption of one scene with a generator of its own."""

    def __init__(
        self,
        rng: np.random.Generator,
        labels: Labels,
        glimpses: Sequence[Glimpse],
        tells: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """`tells`: how often the gender and how often the tone is said of a thing that has one."""
        self.rng = rng
        self.labels = labels
        self.glimpses = glimpses
        self.tells = tells

    def moving(self) -> str:
        """The caption of a clip."""
        number = len(self.labels.objects)
        if self.labels.layout == "collision":
            text = self._together()
        else:
            text = self._one() if number == 1 else self._several()
        return self._dress(text)

    def picture(self) -> str:
        """The caption of a single frame, which shows no motion."""
        things = _list([self._noun(index, sized=True) for index in range(len(self.labels.objects))])
        if len(self.labels.objects) == 2 and self._chance(0.5):
            things = self._related("{first} {relation} {second}", ("", ""))
        place = self._place()
        form = self._pick(("{things} {place}", "{things} {place}", "{place}, {things}", "{opener} {things} {place}"))
        return self._dress(form.format(things=things, place=place, opener=self._pick(words.STILL_OPENERS)))

    def _one(self) -> str:
        noun, place, phrase = self._noun(0), self._place(), self._phrase(0)
        third, ing = conjugate(phrase, self._number(0)), conjugate(phrase, "ing")
        be = "are" if self._number(0) == "plural" else "is"
        forms = (
            (f"{noun} {third} {place}", 26),
            (f"{place}, {noun} {third}", 16),
            (f"{noun} {be} {ing} {place}", 12),
            (f"{place}, {noun} {be} {ing}", 6),
            (f"{noun} {ing} {place}", 12),
            (f"{self._pick(words.OPENERS)} {noun} {ing} {place}", 7),
            (f"{noun} {place}, {ing}", 7),
            (f"there {be} {noun} {ing} {place}", 4),
            (f"{place}, there {be} {noun} {ing}", 2),
            (f"{self._keyword(noun)} {ing}, {naming.bare(place)}", 8),
        )
        texts, weights = zip(*forms, strict=True)
        return str(self.rng.choice(texts, p=np.array(weights) / sum(weights)))

    def _several(self) -> str:
        number = len(self.labels.objects)
        verbs = [conjugate(self._phrase(index), self._number(index)) for index in range(number)]
        clauses = [f"{self._noun(index)} {verb}" for index, verb in enumerate(verbs)]
        place = self._place()
        if number == 2 and self._chance(0.45):
            return self._related(
                self._pick(
                    (
                        f"{{first}} {{verb}} {{relation}} {{second}}, {{which}} {{other}} {place}",
                        f"{place}, {{first}} {{relation}} {{second}}: the first {{verb}}, the second {{other}}",
                        f"{place}, {{first}} {{verb}} {{relation}} {{second}}, {{which}} {{other}}",
                    )
                ),
                (verbs[0], verbs[1]),
            )
        if number == 2 and self._chance(0.3):
            return f"{clauses[0]} while {clauses[1]} {place}"
        if number == 2 and self._chance(0.3):
            sides = (
                ("on the left", "on the right") if self.labels.layout == "beside" else ("at the top", "at the bottom")
            )
            return f"{place}, {clauses[0]} {sides[0]} and {clauses[1]} {sides[1]}"
        return f"{place}, {_list(clauses)}" if self._chance(0.4) else f"{_list(clauses)} {place}"

    def _together(self) -> str:
        nouns = _list([self._noun(index) for index in range(len(self.labels.objects))])
        phrase, place = self._pick(words.VERBS["collides"]), self._place()
        plain, ing = conjugate(phrase, "plural"), conjugate(phrase, "ing")
        return self._pick(
            (
                f"{nouns} {plain} {place}",
                f"{place}, {nouns} {plain}",
                f"{nouns} {ing} {place}",
                f"{self._pick(words.OPENERS)} {nouns} {ing} {place}",
            )
        )

    def _related(self, form: str, verbs: tuple[str, str]) -> str:
        """A form filled from either end: "a crab ... left of a fox ..." or "a fox ... right of a crab ..."."""
        order, table = ((0, 1), words.RELATIONS) if self._chance(0.5) else ((1, 0), words.RELATIONS_BACK)
        second = self.labels.look(order[1])
        return form.format(
            which="who" if second and second.gender else "which",
            first=self._noun(order[0]),
            second=self._noun(order[1]),
            verb=verbs[order[0]],
            other=verbs[order[1]],
            relation=self._pick(table[self.labels.layout]),
        )

    def _noun(self, index: int, *, sized: bool = False) -> str:
        """A noun phrase with its article, and now and then an adjective."""
        name, glimpse = self.labels.objects[index], self.glimpses[index]
        noun = self._pick(words.SYNONYMS[name]) if name in words.SYNONYMS and self._chance(0.2) else name
        look = self.labels.look(index)
        if look is not None:
            gender, tone = (self._chance(share) for share in self.tells)
            noun = portray(self.rng, noun, look, gender=gender, tone=tone)
        draw = self.rng.random()
        if draw < 0.12 and name in words.COLOURS and noun == name:
            noun = f"{words.COLOURS[name]} {noun}"
        elif draw > (0.75 if sized else 0.88) and glimpse.size and " " not in noun:
            noun = f"{glimpse.size} {noun}"
        return naming.with_article(noun, name)

    def _keyword(self, noun: str) -> str:
        """The first thing in keywords: its bare name, or what was said of its look."""
        name = self.labels.objects[0]
        if self.labels.look(0) is None:
            return naming.bare(name)
        return noun if naming.is_plural(name) else re.sub(r"^an? ", "", noun)

    def _number(self, index: int) -> str:
        return "plural" if naming.is_plural(self.labels.objects[index]) else "third"

    def _phrase(self, index: int) -> str:
        """The starred verb phrase of one thing."""
        motion, glimpse = self.labels.motions[index], self.glimpses[index]
        phrase = self._pick(words.VERBS[motion])
        if "{way}" in phrase:
            phrase = phrase.replace("{way}", self._pick(words.WAYS[glimpse.detail]))
        if "{prop}" in phrase:
            phrase = phrase.replace("{prop}", naming.with_article(self.labels.props[0]))
        if glimpse.detail in words.TURNS and self._chance(0.3):
            phrase += words.TURNS[glimpse.detail]
        if glimpse.pace and self._chance(0.3) and "," not in phrase:
            phrase = f"{glimpse.pace} {phrase}" if self._chance(0.5) else f"{phrase} {glimpse.pace}"
        if glimpse.spot and self._chance(0.25):
            phrase += f" {glimpse.spot}"
        return phrase

    def _place(self) -> str:
        """Where it is, and now and then in what weather."""
        name, weather = self.labels.background, self.labels.weather
        if name.startswith("plain "):
            colour = name.removeprefix("plain ")
            return self._pick(words.PLAIN_PLACES).format(colour=colour, a_colour=naming.with_article(colour))
        place = self._pick(words.PLACES[name])
        if weather == "clear":
            return place
        table = words.NIGHTLY_WEATHERS if "night" in name and weather in words.NIGHTLY_WEATHERS else words.WEATHERS
        return f"{place} {self._pick(table[weather])}"

    def _dress(self, text: str) -> str:
        """Add the camera, and at times a capital letter and a full stop."""
        if self.labels.camera != "still":
            camera = self._pick(words.CAMERAS[self.labels.camera])
            text = self._pick(
                (f"{text} as {camera}", f"{text}, {camera}", f"{camera}: {text}", f"{text} while {camera}")
            )
        return f"{text[0].upper()}{text[1:]}." if self._chance(0.3) else text

    def _pick(self, options: Sequence[str]) -> str:
        return options[int(self.rng.integers(len(options)))]

    def _chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)


def _list(parts: Sequence[str]) -> str:
    """ "a", "a and b", or "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
