"""A refusal for lack of rights names the one RAM action that is missing, however the service said it."""

from typing import Any

import pytest

from bot.demo.das import Faults, Refusal

ANA, OPS = "U0ANA00001", "C0DBOPS001"
CHAT, OLDER, RDS = "hdm:Chat", "hdm:GetDasAgentSSE", "rdsai:ChatMessages"


@pytest.mark.parametrize(
    ("agent", "fault", "action"),
    [
        ("das", Faults(error_after=6, error_code="NoPermission"), CHAT),
        ("das", Faults(refuse=Refusal(403, "NoPermission", "no")), CHAT),
        ("das-legacy", Faults(error_after=6, error_code="NoPermission"), OLDER),
        ("rds", Faults(error_after=6, error_code="NoPermission"), RDS),
        ("rds", Faults(refuse=Refusal(400, "InvalidOrder", "not active")), RDS),
        ("rds", Faults(refuse=Refusal(400, "PermissionDenied", "not active")), RDS),
    ],
)
async def test_the_missing_action_is_named_alone(
    make_house: Any, agent: str, fault: Faults, action: str
) -> None:
    house = await make_house(rds=True)
    (house.rds if agent == "rds" else house.das).next_faults.append(fault)
    await house.start(default_agent=agent)
    ts = house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0001 slow?")
    reply = await house.answer(OPS, ts)
    (said,) = (block["text"]["text"] for block in reply.blocks if block["type"] == "alert")
    assert f"RAM permission {action}" in said
    others = {CHAT, OLDER, RDS} - {action}
    assert not [other for other in others if other in said]
