"""A simulated DAS Agent service: signed requests in, scripted diagnoses out at a human pace."""

from bot.demo.das.faults import Faults
from bot.demo.das.refusal import Refusal
from bot.demo.das.server import DEMO_CREDENTIAL, Received, SimulatedDas
from bot.demo.das.verify import Credential

__all__ = ["DEMO_CREDENTIAL", "Credential", "Faults", "Received", "Refusal", "SimulatedDas"]
