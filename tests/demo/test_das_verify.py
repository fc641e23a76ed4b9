"""The gate's signature against requests recorded from the official SDK."""

from __future__ import annotations

import calendar
import json
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bot.demo.das import Credential
from bot.demo.upstream.refusal import Refused
from bot.demo.upstream.verify import CLOCK_SKEW, Gate, RawRequest, string_to_sign

VECTORS = Path(__file__).parents[2].parent / "shared" / "data" / "wire_vectors.json"


def recorded() -> list[Any]:
    return json.loads(VECTORS.read_text()) if VECTORS.exists() else []


def received(vector: dict[str, Any]) -> tuple[RawRequest, Credential, float]:
    request, known = vector["request"], vector["credentials"]
    headers = request["headers"] | {"authorization": vector["authorization"]}
    token = headers.get("x-acs-security-token", "")
    date = calendar.timegm(time.strptime(headers["x-acs-date"], "%Y-%m-%dT%H:%M:%SZ"))
    raw = RawRequest(request["method"], vector["target"], headers, request["body"].encode())
    return raw, Credential(known["ak"], known["sk"], token), date


@pytest.mark.skipif(not VECTORS.exists(), reason="the recorded requests are not beside the repository")
def test_recorded_requests_pass_and_fail_when_changed() -> None:
    vectors = recorded()
    assert len(vectors) >= 40
    for vector in vectors:
        raw, credential, date = received(vector)
        names = vector["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
        assert string_to_sign(raw, names) == vector["string_to_sign"], vector["name"]
        gate = Gate((credential,), partial(float, date))
        assert gate.check(raw) is credential
        longer = replace(raw, target=raw.target + "&Extra=1")
        with pytest.raises(Refused, match="SignatureDoesNotMatch"):
            gate.check(longer)


def test_date_and_nonce_windows() -> None:
    headers = {"authorization": "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host,Signature=b"}
    headers["x-acs-date"] = "2026-01-02T03:04:05Z"
    moment = calendar.timegm((2026, 1, 2, 3, 4, 5))
    for offset, code in ((CLOCK_SKEW, "NotFound"), (CLOCK_SKEW + 1, "Expired"), (-CLOCK_SKEW - 1, "Expired")):
        gate = Gate((), partial(float, moment + offset))
        with pytest.raises(Refused, match=code):
            gate.check(RawRequest("POST", "/", headers, b""))
