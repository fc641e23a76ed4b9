"""Checks ACS3-HMAC-SHA256 signatures from the raw request, as the gateway does.

Written from the signature's published description and sharing no code with any client, so that a mistake in
a client cannot hide here.
"""

from __future__ import annotations

import calendar
import hashlib
import hmac
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote_plus

from bot.demo.upstream.refusal import Refused

ALGORITHM = "ACS3-HMAC-SHA256"

CLOCK_SKEW = 15 * 60
"""Seconds a request's date may differ from the gateway's; nonces are remembered for as long both ways."""

_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} Credential=(?P<key>[^,\s]+),\s*SignedHeaders=(?P<names>[^,\s]+),\s*Signature=(?P<sign>[^,\s]+)"
)
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@dataclass(frozen=True, slots=True)
class Credential:
    """An access key the gateway knows; with `token` it is a temporary (STS) one."""

    key_id: str
    secret: str
    token: str = ""


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A request as it came over the wire. Header names are lower-case, values as sent but for outer blanks."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def query(self) -> list[tuple[str, str]]:
        """The decoded parameters of the target, in the order sent."""
        return parse_form(self.target.partition("?")[2])

    def parameters(self, *, forms: bool = True) -> dict[str, str]:
        """The parameters of the target and, with `forms`, of the body when that is a form.

        Raises:
            UnicodeDecodeError: when they are not UTF-8.
        """
        pairs = self.query()
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if forms and kind == "application/x-www-form-urlencoded":
            pairs += parse_form(self.body.decode())
        return dict(pairs)


def parse_form(text: str) -> list[tuple[str, str]]:
    """Names and values of `a=1&b=2`; a plus is a space, escapes are UTF-8."""
    pairs = (pair.partition("=") for pair in text.split("&") if pair)
    return [
        (unquote_plus(name, errors="strict"), unquote_plus(value, errors="strict"))
        for name, _, value in pairs
    ]


class Gate:
    """Knows the credentials and the nonces already used.

    Args:
        credentials: whoever may call.
        clock: Unix time in seconds.
    """

    def __init__(self, credentials: tuple[Credential, ...], clock: Callable[[], float]) -> None:
        self._credentials = {credential.key_id: credential for credential in credentials}
        self._clock = clock
        self._nonces: dict[tuple[str, str], float] = {}

    def check(self, request: RawRequest) -> Credential:
        """Whose request this is.

        Raises:
            Refused: with the code the gateway gives for what is wrong.
        """
        headers = request.headers
        if "authorization" not in headers:
            raise Refused(400, "MissingAccessKeyId", "AccessKeyId is mandatory for this action.")
        parts = _AUTHORIZATION.fullmatch(headers["authorization"])
        if parts is None:
            raise Refused(
                400, "IncompleteSignature", "The request signature does not conform to Aliyun standards."
            )
        self._check_date(headers)
        credential = self._check_credential(parts["key"], headers)
        names = parts["names"].split(";")
        self._check_names(names, request)
        if headers["x-acs-content-sha256"] != hashlib.sha256(request.body).hexdigest():
            raise _mismatch("the body does not hash to x-acs-content-sha256")
        to_sign = string_to_sign(request, names)
        expected = hmac.new(credential.secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected.encode(), parts["sign"].encode()):
            raise _mismatch(f"server string to sign is:{to_sign}")
        self._use_nonce(credential.key_id, headers["x-acs-signature-nonce"])
        return credential

    def _check_date(self, headers: Mapping[str, str]) -> None:
        date = headers.get("x-acs-date", "")
        if not date:
            raise Refused(400, "MissingTimestamp", "Timestamp is mandatory for this action.")
        if not _DATE.fullmatch(date):
            raise Refused(
                400, "InvalidTimeStamp.Format", "Specified time stamp or date value is not well formatted."
            )
        try:
            moment = calendar.timegm(time.strptime(date, "%Y-%m-%dT%H:%M:%SZ"))
        except ValueError as error:
            message = "Specified time stamp or date value is not well formatted."
            raise Refused(400, "InvalidTimeStamp.Format", message) from error
        if abs(self._clock() - moment) > CLOCK_SKEW:
            raise Refused(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")

    def _check_credential(self, key_id: str, headers: Mapping[str, str]) -> Credential:
        credential = self._credentials.get(key_id)
        if credential is None:
            raise Refused(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
        token = headers.get("x-acs-security-token", "")
        if credential.token and not token:
            raise Refused(400, "MissingSecurityToken", "SecurityToken is mandatory for this action.")
        if token != credential.token or headers.get("x-acs-accesskey-id", key_id) != key_id:
            message = "Specified SecurityToken mismatches with the AccessKey."
            raise Refused(400, "InvalidSecurityToken.MismatchWithAccessKey", message)
        return credential

    def _check_names(self, names: list[str], request: RawRequest) -> None:
        headers = request.headers
        needed = {"host", "accept", "x-acs-action", "x-acs-version", "x-acs-date"}
        needed |= {"x-acs-signature-nonce", "x-acs-content-sha256"}
        needed |= {name for name in headers if name.startswith("x-acs-")}
        # The official asynchronous SDK lets its HTTP library add an unsigned content-type to an empty body.
        if request.body:
            needed.add("content-type")
        if missing := needed - set(names):
            raise _mismatch(f"not among the signed headers: {', '.join(sorted(missing))}")
        if absent := [name for name in names if name not in headers]:
            raise _mismatch(f"signed but not sent: {', '.join(absent)}")
        if names != sorted(set(names)):
            raise _mismatch("the signed headers are not in order")

    def _use_nonce(self, key_id: str, nonce: str) -> None:
        now = self._clock()
        self._nonces = {used: until for used, until in self._nonces.items() if until > now}
        if (key_id, nonce) in self._nonces:
            raise Refused(400, "SignatureNonceUsed", "Specified signature nonce was used already.")
        self._nonces[key_id, nonce] = now + 2 * CLOCK_SKEW


def string_to_sign(request: RawRequest, names: list[str]) -> str:
    """The text a signature is made over: the algorithm and the hash of the canonical request."""
    pairs = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in request.query())
    canonical = "\n".join(
        [
            request.method,
            request.path or "/",
            "&".join(f"{name}={value}" for name, value in pairs),
            *(f"{name}:{request.headers[name].strip()}" for name in names),
            "",
            ";".join(names),
            hashlib.sha256(request.body).hexdigest(),
        ]
    )
    return f"{ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"


def _mismatch(detail: str) -> Refused:
    message = f"Specified signature is not matched with our calculation. {detail}"
    return Refused(400, "SignatureDoesNotMatch", message)
