"""Makes an account with something of everything, so that many requests get past 404, and prints what there is as JSON.

It is a child account: keys of its parent act as it, and nothing that is done to its own keys ends them.
"""

import json
import os
import sys
import urllib.request
import uuid

URL, OWNER = os.environ["KEYFOB_URL"], os.environ["KEYFOB_OWNER_TOKEN"]
PROVIDER, UPSTREAM = os.environ["KEYFOB_PROVIDER"], os.environ["KEYFOB_UPSTREAM"]
CLIENT, CLIENT_SECRET = os.environ["KEYFOB_PROVIDER_CLIENT"].split(":")
MANY = 120


def ask(url, body=None, method="POST", **headers):
    data = None if body is None else json.dumps(body).encode()
    headers["content-type"] = "application/json"
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def canary():
    """A secret that the script which runs this looks for."""
    return f"CANARY234567CANA-{uuid.uuid4()}"


account = ask(f"{URL}/api/v1/account/create", {"name": "Fuzzed", "email": "fuzzed@example.com"}, authorization=f"Bearer {OWNER}")
print(account["key"]["token"], file=open(os.environ["KEYFOB_TOKENS_SEEN"], "a"))


def call(path, body=None, method="POST"):
    headers = {"authorization": f"Bearer {OWNER}", "x-runas-user-id": account["id"]}
    return ask(f"{URL}{path}", {} if body is None and method == "POST" else body, method, **headers)


def contact(**fields):
    return call("/api/v1/contact/create", {"name": "Ann", "verifiedAt": 1, **fields})["id"]


def secret(**fields):
    return call("/api/v1/secret/create", fields)["id"]


def entry(label):
    body = {"label": label, "period": 1}
    return call("/api/v2/totp/secrets", body)["totp_secret"]["id"]


def key(**fields):
    made = call("/api/v1/key/create", fields)
    print(made["token"], file=open(os.environ["KEYFOB_TOKENS_SEEN"], "a"))
    return made


def child(number):
    made = call("/api/v1/account/create", {"name": f"Passing {number}"})
    print(made["key"]["token"], file=open(os.environ["KEYFOB_TOKENS_SEEN"], "a"))
    return made["id"]


def grant():
    got = ask(f"{PROVIDER}/control/grant", {"client": CLIENT, "accessTokenLife": 3600})
    with open(os.environ["KEYFOB_TOKENS_SEEN"], "a") as seen:
        print(got["accessToken"], got["refreshToken"], sep="\n", file=seen)
    return {name: got[name] for name in ("accessToken", "refreshToken", "expiresAt")}


call("/api/v1/account/update", {"allowedOrigins": ["https://app.example.com"]})
there = {"hosts": [UPSTREAM.removeprefix("http://")]}
oauth = {
    "clientId": CLIENT, "clientSecret": CLIENT_SECRET, "authorizationUrl": f"{PROVIDER}/authorize",
    "tokenUrl": f"{PROVIDER}/token", "revokeUrl": f"{PROVIDER}/revoke", **there,
}
contacts = [contact() for _ in range(3)] + [contact(verifiedAt=None)]
personal = [
    secret(name="A bearer token", alias="bearer", kind="personal", type="bearer", config=there),
    secret(name="A plain one", kind="personal", config={**there, "inject": {"header": "X-Api-Key"}}),
    secret(name="A pair", kind="personal", type="basic", config=there),
    secret(name="A grant", alias="grant", kind="personal", type="oauth", config=oauth),
]
shared = [
    secret(name="One for all", alias="shared", value=canary(), type="bearer", config=there),
    secret(name="A robot", type="oauth", config={**oauth, "grantType": "client_credentials"}),
    secret(name="Nothing yet", type="bearer"),
]
for one in contacts[:2]:
    at = f"/api/v1/contact/{one}/secret"
    call(f"{at}/{personal[0]}/connect", {"value": canary()})
    call(f"{at}/{personal[1]}/connect", {"value": canary()})
    call(f"{at}/{personal[2]}/connect", {"username": "ann", "password": canary()})
    call(f"{at}/{personal[3]}/connect", grant())
limited = key(role="agent", name="Limited", contacts=contacts[:1], rate=30)



def some(count):
    return {
        "contact": [contact() for _ in range(count)],
        "secret": [secret(name="Passing", type="bearer", value=canary(), config=there) for _ in range(count)],
        "entry": [entry(f"Passing {n}") for n in range(count)],
        "key": [key(role="agent", name="Passing")["id"] for _ in range(count)],
        "account": [child(n) for n in range(count)],
    }


json.dump(
    {
        "account": account["id"],
        "limited": limited["token"],
        # What nothing is done to that would end it; what is changed; and what is deleted and revoked, one after the other.
        "lasting": {"contact": contacts, "personal": personal, "shared": shared, "entry": [entry(f"Lasting {n}") for n in range(3)],
                    "key": [limited["id"]]},
        "changing": some(10),
        "passing": some(MANY),
    },
    sys.stdout,
)
