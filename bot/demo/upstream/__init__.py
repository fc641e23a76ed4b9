"""What the simulated services have in common: signatures, refusals, faults, the wire and the server itself."""

from bot.demo.upstream.faults import Faults
from bot.demo.upstream.refusal import Refusal
from bot.demo.upstream.service import DEMO_CREDENTIAL, Received
from bot.demo.upstream.verify import Credential

__all__ = ["DEMO_CREDENTIAL", "Credential", "Faults", "Received", "Refusal"]
