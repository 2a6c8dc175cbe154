"""The prompt screen: folded text, then rules, real people, the classifier and, where there is one, a guard model.

Every part adds findings; the policy alone decides. Text that no part can read is said to be unreadable, and what that
leads to is the policy's word too.
"""

from collections.abc import Sequence
from typing import Protocol

from hibari.safety.classifier import Embed, PromptClassifier
from hibari.safety.folding import Lexicon, fold
from hibari.safety.languages import foreign
from hibari.safety.people import People
from hibari.safety.policy import HARD, Finding, Policy, Verdict, strictest
from hibari.safety.rules import Rules

SEXUAL_ON_A_MINOR = 0.2  # of the classifier's sexual scores, above which a request on a minor's picture is refused


class TextGuard(Protocol):
    """A larger model that reads text; `guard.FolderGuard` is one."""

    reads_all_languages: bool

    def findings(self, text: str) -> list[Finding]:
        """What it says of a text; raises Refused where it cannot say."""


class PromptScreen:
    """Screens what people write. `embed` gives sentence vectors; see `classifier.sentence_vectors`."""

    def __init__(
        self,
        policy: Policy,
        embed: Embed,
        *,
        rules: Rules | None = None,
        people: People | None = None,
        classifier: PromptClassifier | None = None,
        guards: Sequence[TextGuard] = (),
    ) -> None:
        """Load every part that is not given; raises Refused where one is missing or altered."""
        self.policy = policy
        self._rules = rules or Rules.load()
        self._people = people or People.load()
        self._classifier = classifier or PromptClassifier.load(embed)
        self._guards = tuple(guards)
        known = self._rules.lexicon
        self._lexicon = Lexicon(words=known.words | self._people.words, innocent=known.innocent)

    def screen(self, text: str, age_band: str = "adult", *, minor_upload: bool = False) -> Verdict:
        """The verdict on a prompt. `minor_upload`: it is about an upload that shows a minor, and is judged as such."""
        return self.policy.decide("prompt", self.findings(text, minor_upload=minor_upload), age_band)

    def screen_request(
        self, prompt: str, negative: str = "", age_band: str = "adult", *, minor_upload: bool = False
    ) -> Verdict:
        """The stricter verdict of a prompt and its negative prompt, which may name what it keeps out."""
        verdicts = [self.screen(prompt, age_band, minor_upload=minor_upload)]
        if negative.strip():
            verdicts.append(self.policy.decide("prompt", self._negative(negative), age_band))
        return strictest(verdicts)

    def findings(self, text: str, *, minor_upload: bool = False) -> list[Finding]:
        """Everything that the parts say of a text."""
        if not text.strip():
            return []
        folded = fold(text, self._lexicon)
        found = self._rules.findings(folded, frozenset({"minor_upload"} if minor_upload else ()))
        found += self._people.findings(folded)
        found += self._classifier.findings(list(dict.fromkeys((folded.plain, folded.undone))))
        for guard in self._guards:
            found += guard.findings(text)
        language = foreign(folded.plain, folded.readings[0])
        if language and not any(guard.reads_all_languages for guard in self._guards):
            why = f"it seems to be in {language}, which only the rules can read"
            found.append(Finding(category="unreadable", score=1.0, by="language", why=why))
        return found + _on_a_minor(found) if minor_upload else found

    def _negative(self, text: str) -> list[Finding]:
        """Of a negative prompt only what it would take away, since naming harm there keeps it out."""
        folded = fold(text, self._lexicon)
        return [
            one for one in self._rules.findings(folded, frozenset({"negative"})) if one.by == "rule negative-clothing"
        ]


def _on_a_minor(found: Sequence[Finding]) -> list[Finding]:
    """Sexual scores, however low, as sexual content with minors."""
    why = "something sexual may be asked of a picture that shows a minor"
    return [
        Finding(category=HARD, score=1.0, by=one.by, why=why)
        for one in found
        if one.category in ("sexual_content", "sex_related_crimes") and one.score >= SEXUAL_ON_A_MINOR
    ]
