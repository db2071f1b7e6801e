"""What the tests of all packages need. tests/clients/run.sh starts Keyfob and sets the environment."""

from __future__ import annotations

import os
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx


def env(name: str) -> str:
    assert os.environ.get(name), f"{name} is not set: run the tests with tests/clients/run.sh"
    return os.environ[name]


URL = env("KEYFOB_URL")


def unique(text: str) -> str:
    """A text that no other test has."""
    return f"{text} {uuid.uuid4().hex[:8]}"


def noted(*tokens: str) -> None:
    """Notes what opens something as it is: it is looked for afterwards."""
    with open(env("KEYFOB_TOKENS_SEEN"), "a", encoding="ascii") as seen:
        seen.writelines(f"{token}\n" for token in tokens)


class CuttingProxy(ThreadingHTTPServer):
    """Passes requests on to Keyfob; cuts the first `cuts` connections before the request or before the answer."""

    daemon_threads = True

    def __init__(self, before: str, cuts: int) -> None:
        super().__init__(("127.0.0.1", 0), CuttingHandler)
        self.before, self.cuts = before, cuts
        self.attempts: list[Any] = []
        self.answers: list[Any] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def __exit__(self, *error: Any) -> None:
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class CuttingHandler(BaseHTTPRequestHandler):
    server: CuttingProxy

    def forward(self) -> None:
        proxy = self.server
        proxy.attempts.append(self.headers)
        cut = len(proxy.attempts) <= proxy.cuts
        body = self.rfile.read(int(self.headers["content-length"] or 0))
        # One connection for each request; the socket is closed when this method returns.
        self.close_connection = True
        if cut and proxy.before == "request":
            return
        hop = ("host", "connection", "content-length")
        headers = {name: value for name, value in self.headers.items() if name.lower() not in hop}
        answer = httpx.request(self.command, URL + self.path, headers=headers, content=body)
        proxy.answers.append(answer.json())
        if cut:
            return
        self.send_response(answer.status_code)
        self.send_header("content-type", answer.headers["content-type"])
        self.send_header("content-length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_POST = do_DELETE = forward

    def log_message(self, *_: Any) -> None:
        pass
