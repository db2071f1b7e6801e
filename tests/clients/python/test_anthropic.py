"""The published Anthropic package for Python, unmodified, through Keyfob's proxy to a server of the test's own.

Of the package only the base URL and the key are set. tests/clients/run.sh starts Keyfob and sets the environment.
"""

from __future__ import annotations

import base64
import json
import threading
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, AsyncIterator, Callable, Iterator

import anthropic
import httpx2
import pytest

from chatbotkit_support import asynchronous, client
from proxy_support import AGENT, REDACTED, Answering, Came, Upstream, finds, shown
from secret_support import value
from support import URL, unique

QUESTION: dict[str, Any] = {
    "model": "claude-test",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "Zoë 日本 🔑?"}],
}
# A test that waits for something that never comes fails then, in seconds.
PATIENCE = 30


class Watch(httpx2.HTTPTransport):
    """The package's own transport, and all that a client sends and gets by it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = bytearray()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.seen += f"{request.url}\n{request.headers.raw}\n".encode() + request.read()
        response = super().handle_request(request)
        head = (response.status_code, response.extensions.get("reason_phrase"), response.headers.raw)
        self.seen += f"\n{head}\n".encode()
        response.stream = Noted(response.stream, self.seen)
        return response


class Noted(httpx2.SyncByteStream):
    def __init__(self, stream: Any, seen: bytearray) -> None:
        self.stream, self.seen = stream, seen

    def __iter__(self) -> Iterator[bytes]:
        for part in self.stream:
            self.seen += part
            yield part

    def close(self) -> None:
        self.stream.close()


def claude(base_url: str, watch: Watch, api_key: str = AGENT, **options: Any) -> anthropic.Anthropic:
    options = {"max_retries": 0, "http_client": anthropic.DefaultHttpxClient(transport=watch), **options}
    return anthropic.Anthropic(api_key=api_key, base_url=base_url, **options)


@dataclass
class Model:
    """A server, the secret that is for it, and a client that has Keyfob's key and no other."""

    upstream: Upstream
    secret: str
    credential: str
    watch: Watch = field(default_factory=Watch)

    def api(self, to: str | None = None, **options: Any) -> anthropic.Anthropic:
        return claude(f"{URL}/proxy/-/{self.secret}/{to or self.upstream.url}", self.watch, **options)

    def check(self, requests: int = 1) -> None:
        """That the server had the credential with each of its requests, and the client never."""
        assert len(self.upstream.got) == requests
        for came in self.upstream.got:
            came.injected("x-api-key", self.credential, self.credential)
            assert "authorization" not in came.headers
        assert not finds(bytes(self.watch.seen), self.credential), "the client has seen the credential"


@asynccontextmanager
async def model(answer: Callable[[Answering, Came], None]) -> AsyncIterator[Model]:
    with Upstream(answer) as upstream:
        credential = value()
        config = {"hosts": [upstream.host], "inject": {"header": "X-Api-Key"}}
        body = {"type": "plain", "name": unique("Model"), "value": credential, "config": config}
        async with client() as backend:
            secret = (await backend.secret.create(body)).id
        yield Model(upstream, secret, credential)


def message(*texts: str) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-test",
        "content": [{"type": "text", "text": text} for text in texts],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }


def failed(kind: str, text: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": text}}


def delta(text: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}


def stream(server: Answering, deltas: Iterator[dict[str, Any]]) -> None:
    server.begin_events()
    server.event({"type": "message_start", "message": {**message(), "stop_reason": None}})
    server.event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    for event in deltas:
        server.event(event)
    server.event({"type": "content_block_stop", "index": 0})
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    server.event({"type": "message_delta", "delta": end, "usage": {"output_tokens": 1}})
    server.event({"type": "message_stop"})


@asynchronous
async def test_the_key_of_keyfob_goes_where_the_package_puts_it_and_the_credential_takes_its_place() -> None:
    async with model(lambda server, _: server.reply(message("Grüße 🔑"))) as at:
        got = at.api().messages.create(**QUESTION)
        assert got.content[0].text == "Grüße 🔑"
        [came] = at.upstream.got
        assert (came.method, came.path, json.loads(came.body)) == ("POST", "/v1/messages", QUESTION)
        assert came.headers["anthropic-version"]
        assert AGENT.encode() in at.watch.seen, "which this client sends in x-api-key"
        at.check()


@asynchronous
async def test_the_events_of_a_streamed_message_come_one_by_one_each_before_the_next_is_sent() -> None:
    words = ["One", " by", " one", " 🔑"]
    taken = {word: threading.Event() for word in words}

    def deltas() -> Iterator[dict[str, Any]]:
        for word in words:
            yield delta(word)
            assert taken[word].wait(PATIENCE), f"{word!r} did not come through"

    async with model(lambda server, _: stream(server, deltas())) as at:
        got = []
        with at.api(timeout=PATIENCE).messages.stream(**QUESTION) as events:
            for text in events.text_stream:
                got.append(text)
                taken[text].set()
            assert events.get_final_message().stop_reason == "end_turn"
        assert got == words
        at.check()


@asynchronous
async def test_an_overloaded_server_is_asked_again_and_its_refusals_are_the_packages_errors() -> None:
    refusals = [
        (529, "overloaded_error", anthropic.OverloadedError),
        (429, "rate_limit_error", anthropic.RateLimitError),
        (401, "authentication_error", anthropic.AuthenticationError),
        (403, "permission_error", anthropic.PermissionDeniedError),
    ]
    answers = [(status, failed(kind, f"It is {kind}")) for status, kind, _ in [*refusals, refusals[0]]]
    answers.append((200, message("at last")))

    def answer(server: Answering, _: Came) -> None:
        status, body = answers[len(at.upstream.got) - 1]
        server.reply(body, status, {"retry-after-ms": "1", "request-id": "req_1"})

    async with model(answer) as at:
        for status, kind, error in refusals:
            with pytest.raises(error) as thrown:
                at.api().messages.create(**QUESTION)
            assert (thrown.value.status_code, thrown.value.request_id) == (status, "req_1")
            assert thrown.value.body == failed(kind, f"It is {kind}")
        assert at.api(max_retries=1).messages.create(**QUESTION).content[0].text == "at last"
        at.check(len(answers))


@asynchronous
async def test_keyfobs_own_refusals_are_errors_of_the_package_too_and_nothing_is_sent() -> None:
    async with model(lambda server, _: server.reply(message())) as at:
        for api, error, code in (
            (at.api(api_key=AGENT + "x"), anthropic.AuthenticationError, "not_authenticated"),
            (at.api("http://127.0.0.1:1"), anthropic.BadRequestError, "invalid_destination"),
        ):
            with pytest.raises(error) as thrown:
                api.messages.create(**QUESTION)
            assert thrown.value.body["error"] == code
        at.check(0)


def echo(server: Answering, came: Came) -> None:
    """Sends back what it got: in the status line, a header, and a body, as it is and encoded."""
    key = came.headers["x-api-key"]
    text = f"you sent {key}, {base64.b64encode(key.encode()).decode()}"
    if json.loads(came.body).get("stream"):
        stream(server, iter([delta(text)]))
    elif b"fail" in came.body:
        server.reply(failed("invalid_request_error", text), 400, {"x-echo": key}, f"Bad {key}")
    else:
        server.reply(message(text), 200, {"x-echo": key})


def asked(api: anthropic.Anthropic) -> list[str]:
    """What the package makes of each of these."""
    with pytest.raises(anthropic.BadRequestError) as thrown:
        api.messages.create(**{**QUESTION, "model": "fail"})
    with api.messages.stream(**QUESTION) as events:
        streamed = events.get_final_text()
    answer = api.messages.create(**QUESTION).content[0].text
    return [answer, streamed, thrown.value.body["error"]["message"], shown(thrown.value.response).decode()]


@asynchronous
async def test_a_server_that_sends_the_credential_back_tells_the_client_nothing() -> None:
    async with model(echo) as at:
        for text in asked(at.api()):
            assert f"you sent {REDACTED}, " in text
        assert at.watch.seen.count(f"(b'x-echo', b'{REDACTED}')".encode()) == 2
        at.check(3)
        # The same client finds it there without Keyfob, so this would have been noticed.
        direct = Watch()
        for text in asked(claude(at.upstream.url, direct, at.credential)):
            assert finds(text.encode(), at.credential)
        # In what it sent, and in two headers, a status line, and three bodies.
        assert direct.seen.count(at.credential.encode()) >= 3 + 2 + 1 + 3
