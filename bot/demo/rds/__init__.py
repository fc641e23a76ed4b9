"""A simulated RDS Copilot service: conversations, tools, sources, approvals, and runs that outlive a connection."""

from bot.demo.rds.server import SimulatedRds
from bot.demo.upstream import DEMO_CREDENTIAL, Credential, Faults, Received, Refusal

__all__ = ["DEMO_CREDENTIAL", "Credential", "Faults", "Received", "Refusal", "SimulatedRds"]
