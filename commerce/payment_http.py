"""Requests to a payment provider: bounded in time and bytes, over checked TLS, never redirected."""

from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from commerce.errors import Busy
from commerce.payment import BILL_TIMEOUT_S, PROVIDER_TIMEOUT_S

ANSWER_BYTES_MAX = 65_536
"""An answer has some KB; the certificates of a platform ten."""
BILL_BYTES_MAX = 64 * 1024 * 1024
"""A day's file, unpacked: about 200,000 payments. Above it the day is fetched by hand."""
CONNECTIONS_MAX = 32
"""Connections to one provider; more requests wait for one, within their time."""


@dataclass(frozen=True, slots=True)
class ProviderAnswer:
    """Status, headers (lower-case names) and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class ProviderHttp:
    """The way to one provider's API at ``base_url``."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url.rstrip("/")
        limits = httpx.Limits(max_connections=CONNECTIONS_MAX)
        # No proxy and no .netrc from the environment: the request carries money.
        self._client = httpx.AsyncClient(
            timeout=PROVIDER_TIMEOUT_S, limits=limits, follow_redirects=False, trust_env=False
        )

    async def ask(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        bytes_max: int = ANSWER_BYTES_MAX,
    ) -> ProviderAnswer:
        """One request to a path of the API, or to a whole address that it gave. Raises Busy when it does not answer."""
        url = target if "://" in target else self.base_url + target
        timeout_s = BILL_TIMEOUT_S if bytes_max > ANSWER_BYTES_MAX else PROVIDER_TIMEOUT_S
        body = bytearray()
        try:
            async with self._client.stream(
                method, url, headers=dict(headers or {}), content=content, timeout=timeout_s
            ) as answer:
                async for chunk in answer.aiter_bytes():
                    body += chunk
                    if len(body) > bytes_max:
                        raise Busy(f"the payment provider's answer is longer than {bytes_max} bytes")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Busy(f"the payment provider cannot be reached ({type(error).__name__})") from error
        return ProviderAnswer(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, bytes(body))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()
