"""The categories of harm: MLCommons AILuminate's twelve, five of video, and OpenAI's moderation names as aliases.

Sources: AILuminate Assessment Standard 1.1 (mlcommons.org/ailuminate; its short codes are kept beside the ids), Llama
Guard 3's S1 to S12, which are the same twelve, and OpenAI's moderation guide for the thirteen names.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Category:
    """One kind of harm. `code` is AILuminate's short code ("" for ours), `advice` what a person can change."""

    id: str
    title: str
    code: str
    advice: str


CATEGORIES = {
    category.id: category
    for category in (
        Category(
            id="violent_crimes",
            title="violent crime",
            code="vcr",
            advice="Show the story without teaching, praising or threatening an attack, and leave out the act.",
        ),
        Category(
            id="nonviolent_crimes",
            title="crime without violence",
            code="ncr",
            advice="Describe a scene rather than a way to commit or sell a crime.",
        ),
        Category(
            id="sex_related_crimes",
            title="sexual crime",
            code="src",
            advice="Leave out sexual acts without consent and filming without consent.",
        ),
        Category(
            id="child_sexual_exploitation",
            title="sexual content with minors",
            code="cse",
            advice="This is never made. If nothing of the kind was meant, leave out the minor or whatever is sexual.",
        ),
        Category(
            id="indiscriminate_weapons",
            title="weapons of mass harm",
            code="iwp",
            advice="Leave out how a bomb, poison or agent is made or used; a blast or a laboratory by itself is fine.",
        ),
        Category(
            id="suicide_self_harm",
            title="suicide and self-harm",
            code="ssh",
            advice="Leave out the act and the means; help, recovery and grief can be shown. If this is about you, talk "
            "to someone now, please: findahelpline.com lists free lines by country.",
        ),
        Category(
            id="hate",
            title="hate",
            code="hte",
            advice="Do not demean people for their origin, faith, sex, orientation or disability.",
        ),
        Category(
            id="specialized_advice",
            title="dangerous advice",
            code="spc",
            advice="Leave out medical, legal or money advice that could hurt someone who follows it.",
        ),
        Category(
            id="privacy",
            title="privacy",
            code="prv",
            advice="Leave out private people's data, homes and secret recordings; invent a person instead.",
        ),
        Category(
            id="intellectual_property",
            title="others' characters and brands",
            code="ipv",
            advice="Describe a character or a product of your own instead of naming one.",
        ),
        Category(
            id="defamation",
            title="false claims about people",
            code="dfm",
            advice="Use an invented person, or say nothing false about a real one.",
        ),
        Category(
            id="sexual_content",
            title="sexual content",
            code="sxc",
            advice="Describe the people as clothed and leave out sexual acts.",
        ),
        Category(
            id="graphic_violence",
            title="graphic violence",
            code="",
            advice="Leave out wounds, gore and torture; the moment before or after can be shown.",
        ),
        Category(
            id="extremism",
            title="violent extremism",
            code="",
            advice="Leave out praise, symbols and calls of violent groups; history and remembrance are fine.",
        ),
        Category(
            id="real_person_likeness",
            title="the likeness of a real person",
            code="",
            advice="Describe an invented person instead of naming or copying a real one.",
        ),
        Category(
            id="minor_depicted",
            title="a minor who is hurt, at risk or in an upload",
            code="",
            advice="Show the child safe, or use adults; for an upload, one of adults who agreed, or without people.",
        ),
        Category(
            id="deceptive_elections",
            title="deception about elections",
            code="",
            advice="Make it clearly fiction: no real office, party, date or rule of voting, and nothing posed as news.",
        ),
        Category(
            id="unreadable",
            title="text that the screen cannot read",
            code="",
            advice="Write it in plain English, or ask the operator to install a guard model that reads your language.",
        ),
    )
}

OPENAI_NAMES: dict[str, tuple[str, ...]] = {
    "harassment": ("defamation", "privacy"),
    "harassment/threatening": ("violent_crimes",),
    "hate": ("hate", "extremism"),
    "hate/threatening": ("extremism",),
    "illicit": ("nonviolent_crimes", "specialized_advice"),
    "illicit/violent": ("violent_crimes", "indiscriminate_weapons"),
    "self-harm": ("suicide_self_harm",),
    "self-harm/intent": ("suicide_self_harm",),
    "self-harm/instructions": ("suicide_self_harm",),
    "sexual": ("sexual_content", "sex_related_crimes", "child_sexual_exploitation"),
    "sexual/minors": ("child_sexual_exploitation",),
    "violence": ("violent_crimes", "graphic_violence", "extremism"),
    "violence/graphic": ("graphic_violence",),
}
"""OpenAI's thirteen moderation names and the categories that each covers. Likeness, intellectual property, minors in
uploads and elections have no name there."""

LLAMA_GUARD_CODES = {
    "S1": "violent_crimes",
    "S2": "nonviolent_crimes",
    "S3": "sex_related_crimes",
    "S4": "child_sexual_exploitation",
    "S5": "defamation",
    "S6": "specialized_advice",
    "S7": "privacy",
    "S8": "intellectual_property",
    "S9": "indiscriminate_weapons",
    "S10": "hate",
    "S11": "suicide_self_harm",
    "S12": "sexual_content",
    "S13": "deceptive_elections",
    "S14": "nonviolent_crimes",
}
"""Llama Guard 3's codes. S14 is abuse of a code interpreter, which there is none of here: it counts as a crime."""

QWEN_NAMES = {
    "Violent": "violent_crimes",
    "Non-violent Illegal Acts": "nonviolent_crimes",
    "Sexual Content or Sexual Acts": "sexual_content",
    "PII": "privacy",
    "Suicide & Self-Harm": "suicide_self_harm",
    "Unethical Acts": "hate",
    "Politically Sensitive Topics": "deceptive_elections",
    "Copyright Violation": "intellectual_property",
    "Jailbreak": "nonviolent_crimes",
}
"""Qwen3Guard's names; the two without a category of their own take the nearest."""


def openai_scores(scores: Mapping[str, float]) -> dict[str, float]:
    """The thirteen moderation names with the highest score of the categories that each covers, 0 to 1."""
    return {name: max(scores.get(id, 0.0) for id in ids) for name, ids in OPENAI_NAMES.items()}


def titles(ids: list[str]) -> str:
    """Categories as a person reads them: "violent crime and hate"."""
    names = [CATEGORIES[id].title for id in ids]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
