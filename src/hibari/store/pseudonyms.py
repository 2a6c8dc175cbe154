"""What stands for a person's name in the audit log once they were erased: its digest.

The log's chain covers these pseudonyms and never the names, so that a name can go and the chain still holds. Whoever
suspects a name can test it against the pseudonym; nobody can read the name out of it.
"""

import hashlib

LOCAL = "local:"  # before the name of who sits at the command line: no user of the service has a colon there
_MARK = "sha256:"  # no user's name has a colon there
_OF_A_USER = "user/"


def pseudonym(name: str) -> str:
    """What stands for this name; a pseudonym stands for itself."""
    return name if name.startswith(_MARK) else _MARK + hashlib.sha256(name.encode()).hexdigest()


def user_resource(name: str) -> str:
    """How the audit log names a user whom an action is about."""
    return _OF_A_USER + name


def without_name(resource: str) -> str:
    """An audited resource with a pseudonym where it names a user."""
    if not resource.startswith(_OF_A_USER):
        return resource
    return user_resource(pseudonym(resource.removeprefix(_OF_A_USER)))
