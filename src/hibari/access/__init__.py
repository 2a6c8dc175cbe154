"""Access: who asks, what they may do and how much, and the record of it. Denied by default.

No HTTP here: the service asks these rooms and puts their answers into words of its own. No torch either.
"""

from hibari.access.actors import ROLES, STRANGER, Actor, Role, User, UserLimits, Users
from hibari.access.audit import Audit, AuditEntry, AuditFinding
from hibari.access.keys import KeyRecord, Keys
from hibari.access.rules import ACTIONS, Action, Decision, Resource, decide

__all__ = [
    "ACTIONS",
    "ROLES",
    "STRANGER",
    "Action",
    "Actor",
    "Audit",
    "AuditEntry",
    "AuditFinding",
    "Decision",
    "KeyRecord",
    "Keys",
    "Resource",
    "Role",
    "User",
    "UserLimits",
    "Users",
    "decide",
]
