"""The published ChatBotKit package for Python, unmodified, against a running Keyfob: mint and proxy.

tests/clients/run.sh starts Keyfob and sets the environment.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import httpx
import pytest
from chatbotkit import APIError, AuthorizationRequiredError, types

from chatbotkit_support import asynchronous, child, client
from connection_support import Browser, ann, connect, of_contact, of_shared, path_of, personal
from proxy_support import AGENT, REDACTED, Answering, Came, Upstream, finds, shown
from secret_support import alias, value
from support import noted, unique


def agent() -> Any:
    return client(token=AGENT)


def hello(server: Answering, came: Came) -> None:
    server.reply({"method": came.method, "path": came.path}, headers={"x-own": "1"})


def bearer(credential: str) -> tuple[str, str, str]:
    return "authorization", credential, f"Bearer {credential}"


async def at_upstream(api: Any, upstream: Upstream, **more: Any) -> str:
    """A secret of which each contact has a token of its own, for this server."""
    config = {"hosts": [upstream.host], **more.pop("config", {})}
    return await personal(api, **{"type": "bearer", "name": unique("Model"), "config": config, **more})


async def connected(api: Any, secret: str) -> tuple[str, str]:
    """A contact and its token."""
    contact, token = await ann(api), value()
    assert (await connect(contact, secret, {"value": token})).status_code == 200
    return contact, token


def refused(answer: httpx.Response, status: int, code: str) -> None:
    """The package raises nothing for what is wrong with a proxied request."""
    body = answer.json()
    assert (answer.status_code, body["error"], body["code"]) == (status, code, code.upper()), body


# --- proxy ---


@asynchronous
async def test_a_request_is_sent_for_each_contact_with_its_own_token() -> None:
    async with client() as api, agent() as own:
        with Upstream(hello) as upstream:
            secret = await at_upstream(api, upstream)
            people = [await connected(api, secret) for _ in range(2)]
            for contact, token in people:
                answer = await own.contact.secret.proxy(contact, secret, {"url": f"{upstream.url}/v1/me?a=%2F"})
                assert isinstance(answer, httpx.Response)
                assert (answer.status_code, answer.json()) == (200, {"method": "GET", "path": "/v1/me?a=%2F"})
                assert answer.headers["x-own"] == "1"
                upstream.got[-1].injected(*bearer(token))
                assert not any(finds(shown(answer), token) for _, token in people)
            assert len(upstream.got) == 2


@asynchronous
async def test_method_headers_and_body_are_sent_as_the_package_says_them() -> None:
    async with client() as api, agent() as own:
        with Upstream(hello) as upstream:
            secret = await at_upstream(api, upstream)
            contact, token = await connected(api, secret)
            url, headers, body = f"{upstream.url}/v1/x", {"Content-Type": "text/plain", "X-Own": "Zo"}, "Zoë\n🔑"
            for method in ("POST", "PUT", "PATCH", "DELETE"):
                request = types.ContactSecretProxyRequest(body=body, headers=headers, method=method, url=url)
                for given in (request, request.to_dict()):
                    answer = await own.contact.secret.proxy(contact, secret, given)
                    assert answer.json()["method"] == method
                    came = upstream.got[-1]
                    assert (came.method, came.body.decode()) == (method, body)
                    assert (came.headers["content-type"], came.headers["x-own"]) == ("text/plain", "Zo")
                    came.injected(*bearer(token))
            for more in ({}, {"method": "GET", "headers": {}, "body": ""}, {"method": "HEAD", "body": None}, {"method": "OPTIONS"}):
                answer = await own.contact.secret.proxy(contact, secret, {"url": url, **more})
                assert answer.status_code == 200
                assert (upstream.got[-1].method, upstream.got[-1].body) == (more.get("method", "GET"), b"")


@asynchronous
async def test_a_placeholder_in_a_header_is_where_the_token_goes() -> None:
    async with client() as api, agent() as own:
        with Upstream(hello) as upstream:
            secret = await at_upstream(api, upstream)
            contact, token = await connected(api, secret)
            for placeholder in ("${SECRET_DEFAULT}", "{{SECRET_DEFAULT}}"):
                request = {"url": f"{upstream.url}/", "headers": {"X-Key": placeholder}}
                assert (await own.contact.secret.proxy(contact, secret, request)).status_code == 200
                upstream.got[-1].injected("x-key", token, f"Bearer {token}")
                assert "authorization" not in upstream.got[-1].headers
            request = {"url": f"{upstream.url}/", "headers": {"X-Key": "${SECRET_OTHER}"}}
            refused(await own.contact.secret.proxy(contact, secret, request), 400, "bad_request")
            assert len(upstream.got) == 2


@asynchronous
async def test_what_the_server_answers_is_handed_back_as_it_is() -> None:
    answers: dict[str, Any] = {
        "/bytes": (b"\x00\xff\r\n\x80" * 100_000, 200, {}),
        "/created": ({"id": 1}, 201, {"etag": '"1"'}),
        "/refused": ({"error": "unauthorized"}, 401, {"www-authenticate": "Bearer"}),
        "/conflict": ({"error": "conflict"}, 409, {}),
        "/limited": ({"error": "slow down"}, 429, {"retry-after": "60"}),
        "/broken": ({"error": "oh"}, 500, {}),
    }
    async with client() as api, agent() as own:
        with Upstream(lambda server, came: server.reply(*answers[came.path])) as upstream:
            secret = await at_upstream(api, upstream)
            contact, token = await connected(api, secret)
            for path, (body, status, headers) in answers.items():
                answer = await own.contact.secret.proxy(contact, secret, {"url": upstream.url + path})
                assert answer.status_code == status
                assert answer.content == (body if isinstance(body, bytes) else json.dumps(body).encode())
                assert {name: answer.headers[name] for name in headers} == headers
                upstream.got[-1].injected(*bearer(token))
            assert len(upstream.got) == len(answers), "none was sent again"
            # Who follows a redirect by itself would take Keyfob's key along: where it leads is only told.
            answers["/moved"] = ({}, 302, {"location": "https://elsewhere.example/?a=1"})
            answer = await own.contact.secret.proxy(contact, secret, {"url": f"{upstream.url}/moved"})
            assert (answer.status_code, answer.json()["error"]) == (502, "redirect_blocked")
            assert answer.json()["location"] == "https://elsewhere.example/?a=1"
            assert len(upstream.got) == len(answers), "it was not followed"


@asynchronous
async def test_a_shared_secret_is_used_without_a_contact_by_its_id_its_alias_or_its_name() -> None:
    async with client() as api, agent() as own:
        with Upstream(hello) as upstream:
            mine, name, token = alias(), unique("Team (own) 🔑"), value()
            body = {"type": "basic", "alias": mine, "name": name, "config": {"hosts": [upstream.host]}}
            secret = (await api.secret.create({**body, "value": f"ann:{token}"})).id
            pair = base64.b64encode(f"ann:{token}".encode()).decode()
            for at in (secret, f"@{mine}", f"({name})"):
                answer = await own.secret.proxy(at, types.SecretProxyRequest(None, None, None, f"{upstream.url}/"))
                assert answer.status_code == 200
                upstream.got[-1].injected("authorization", pair, f"Basic {pair}")
                assert not finds(shown(answer), token)


@asynchronous
async def test_a_server_that_sends_the_token_back_tells_the_caller_nothing() -> None:
    def echo(server: Answering, came: Came) -> None:
        said = came.headers["authorization"]
        text = {"you sent": [said, base64.b64encode(said.encode()).decode()]}
        server.reply(text, 400, {"x-echo": said}, f"Bad {said}")

    async with client() as api, agent() as own:
        with Upstream(echo) as upstream:
            secret = await at_upstream(api, upstream)
            contact, token = await connected(api, secret)
            answer = await own.contact.secret.proxy(contact, secret, {"url": f"{upstream.url}/"})
            assert answer.status_code == 400
            assert answer.headers["x-echo"] == f"Bearer {REDACTED}"
            assert answer.json()["you sent"][0] == f"Bearer {REDACTED}"
            assert not finds(shown(answer), token)
            # Who asks the server itself finds it, so this would have been noticed.
            direct = httpx.get(upstream.url, headers={"authorization": f"Bearer {token}"})
            assert finds(shown(direct), token) and shown(direct).count(token.encode()) == 3


@asynchronous
async def test_what_is_not_connected_is_an_error_of_its_own_and_works_once_the_person_has_done_so() -> None:
    async with client() as api, agent() as own:
        with Upstream(hello) as upstream:
            request = {"url": f"{upstream.url}/"}
            contact, secret = await ann(api), await at_upstream(api, upstream)
            body = {"type": "bearer", "name": unique("Team"), "config": {"hosts": [upstream.host]}}
            shared = (await api.secret.create(body)).id
            of_ann = lambda: own.contact.secret.proxy(contact, secret, request)
            of_all = lambda: own.secret.proxy(shared, request)
            revoking = of_contact(api, "revoke", contact, secret), of_shared(api, "revoke", shared)
            for times, (send, revoke) in enumerate(zip((of_ann, of_all), revoking)):
                with pytest.raises(AuthorizationRequiredError) as thrown:
                    await send()
                assert (thrown.value.status_code, thrown.value.code) == (409, "AUTHORIZATION_REQUIRED")
                assert "http" not in str(thrown.value), "the link is a secret, and messages are logged"
                assert len(upstream.got) == times, "nothing is sent without it"
                token = value()
                Browser().connects(thrown.value.url, {"value": token})
                assert (await send()).status_code == 200
                upstream.got[-1].injected(*bearer(token))
                await revoke
                with pytest.raises(AuthorizationRequiredError) as over:
                    await send()
                path_of(over.value.url)
                assert len(upstream.got) == times + 1


@asynchronous
async def test_what_is_refused_comes_back_as_an_answer_and_nothing_is_sent() -> None:
    account = (await child())["id"]
    async with client() as api, agent() as own, client(run_as_user_id=account) as other, client(token="") as nobody:
        with Upstream(hello) as upstream, Upstream(hello) as elsewhere:
            config = {"methods": ["GET"], "paths": ["/v1/"]}
            secret = await at_upstream(api, upstream, config=config)
            contact, _ = await connected(api, secret)
            body = {"type": "bearer", "value": value(), "config": {"hosts": [upstream.host]}}
            shared = (await api.secret.create(body)).id
            to = {"url": f"{upstream.url}/v1/x"}
            refused(await own.contact.secret.proxy(contact, shared, to), 403, "forbidden_secret_kind")
            refused(await own.secret.proxy(secret, to), 403, "forbidden_secret_kind")
            for wrong in (
                {"url": f"{elsewhere.url}/v1/x"},
                {"url": f"{upstream.url}/v2/x"},
                {**to, "method": "POST"},
                {"url": "https://keyfob.example.com/v1/x"},
                {"url": "http://169.254.169.254/v1/x"},
                {"url": "nonsense"},
            ):
                refused(await own.contact.secret.proxy(contact, secret, wrong), 400, "invalid_destination")
            for wrong in ({}, {**to, "method": "TRACE"}, {**to, "more": 1}, {**to, "headers": {"X-A": "a\nb"}}):
                refused(await own.contact.secret.proxy(contact, secret, wrong), 400, "bad_request")
            refused(await nobody.contact.secret.proxy(contact, secret, to), 401, "not_authenticated")
            for stranger, at in ((other, secret), (own, "@nobody"), (own, "sec_" + "0" * 26)):
                refused(await stranger.contact.secret.proxy(contact, at, to), 404, "not_found")
            refused(await own.contact.secret.proxy("con_" + "0" * 26, secret, to), 404, "not_found")
            assert upstream.got == elsewhere.got == []


# --- mint ---


def claims(token: str, key: str) -> dict[str, Any]:
    """Those of a token that was signed with this key (RFC 7515, with HS256)."""
    signed, signature = token.rsplit(".", 1)
    expected = hmac.new(key.encode(), signed.encode(), hashlib.sha256).digest()
    assert base64.urlsafe_b64encode(expected).decode().rstrip("=") == signature
    payload = signed.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


@asynchronous
async def test_a_jwt_is_minted_for_a_contact_and_for_all_with_the_key_that_is_stored() -> None:
    config = {"algorithm": "HS256", "expiresInSeconds": 60, "claims": {"sub": "x"}}
    async with client() as api:
        keys = [value(), value()]
        contact, secret = await ann(api), await personal(api, type="jwt", name=unique("Signed"), config=config)
        assert (await connect(contact, secret, {"value": keys[0]})).status_code == 200
        shared = (await api.secret.create({"type": "jwt", "value": keys[1], "config": config})).id
        own, all_have = await api.contact.secret.mint(contact, secret), await api.secret.mint(shared)
        assert isinstance(own, types.ContactSecretMintResponse)
        assert isinstance(all_have, types.SecretMintResponse)
        for minted, key in ((own, keys[0]), (all_have, keys[1])):
            noted(minted.token)
            said = claims(minted.token, key)
            assert (said["sub"], said["exp"] * 1000, said["exp"] - said["iat"]) == ("x", minted.expires_at, 60)


@asynchronous
async def test_what_has_no_token_is_not_mintable_and_an_agent_mints_nothing() -> None:
    async with client() as api, agent() as own:
        contact = await ann(api)
        secret = await personal(api, type="bearer", name=unique("Model"))
        assert (await connect(contact, secret)).status_code == 200
        shared = (await api.secret.create({"type": "jwt", "value": value()})).id
        fixed = (await api.secret.create({"type": "plain", "value": value()})).id
        for minting, status, code in (
            (api.contact.secret.mint(contact, secret), 409, "NOT_MINTABLE"),
            (api.contact.secret.mint(contact, shared), 403, "NOT_MINTABLE"),
            (api.secret.mint(secret), 409, "NOT_MINTABLE"),
            (api.secret.mint(fixed), 409, "NOT_MINTABLE"),
            (api.contact.secret.mint(contact, "@nobody"), 404, "NOT_FOUND"),
            (own.contact.secret.mint(contact, secret), 403, "NOT_AUTHORIZED"),
            (own.secret.mint(shared), 403, "NOT_AUTHORIZED"),
        ):
            with pytest.raises(APIError) as thrown:
                await minting
            assert (thrown.value.status_code, thrown.value.code) == (status, code)
