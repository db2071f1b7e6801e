"""What the tests of the ChatBotKit package share: its client, accounts of their own, and what a refusal is."""

from __future__ import annotations

import asyncio
import functools
import uuid
from typing import Any, Awaitable, Callable

import pytest
from chatbotkit import APIError, ChatBotKit

from support import URL, env

TOKEN = env("KEYFOB_TOKEN")


def asynchronous(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


def client(**options: Any) -> ChatBotKit:
    return ChatBotKit(**{"token": TOKEN, "base_url": URL, **options})


async def child() -> Any:
    """A child account of its own, so that nobody else's contacts are in a test's lists."""
    async with client(token=env("KEYFOB_OWNER_TOKEN")) as owner:
        email = f"{uuid.uuid4()}@example.com"
        account = await owner.client_fetch("/api/v1/account/create", record={"email": email})
    with open(env("KEYFOB_TOKENS_SEEN"), "a", encoding="ascii") as seen:
        seen.write(f"{account['key']['token']}\n{account['key']['secret']}\n")
    return {**account, "email": email}


def fingerprint() -> str:
    return f"customer:{uuid.uuid4()}"


async def streamed(response: Any) -> list[Any]:
    return [line.data async for line in response.stream()]


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
