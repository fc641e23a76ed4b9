"""A simulated DAS Agent service: signed requests in, scripted diagnoses out at a human pace."""

from bot.demo.das.server import SimulatedDas
from bot.demo.upstream import DEMO_CREDENTIAL, Credential, Faults, Received, Refusal

__all__ = ["DEMO_CREDENTIAL", "Credential", "Faults", "Received", "Refusal", "SimulatedDas"]
