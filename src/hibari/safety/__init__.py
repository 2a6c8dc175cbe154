"""Safety: what may be asked for, what may be shown, and why not.

Text, frames and uploads are scored by category; a policy file turns scores into allow, hold or refuse; every verdict
says its reason and what to change. A part that cannot run raises Refused. Nothing here loads torch, keeps records or
knows about users: sentence vectors, guard models and the place where attestations are kept are handed in.
"""

from hibari.safety.policy import Policy, Verdict

__all__ = ["Policy", "Verdict"]
