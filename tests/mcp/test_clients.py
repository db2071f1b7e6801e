"""The clients of PyPI's mcp and fastmcp, over HTTP and over `keyfob mcp`. tests/mcp/run.sh sets the environment."""

from __future__ import annotations

import asyncio
import json
import os
import re
import urllib.parse
import urllib.request
from typing import Any

import fastmcp
import httpx2
import mcp
import pytest
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport
from mcp.client.streamable_http import streamable_http_client
from mcp_types import ElicitResult

ENV = os.environ
URL = ENV["KEYFOB_PUBLIC_URL"] + "/mcp"
HEADERS = {"Authorization": f"Bearer {ENV['KEYFOB_TOKEN']}"}
COMMAND = {"KEYFOB_URL": ENV["KEYFOB_URL"], "KEYFOB_TOKEN": ENV["KEYFOB_TOKEN"]}
WHICH = {"contact": ENV["KEYFOB_CONTACT"], "secret": ENV["KEYFOB_SECRET"]}
TOOLS = 7
TRANSPORTS = ["HTTP", "stdio"]


def client(transport: str, mode: str = "auto", **more: Any) -> mcp.Client:
    if transport == "stdio":
        at: Any = mcp.StdioServerParameters(command=ENV["KEYFOB_BIN"], args=["mcp"], env=COMMAND)
    else:
        at = streamable_http_client(URL, http_client=httpx2.AsyncClient(headers=HEADERS))
    return mcp.Client(at, mode=mode, **more)


def post(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as answer:
        return answer.status, answer.read()


def unconnected() -> dict[str, str]:
    """A secret that the contact has not connected."""
    config = {"hosts": [ENV["KEYFOB_UPSTREAM"]]}
    body = {"kind": "personal", "type": "bearer", "name": "New", "config": config}
    headers = {"Authorization": f"Bearer {ENV['KEYFOB_BACKEND_TOKEN']}", "Content-Type": "application/json"}
    _, answer = post(ENV["KEYFOB_URL"] + "/api/v1/secret/create", json.dumps(body).encode(), headers)
    return {**WHICH, "secret": json.loads(answer)["id"]}


def connect(link: str) -> None:
    """The person goes to a link and hands over the credential."""
    with open(ENV["KEYFOB_LINKS_SEEN"], "a") as links:
        links.write(link.rsplit("/", 1)[1] + "\n")
    with urllib.request.urlopen(link) as page:
        cookie = page.headers["set-cookie"].split(";")[0]
        proof = re.search(r'name="proof" value="([^"]+)"', page.read().decode())
    assert proof
    form = urllib.parse.urlencode({"proof": proof[1], "value": ENV["KEYFOB_CREDENTIAL"]}).encode()
    status, _ = post(link, form, {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"})
    assert status == 200


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("mode", "version"), [("auto", "2026-07-28"), ("legacy", "2025-11-25")])
def test_each_tool_does_what_it_says(transport: str, mode: str, version: str) -> None:
    async def run() -> None:
        async with client(transport, mode) as session:
            assert session.protocol_version == version
            assert len((await session.list_tools()).tools) == TOOLS

            async def done(name: str, arguments: dict[str, Any] | None = None) -> dict[str, Any]:
                result = await session.call_tool(name, arguments or {})
                assert not result.is_error, result
                return result.structured_content

            assert WHICH["secret"] in [it["id"] for it in (await done("list_secrets"))["secrets"]]
            assert [it["id"] for it in (await done("list_totp"))["entries"]] == [ENV["KEYFOB_ENTRY"]]
            assert (await done("verify_secret", WHICH))["status"] == "authenticated"
            assert (await done("authenticate_secret", WHICH))["status"] == "authenticated"
            assert re.fullmatch(r"\d{6}", (await done("get_totp_code", {"id": ENV["KEYFOB_ENTRY"]}))["code"])
            sent = await done("send_request", {**WHICH, "url": f"http://{ENV['KEYFOB_UPSTREAM']}/v1"})
            assert json.loads(sent["body"])["path"] == "/v1"
            assert ENV["KEYFOB_CREDENTIAL"] not in str(sent)
            refused = await session.call_tool("list_contacts", {})
            assert refused.is_error
            assert json.loads(refused.content[0].text)["code"] == "NOT_AUTHORIZED"
            with pytest.raises(mcp.MCPError, match="Unknown tool"):
                await session.call_tool("mint", {})

    asyncio.run(run())


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_person_is_asked_in_a_round_of_its_own(transport: str) -> None:
    asked: list[str] = []

    async def ask(_context: Any, params: Any) -> ElicitResult:
        asked.append(params.url)
        await asyncio.to_thread(connect, params.url)
        return ElicitResult(action="accept")

    async def run() -> None:
        async with client(transport, elicitation_callback=ask) as session:
            which = unconnected()
            arguments = {**which, "url": f"http://{ENV['KEYFOB_UPSTREAM']}/"}
            result = await session.call_tool("send_request", arguments)
            assert result.structured_content["status"] == 200, result

    asyncio.run(run())
    assert len(asked) == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_who_would_not_is_not_asked_again(transport: str) -> None:
    asked: list[str] = []

    async def ask(_context: Any, params: Any) -> ElicitResult:
        asked.append(params.url)
        return ElicitResult(action="decline")

    async def run() -> None:
        async with client(transport, elicitation_callback=ask) as session:
            result = await session.call_tool("authenticate_secret", unconnected())
            assert result.structured_content["status"] == "declined", result

    asyncio.run(run())
    assert len(asked) == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_fastmcp_calls_tools(transport: str) -> None:
    at = StdioTransport(ENV["KEYFOB_BIN"], ["mcp"], env=COMMAND, keep_alive=False)
    if transport == "HTTP":
        at = StreamableHttpTransport(URL, headers=HEADERS)

    async def run() -> None:
        async with fastmcp.Client(at) as session:
            assert len(await session.list_tools()) == TOOLS
            code = await session.call_tool("get_totp_code", {"id": ENV["KEYFOB_ENTRY"]})
            assert re.fullmatch(r"\d{6}", code.structured_content["code"])
            with pytest.raises(fastmcp.exceptions.ToolError, match="NOT_FOUND"):
                await session.call_tool("get_totp_code", {"id": "nonsense"})

    asyncio.run(run())


def causes(error: BaseException) -> list[BaseException]:
    """The errors that a group of them is made of."""
    return [it for one in error.exceptions for it in causes(one)] if isinstance(error, BaseExceptionGroup) else [error]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_who_shows_a_wrong_key_is_told_so(mode: str) -> None:
    async def run() -> None:
        wrong = {**COMMAND, "KEYFOB_TOKEN": "kft_nonsense"}
        at = mcp.StdioServerParameters(command=ENV["KEYFOB_BIN"], args=["mcp"], env=wrong)
        async with mcp.Client(at, mode=mode):
            pass

    with pytest.raises((mcp.MCPError, BaseExceptionGroup)) as refused:
        asyncio.run(run())
    assert any("Not authenticated" in str(cause) for cause in causes(refused.value))
