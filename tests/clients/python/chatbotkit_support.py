"""What the tests of the ChatBotKit package share: its client, accounts of their own, lists, and what a refusal is."""

from __future__ import annotations

import asyncio
import functools
import uuid
from typing import Any, AsyncIterator, Awaitable, Callable

import httpx
import pytest
from chatbotkit import APIError, ChatBotKit

from support import URL, CuttingProxy, env, noted

TOKEN = env("KEYFOB_TOKEN")


def asynchronous(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


def client(**options: Any) -> ChatBotKit:
    return ChatBotKit(**{"token": TOKEN, "base_url": URL, **options})


async def child() -> Any:
    """A child account of its own, so that nothing of others is in a test's lists."""
    async with client(token=env("KEYFOB_OWNER_TOKEN")) as owner:
        email = f"{uuid.uuid4()}@example.com"
        account = await owner.client_fetch("/api/v1/account/create", record={"email": email})
    noted(account["key"]["token"], account["key"]["secret"])
    return {**account, "email": email}


def fingerprint() -> str:
    return f"customer:{uuid.uuid4()}"


async def streamed(response: Any) -> list[Any]:
    return [line.data async for line in response.stream()]


async def walk(noun: Any, order: str) -> list[list[str]]:
    """The ids of all pages of three, up to the empty one."""
    pages, cursor = [], None
    while True:
        page = await noun.list({"take": 3, "order": order, "cursor": cursor})
        if not page.items:
            assert page.cursor == ""
            return pages
        assert page.cursor == page.items[-1].id
        pages.append([item.id for item in page.items])
        cursor = page.cursor


# Characters of one to four bytes, joined and combining ones, and separators that Python takes for line ends.
NAMES = (
    ["Zoë Ünal", "日本 太郎", "홍길동", "محمد علي", "हिन्दी नाम", "สมชาย", "Ελένη", "Юлия", "שרה", "👩‍👩‍👧‍👦 family", "𝒵𝑜𝑒 𐍈"]
    + ["e\u0301a\u0308", "one\u2028two\u2029three", '"quoted" \\u00e9 \\n', "\U0010ffff\ue000", "</script>"]
)


def name_of(number: int) -> str:
    return f"{NAMES[number % len(NAMES)]} {number}"


class InPieces(httpx.AsyncHTTPTransport):
    """The package's own transport, whose answers come in pieces of so many bytes, in the middle of characters too."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        response.stream = Pieces(response.stream, self.size)
        return response


class Pieces(httpx.AsyncByteStream):
    def __init__(self, stream: Any, size: int) -> None:
        self.stream, self.size = stream, size

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self.stream:
            for at in range(0, len(chunk), self.size):
                yield chunk[at : at + self.size]

    async def aclose(self) -> None:
        await self.stream.aclose()


class Refused:
    """Expects an error of this status, and checks what every error answer carries."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.expected = (status, code, message)
        self.raises = pytest.raises(APIError)

    def __enter__(self) -> None:
        self.info = self.raises.__enter__()

    def __exit__(self, *error: Any) -> bool:
        handled = bool(self.raises.__exit__(*error))
        error = self.info.value
        assert (error.status_code, error.code, error.message) == self.expected
        assert str(error) == error.message
        assert {**error.data, "request_id": ""} == {
            "message": error.message,
            "code": error.code,
            "error": error.code.lower(),
            "request_id": "",
        }
        assert error.data["request_id"]
        return handled


def not_found() -> Refused:
    return Refused(404, "NOT_FOUND", "Not found")


def not_authenticated() -> Refused:
    return Refused(401, "NOT_AUTHENTICATED", "Not authenticated")


def taken() -> Refused:
    return Refused(409, "CONFLICT", "Unique constraint violation")


# This client sends nothing again: its callers do.
BROKEN = (httpx.ReadError, httpx.RemoteProtocolError)


async def sent_again(proxy: CuttingProxy, call: Callable[[Any], Any], **options: Any) -> Any:
    """The answer at the second attempt; the first one's connection is cut."""
    async with client(base_url=proxy.url, **options) as api:
        with pytest.raises(BROKEN):
            await call(api)
        assert len(proxy.attempts) == 1
        return await call(api)
