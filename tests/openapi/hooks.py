"""What Schemathesis cannot know of itself: keys, ids of what there is, and where requests may go.

All is decided by counting, so that the same seed makes the same requests.
"""

import functools
import json
import os
import re
import threading

import jsonschema_rs
import schemathesis

SEED = json.loads(open(os.environ["KEYFOB_SEED_FILE"]).read())
UPSTREAM = os.environ["KEYFOB_UPSTREAM"]
PARENTS = [os.environ[name] for name in ("KEYFOB_OWNER_TOKEN", "KEYFOB_TOKEN", "KEYFOB_AGENT_TOKEN")]
PAIR = (os.environ["KEYFOB_KEY_ID"], os.environ["KEYFOB_KEY_SECRET"])
LASTING, CHANGING, PASSING = SEED["lasting"], SEED["changing"], SEED["passing"]

lock = threading.Lock()
counts = {}


def turn(name, of):
    """Counts from 0 below `of`, for each name by itself."""
    with lock:
        counts[name] = counts.get(name, -1) + 1
        return counts[name] % of


def one_of(name, items):
    return items[turn(name, len(items))]


# --- who asks ---


@schemathesis.auth(refresh_interval=None)
class Keys:
    """Owner keys mostly, who may do most; every so often one that may do less."""

    def get(self, case, ctx):
        return turn("key", 12)

    def set(self, case, chosen, ctx):
        if chosen == 11:
            case.headers["authorization"] = f"Bearer {SEED['limited']}"
            return
        case.headers["x-runas-user-id"] = SEED["account"]
        if chosen == 10:
            case.headers["sb-api-key-id"], case.headers["sb-api-secret-key"] = PAIR
        else:
            role = {7: 1, 8: 1, 9: 2}.get(chosen, 0)
            case.headers["authorization"] = f"Bearer {PARENTS[role]}"


# --- what is asked about ---

ENDS = re.compile(r"/(delete|revoke)$")
CHANGES = re.compile(r"/update$")
ID = re.compile(r"^(con|sec|key|acc)_[0-9a-z]{26}$|^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
KEPT = {one for kind in LASTING.values() for one in kind}


def existing(path, method, name):
    """The id of something that there is, and that may come to harm if this does harm."""
    noun = {"contact": "contact", "secret": "secret"}.get(name) or path.split("/")[3].removesuffix("s")
    noun = {"totp": "entry"}.get(noun, noun)
    if "{contact}" in path and "{secret}" in path:
        # What the first contact has connected stays.
        contacts = LASTING["contact"][1:] if path.endswith("/revoke") else LASTING["contact"]
        return one_of(name, contacts if name == "contact" else LASTING["personal"])
    if ENDS.search(path) or method == "DELETE":
        return one_of(f"ending {noun}", PASSING[noun])
    if CHANGES.search(path) or method == "PATCH":
        return one_of(f"changing {noun}", CHANGING[noun])
    return one_of(noun, LASTING["shared" if noun == "secret" else noun])


def fill_ids(case):
    """Three times of four there is what is asked about. What was made by requests before stays as it is."""
    path, method = case.operation.path, case.method.upper()
    harms = ENDS.search(path) or CHANGES.search(path) or method in ("DELETE", "PATCH")
    for name in list(case.path_parameters or {}):
        given = str(case.path_parameters[name])
        is_known = ID.match(given) and not (harms and given in KEPT)
        if name != "url" and not is_known and (given in KEPT or turn(f"fill {case.operation.label}", 4) != 3):
            case.path_parameters[name] = existing(path, method, name)


# --- where requests go ---

PATHS = ["/", "/html", "/gzip", "/204", "/404", "/418", "/500", "/redirect", "/unknown-coding", "/broken"]
NOWHERE = "https://nowhere.invalid/"
URLS = ("url", "authorizationUrl", "tokenUrl", "revokeUrl", "validateUrl", "deviceAuthorizationUrl", "issuer", "resourceUrl")


def keep_inside(value):
    """Whatever names a host names one that nobody has, so that nothing is asked of anybody else."""
    if isinstance(value, dict):
        return {name: inside(name, one) for name, one in value.items()}
    if isinstance(value, list):
        return [keep_inside(one) for one in value]
    return value


def inside(name, value):
    if name in URLS and isinstance(value, str) and "//" in value and not value.startswith("http://127.0.0.1:"):
        return NOWHERE + str(turn("nowhere", 1000))
    if name == "hosts" and isinstance(value, list):
        return [one if not isinstance(one, str) or "." not in one else "*.nowhere.invalid" for one in value]
    return keep_inside(value)


@schemathesis.hook
def before_call(ctx, case, kwargs):
    if not case.operation.path.startswith("/"):
        return
    fill_ids(case)
    if isinstance(case.body, (dict, list)):
        case.body = keep_inside(case.body)
    path = case.operation.path
    if path.endswith("/proxy") and isinstance(case.body, dict) and isinstance(case.body.get("url"), str) and turn("proxy", 3):
        case.body = {**case.body, "url": UPSTREAM + one_of("upstream", PATHS)}
        if turn("proxy-headers", 4):
            case.body["headers"] = {"accept": "application/json"}
    if path.startswith("/proxy/"):
        pass_on(case)
    if path.endswith(("/list", "/export")) and case.method.upper() == "GET" and "accept" not in case.headers:
        accept = one_of("accept", ["application/json", "application/json", "application/jsonl", "text/csv" if path.endswith("export") else "*/*"])
        case.headers["accept"] = accept
    # Codes of entries with a long period are waited for.
    if path.startswith("/api/v2/totp/code/") and case.path_parameters.get("id") not in LASTING["entry"]:
        for name in ("unique", "min_validity"):
            (case.query or {}).pop(name, None)


def pass_on(case):
    """The URL in the path is as it is, not encoded once more."""
    contact, secret = one_of("pass", [("-", LASTING["shared"][0]), (LASTING["contact"][0], LASTING["personal"][0])])
    if turn("pass-url", 3):
        case.path = f"/proxy/{contact}/{secret}/{UPSTREAM}{one_of('upstream', PATHS)}"
        case.path_parameters = {}


# --- what is no failure ---


@schemathesis.hook
def filter_failure(ctx, failure, case, response):
    """What an upstream answers is not the service's own, and that it cannot be reached is documented."""
    if case.operation.path.startswith("/proxy/") or case.operation.path.endswith("/proxy"):
        if response.headers.get("x-upstream"):
            return False
        if response.status_code in (502, 503) and type(failure).__name__ == "ServerError":
            return False
    return True


# --- lines ---

DOCUMENT = json.loads(open(os.environ["KEYFOB_DOCUMENT"]).read())


@functools.cache
def lines_of(path):
    schema = DOCUMENT["paths"][path]["get"]["responses"]["200"]["content"]["application/jsonl"]["schema"]
    return jsonschema_rs.validator_for({**schema, "components": DOCUMENT["components"]})


@schemathesis.check
def lines_fit_their_schema(ctx, response, case):
    """Of a stream each line is one document, which Schemathesis does not know."""
    if response.headers.get("content-type") == ["application/jsonl"]:
        for line in response.content.splitlines():
            lines_of(case.operation.path).validate(json.loads(line))
