"""A server that requests are sent to through Keyfob: it answers what the path says. Prints where it listens."""

import gzip
import http.server


class Upstream(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("content-length") or 0)
        self.rfile.read(length)
        word = self.path.strip("/").split("/")[0].split("?")[0]
        status = int(word) if word.isdigit() and 200 <= int(word) <= 599 else 200
        body, headers = b'{"from":"upstream"}', {"content-type": "application/json"}
        if word == "html":
            body, headers = b"<p>Hello", {"content-type": "text/html"}
        elif word == "gzip":
            body, headers = gzip.compress(body), {"content-type": "application/json", "content-encoding": "gzip"}
        elif word == "redirect":
            status, headers["location"] = 302, "/html"
        elif word == "unknown-coding":
            headers["content-encoding"] = "unheard-of"
        elif word == "broken":
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in {**headers, "x-upstream": "1"}.items():
            self.send_header(name, value)
        if status in (204, 304):
            body = b""
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = answer

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
server.daemon_threads = True
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
