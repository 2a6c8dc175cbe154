"""Every error that Hibari raises for its users, as one tree.

HibariError                      anything below; `hint` says what to do, `option` names the setting at fault
├── InvalidRequest               a setting that a person gave is wrong
├── UnknownModel                 no such model here
│   └── LicenceNotAllowed        it is here, and may not be used under its licence
├── BadWeights                   a weights folder is missing, truncated, or of another architecture
├── BadMedia                     a picture or video cannot be read, or a suffix cannot be written
├── OutputError                  a result cannot be written (no permission, no room)
├── StoreError                   the database cannot be opened, read or written
├── MissingDependency            an optional package or data pack is not installed
├── TrainingError                a recipe, checkpoint or data set does not fit
├── Refused                      a safety or provenance part said no, or could not run
│   └── WrongSecrets             this machine would mark or sign with other secrets than its house
├── Held                         a request waits for a reviewer
└── Cancelled                    the caller asked to stop

Our own invariants are `assert`s; these classes are for what a person can put right.
"""


def install(extra: str = "") -> str:
    """How Hibari is installed from its folder, with one of its extras: a hint for where something of it is missing."""
    what = f"'.[{extra}]'" if extra else "."
    return f"In Hibari's folder: pip install -c constraints.txt ./weights {what}"


class HibariError(Exception):
    """Base of the tree: one line of what is wrong and, in `hint`, what to do about it.

    `option` is the field name of the setting at fault, such as "size", where there is one.
    """

    def __init__(self, message: str, *, option: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.option = option
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class InvalidRequest(HibariError):
    """A setting that a person gave is wrong."""


class UnknownModel(HibariError):
    """No model of that name is installed here."""


class LicenceNotAllowed(UnknownModel):
    """A model is here, and the operator's list does not hold its licence, or nobody has accepted it."""


class BadWeights(HibariError):
    """A weights folder is missing, truncated, or of another architecture."""


class BadMedia(HibariError):
    """A picture or video cannot be read, or its suffix cannot be written."""


class OutputError(HibariError):
    """A result cannot be written: no permission, no such folder, no room."""


class StoreError(HibariError):
    """The database cannot be opened, read or written; nothing was half-written."""


class MissingDependency(HibariError):
    """An optional package or data pack that this verb needs is not installed."""


class TrainingError(HibariError):
    """A recipe, checkpoint or data set does not fit."""


class Refused(HibariError):
    """A safety or provenance part said no, or could not run; `category` is the policy's that said no, or else ""."""

    def __init__(self, message: str, *, option: str = "", hint: str = "", category: str = "") -> None:
        super().__init__(message, option=option, hint=hint)
        self.category = category


class WrongSecrets(Refused):
    """This machine would mark or sign with other secrets than the house that it works for."""


class Held(HibariError):
    """A request was put into the review queue, for a `reason`; `waits_as` is the number of the id that it waits under.

    `advice` is what the person can change instead of waiting; `category` is the policy's that holds it.
    """

    def __init__(
        self, message: str, *, waits_as: int, reason: str, advice: str, category: str, option: str, hint: str
    ) -> None:
        super().__init__(message, option=option, hint=hint)
        self.waits_as = waits_as
        self.reason = reason
        self.advice = advice
        self.category = category


class Cancelled(HibariError):
    """The caller asked to stop; nothing was left behind."""
