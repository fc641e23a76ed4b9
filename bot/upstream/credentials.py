"""Where the access key comes from: Alibaba Cloud's default chain, asked anew for every request."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol

from bot.upstream.acs3 import Credentials
from bot.upstream.errors import UpstreamError

METADATA_DISABLED = "ALIBABA_CLOUD_ECS_METADATA_DISABLED"
METADATA_ROLE = "ALIBABA_CLOUD_ECS_METADATA"

SOURCES = (
    "ALIBABA_CLOUD_ACCESS_KEY_ID",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
    "ALIBABA_CLOUD_OIDC_TOKEN_FILE",
    "ALIBABA_CLOUD_ROLE_ARN",
    "ALIBABA_CLOUD_CREDENTIALS_FILE",
    "ALIBABA_CLOUD_CREDENTIALS_URI",
    "ALIBABA_CLOUD_PROFILE",
    METADATA_ROLE,
)
"""The variables that decide which provider of the chain answers; only their names are ever reported."""

CHAIN_TIMEOUT = 15.0
"""Seconds for one look at the chain: a role needs one call to STS; a missing metadata host hangs."""


class CredentialsSource(Protocol):
    """Gives the credentials for the next request."""

    async def get(self) -> Credentials:
        """The credentials valid now.

        Raises:
            UpstreamError: with code "Credentials" when there are none.
        """
        ...


@dataclass(frozen=True, slots=True)
class StaticCredentials:
    """Always the same credentials: for tests, and for a key an operator configured by hand."""

    credentials: Credentials

    async def get(self) -> Credentials:
        """The credentials given."""
        return self.credentials


class DefaultChain:
    """The official default chain: environment, OIDC role, CLI profile, profile file, ECS role, URI.

    It is asked for every request, because STS credentials rotate; the library itself caches what is still
    valid. It is loaded on first use, because it reads the environment while being imported.

    The ECS metadata service is asked only if the operator said so, with ALIBABA_CLOUD_ECS_METADATA (a role
    name) or ALIBABA_CLOUD_ECS_METADATA_DISABLED=false: elsewhere nobody answers there, and a missing key
    would look like a hanging network.
    """

    def __init__(
        self,
        *,
        load: Callable[[], Any] | None = None,
        environ: MutableMapping[str, str] | None = None,
        timeout: float = CHAIN_TIMEOUT,
    ) -> None:
        self._environ = os.environ if environ is None else environ
        self._load = load or _load_official
        self._timeout = timeout
        self._client: Any = None

    async def get(self) -> Credentials:
        """The credentials valid now. The error names no value, only which variables are set."""
        try:
            if self._client is None:
                if not self._environ.get(METADATA_ROLE):
                    self._environ.setdefault(METADATA_DISABLED, "true")
                self._client = self._load()
            async with asyncio.timeout(self._timeout):
                found = await self._client.get_credential_async()
        except TimeoutError:
            raise self._missing("the credential chain did not answer in time") from None
        except Exception as error:
            # Its text may quote a profile file or an STS response, so neither it nor its cause is kept.
            raise self._missing(f"{type(error).__name__} from the credential chain") from None
        if found is None or not found.access_key_id or not found.access_key_secret:
            raise self._missing("the credential chain gave no access key")
        # A line break pasted along with a key would make an illegal header.
        key = Credentials(
            found.access_key_id.strip(),
            found.access_key_secret.strip(),
            (found.security_token or "").strip(),
            found.provider_name or "",
        )
        if not all(_fits_header(text) for text in (key.access_key_id, key.security_token, key.provider)):
            raise self._missing("the access key or token holds characters no header can carry")
        return key

    def _missing(self, reason: str) -> UpstreamError:
        names = [name for name in SOURCES if self._environ.get(name)]
        seen = f"set: {', '.join(names)}" if names else "none of its variables is set"
        hint = (
            "set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, "
            f"or on ECS {METADATA_ROLE} to the name of the instance's RAM role"
        )
        return UpstreamError(code="Credentials", message=f"{reason} ({seen}); {hint}")


def _fits_header(text: str) -> bool:
    return text.isascii() and (text.isprintable() or not text)


def _load_official() -> Any:
    from alibabacloud_credentials.client import Client

    return Client()
