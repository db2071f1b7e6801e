"""What the tests of connections share: what there is to connect, and the person who does so in a browser."""

from __future__ import annotations

import html
import re
import uuid
from typing import Any, Callable

import httpx
from chatbotkit import types

from chatbotkit_support import TOKEN
from secret_support import CANARY, value
from support import URL, env

ACTIONS = ("verify", "authenticate", "revoke")


def seen(text: str) -> None:
    """Notes what opens a link, or goes on with one: it is looked for afterwards."""
    with open(env("KEYFOB_LINKS_SEEN"), "a", encoding="ascii") as file:
        file.write(f"{text}\n")


def path_of(link: str) -> str:
    """The path of a link, which begins with the address that people open."""
    begins = f"{env('KEYFOB_PUBLIC_URL')}/connect/"
    assert link.startswith(begins), link
    state = link.removeprefix(begins)
    assert re.fullmatch(r"[\w-]{43}", state, re.ASCII)
    seen(state)
    return f"/connect/{state}"


class Browser:
    """A person's browser behind the proxy that answers at the public address: it keeps one cookie."""

    def __init__(self) -> None:
        self.cookie: str | None = None

    def go(self, method: str, link: str, fields: dict[str, str] | None = None) -> tuple[int, str]:
        headers = {"accept": "text/html"}
        if self.cookie:
            headers["cookie"] = self.cookie
        answer = httpx.request(method, URL + path_of(link), headers=headers, data=fields)
        assert answer.headers["content-type"].startswith("text/html")
        if cookie := answer.headers.get("set-cookie"):
            self.cookie = cookie.split(";")[0]
            seen(self.cookie.split("=")[1])
        assert CANARY not in answer.text, "a value is on a page"
        return answer.status_code, html.unescape(answer.text)

    def open(self, link: str) -> tuple[int, str]:
        return self.go("GET", link)

    def submit(self, link: str, typed: dict[str, str], button: str = "connect") -> tuple[int, str]:
        """Opens a link, fills in its form and presses a button of it."""
        status, text = self.open(link)
        assert status == 200, text
        assert re.findall(r'<(?:input|textarea) id="(\w+)"', text) == list(typed), "the fields of the form"
        [proof] = re.findall(r'name="proof" value="([^"]+)"', text)
        seen(proof)
        return self.go("POST", link, {"proof": proof, **typed, "do": button})

    def connects(self, link: str, typed: dict[str, str]) -> None:
        status, text = self.submit(link, typed)
        assert status == 200 and "is connected" in text, text


# What a person types for a secret of each type.
TYPED: dict[str, Callable[[], dict[str, str]]] = {
    "plain": lambda: {"value": f' {value()} +&=%ü"<'},
    "bearer": lambda: {"value": value()},
    "basic": lambda: {"username": "ann@example.com", "password": f"{value()} :ü"},
}

# The package has types for these calls, and no methods.
PARSED: dict[str, Any] = {
    "verify": (types.ContactSecretVerifyResponse, types.SecretVerifyResponse),
    "authenticate": (types.ContactSecretAuthenticateResponse, types.SecretAuthenticateResponse),
    "revoke": (types.ContactSecretRevokeResponse, types.SecretRevokeResponse),
}


def of_contact(api: Any, action: str, contact: str, secret: str) -> Any:
    parse = PARSED[action][0].from_dict
    return api.client_fetch(f"/api/v1/contact/{contact}/secret/{secret}/{action}", record={}, parse=parse)


def of_shared(api: Any, action: str, secret: str) -> Any:
    return api.client_fetch(f"/api/v1/secret/{secret}/{action}", record={}, parse=PARSED[action][1].from_dict)


async def ann(api: Any) -> str:
    """A contact that the account vouches for."""
    return (await api.contact.ensure({"fingerprint": f"customer:{uuid.uuid4()}", "name": "Ann"})).id


async def personal(api: Any, **more: Any) -> str:
    """A secret of which each contact has a value of its own."""
    return (await api.secret.create({"kind": "personal", **more})).id


async def connect(contact: str, secret: str, body: Any = None, token: str = TOKEN) -> httpx.Response:
    """What a backend does that has the credential already."""
    async with httpx.AsyncClient(base_url=URL, headers={"authorization": f"Bearer {token}"}) as backend:
        path = f"/api/v1/contact/{contact}/secret/{secret}/connect"
        return await backend.post(path, json=body or {"value": value()})


def link_of(verified: Any) -> str:
    assert verified.status.value == "unauthenticated"
    assert verified.action.type.value == "authenticate"
    path_of(verified.action.url)
    return verified.action.url


def is_authenticated(verified: Any, secret: str) -> None:
    assert verified.to_dict() == {"id": secret, "status": "authenticated"}
