"""The published ChatBotKit package for Python, unmodified, against a running Keyfob and a scripted OAuth provider: tokens.

tests/clients/run.sh starts both and sets the environment.
"""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest
from chatbotkit import APIError, AuthorizationRequiredError, types

from chatbotkit_support import asynchronous, client
from connection_support import ann, connect, of_contact, of_shared, path_of, personal
from support import env, noted, unique

PROVIDER = env("KEYFOB_PROVIDER")
CLIENT, SECRET = env("KEYFOB_PROVIDER_CLIENT").split(":")


def config(**more: Any) -> dict[str, Any]:
    paths = {"authorizationUrl": "/authorize", "tokenUrl": "/token", "revokeUrl": "/revoke"}
    return {"clientId": CLIENT, "clientSecret": SECRET, **{name: PROVIDER + path for name, path in paths.items()}, **more}


def control(path: str, **body: Any) -> Any:
    answer = httpx.post(f"{PROVIDER}/control/{path}", json=body)
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None


def grant(life: float) -> dict[str, Any]:
    """A grant of the provider, as another program may have it: its tokens must not be seen from here on."""
    issued = control("grant", client=CLIENT, accessTokenLife=life)
    noted(issued["accessToken"], issued["refreshToken"])
    return {name: issued[name] for name in ("accessToken", "refreshToken", "expiresAt")}


def works(token: str) -> None:
    noted(token)
    assert control("token", accessToken=token)["valid"]


async def mail(api: Any) -> tuple[str, str]:
    return await ann(api), await personal(api, type="oauth", name=unique("Mail"), config=config())


@asynchronous
async def test_a_token_is_minted_and_is_another_once_the_first_has_ended() -> None:
    async with client() as api:
        contact, secret = await mail(api)
        handed = grant(60)
        assert (await connect(contact, secret, handed)).status_code == 200
        minted = await api.contact.secret.mint(contact, secret)
        assert isinstance(minted, types.ContactSecretMintResponse)
        assert (minted.token, minted.expires_at) == (handed["accessToken"], handed["expiresAt"])
        # One that has ended already: it is renewed before it is handed out.
        over = {**grant(60), "expiresAt": 1}
        assert (await connect(contact, secret, over)).status_code == 200
        renewed = await api.contact.secret.mint(contact, secret)
        assert renewed.token not in (handed["accessToken"], over["accessToken"])
        assert renewed.expires_at > time.time() * 1000
        works(renewed.token)


@asynchronous
async def test_what_is_not_connected_is_an_error_of_its_own_with_a_link_for_the_person() -> None:
    async with client() as api:
        contact, secret = await mail(api)
        with pytest.raises(AuthorizationRequiredError) as thrown:
            await api.contact.secret.mint(contact, secret)
        assert (thrown.value.status_code, thrown.value.code) == (409, "AUTHORIZATION_REQUIRED")
        assert "http" not in str(thrown.value), "the link is a secret, and messages are logged"
        page = httpx.get(env("KEYFOB_URL") + path_of(thrown.value.url))
        assert page.status_code == 200 and "Continue to 127.0.0.1" in page.text


@asynchronous
async def test_a_shared_secret_is_minted_once_it_is_connected_and_a_machine_needs_nobody() -> None:
    async with client() as api:
        team = (await api.secret.create({"type": "oauth", "name": unique("Team"), "config": config()})).id
        with pytest.raises(AuthorizationRequiredError) as thrown:
            await api.secret.mint(team)
        path_of(thrown.value.url)
        machine = (await api.secret.create({"type": "oauth", "config": config(grantType="client_credentials")})).id
        minted = await api.secret.mint(machine)
        assert isinstance(minted, types.SecretMintResponse)
        assert minted.expires_at > time.time() * 1000
        works(minted.token)
        assert (await of_shared(api, "verify", machine)).status.value == "authenticated"


@asynchronous
async def test_an_agent_verifies_and_may_not_mint_and_what_is_revoked_is_gone() -> None:
    async with client() as api, client(token=env("KEYFOB_AGENT_TOKEN")) as agent:
        contact, secret = await mail(api)
        assert (await connect(contact, secret, grant(60))).status_code == 200
        assert (await of_contact(agent, "verify", contact, secret)).status.value == "authenticated"
        with pytest.raises(APIError) as thrown:
            await agent.contact.secret.mint(contact, secret)
        assert (thrown.value.status_code, thrown.value.code) == (403, "NOT_AUTHORIZED")
        for _ in range(2):
            assert (await of_contact(api, "revoke", contact, secret)).id == secret
        with pytest.raises(AuthorizationRequiredError) as over:
            await api.contact.secret.mint(contact, secret)
        path_of(over.value.url)
