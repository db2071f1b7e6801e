"""What the tests of the proxy share: somebody else's server, and who looks for a credential in what came back."""

from __future__ import annotations

import base64
import json
import threading
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable
from urllib.parse import urlsplit

from support import URL, env

# What these clients have: the key of an agent, which may use what it cannot see.
AGENT = env("KEYFOB_AGENT_TOKEN")
# What stands in the place of a credential.
REDACTED = "[redacted by keyfob]"


@dataclass
class Came:
    """A request, as the server got it."""

    method: str
    path: str
    headers: Message
    body: bytes

    def injected(self, header: str, credential: str, value: str) -> None:
        """That it has exactly this credential, once, where it belongs, and nothing of Keyfob's."""
        assert self.headers.get_all(header) == [value]
        everything = f"{self.path}\n{self.headers.as_string()}\n{self.body.decode('latin-1')}"
        assert everything.count(credential) == 1, "the credential is in one place"
        for own in (AGENT, "/proxy", urlsplit(URL).netloc):
            assert own not in everything, f"{own} reached the server"


class Upstream(ThreadingHTTPServer):
    """Somebody else's server. It notes what it gets, and answers as the test says."""

    daemon_threads = True

    def __init__(self, answer: Callable[[Answering, Came], None]) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.answer = answer
        self.got: list[Came] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def __exit__(self, *error: Any) -> None:
        self.shutdown()
        self.server_close()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"


class Answering(BaseHTTPRequestHandler):
    server: Upstream
    protocol_version = "HTTP/1.1"

    def take(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"] or 0))
        came = Came(self.command, self.path, self.headers, body)
        self.server.got.append(came)
        self.server.answer(self, came)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = take

    def begin(self, status: int, headers: dict[str, str], reason: str | None = None) -> None:
        self.send_response(status, reason)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def reply(
        self, body: Any, status: int = 200, headers: dict[str, str] | None = None, reason: str | None = None
    ) -> None:
        """The whole of an answer: bytes as they are, anything else in JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        self.begin(status, {"content-type": kind, "content-length": str(len(content)), **(headers or {})}, reason)
        if self.command != "HEAD":
            self.wfile.write(content)

    def begin_events(self) -> None:
        self.begin(200, {"content-type": "text/event-stream; charset=utf-8", "connection": "close"})
        self.close_connection = True

    def event(self, data: Any) -> None:
        self.wfile.write(f"event: {data['type']}\ndata: {json.dumps(data)}\n\n".encode())

    def log_message(self, *_: Any) -> None:
        pass


def shown(response: Any) -> bytes:
    """All that a caller gets of an answer, of httpx or of httpx2, that was read."""
    reason = response.extensions.get("reason_phrase", b"")
    headers = b"\n".join(name + b": " + value for name, value in response.headers.raw)
    return b"%d %b\n%b\n\n%b" % (response.status_code, reason, headers, response.content)


def finds(content: bytes, credential: str) -> bool:
    """Whether somebody who looks finds it: as it is, in base64 wherever that begins, or in hex."""
    plain = credential.encode()
    forms = [plain, plain.hex().encode()]
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + plain)
        forms.append(encoded[shift and shift + 1 : (shift + len(plain)) // 3 * 4])
    return any(form in content for form in forms)
