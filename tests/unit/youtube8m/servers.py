"""A real HTTP server that can be told to stumble: refuse, hang, drop the connection in the middle, answer nonsense."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Reply:
    """An answer. `drop_after` bytes of the body the connection is cut; `delay_s` before it, `drip_s` between its bytes."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    drop_after: int | None = None
    delay_s: float = 0.0
    drip_s: float = 0.0
    ranges: bool = True


class Server:
    """Answers by path; each path's replies are given in turn, the last for ever. `asked` holds (time, path)."""

    def __init__(self, default: Callable[[str], Reply]) -> None:
        self.default = default
        self.asked: list[tuple[float, str]] = []
        self.ranges: list[str] = []
        self._scripts: dict[str, list[Reply]] = {}
        self._lock = threading.Lock()
        self.at_once = self.most_at_once = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                leave = outer._enter(self.path)
                try:
                    outer._answer(self, with_body=True, leave=leave)
                finally:
                    leave()

            def do_HEAD(self) -> None:
                outer._answer(self, with_body=False)

            def log_message(self, *_arguments: object) -> None: ...

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *_arguments: object) -> None: ...  # clients that were killed hang up

        self._server = Quiet(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def script(self, path: str, *replies: Reply) -> None:
        self._scripts[path] = list(replies)

    def times(self, path: str) -> int:
        return sum(asked == path for _, asked in self.asked)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _enter(self, path: str) -> Callable[[], None]:
        """Count a request until the answer is called, once or more often."""
        with self._lock:
            self.asked.append((time.monotonic(), path))
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        here = [1]

        def leave() -> None:
            with self._lock:
                self.at_once -= here[0]
                here[0] = 0

        return leave

    def _reply(self, path: str, consume: bool) -> Reply:
        with self._lock:
            script = self._scripts.get(path)
            if not script:
                return self.default(path)
            return script.pop(0) if consume and len(script) > 1 else script[0]

    def _answer(
        self, handler: BaseHTTPRequestHandler, with_body: bool, leave: Callable[[], None] = lambda: None
    ) -> None:
        reply = self._reply(handler.path, with_body)
        time.sleep(reply.delay_s)
        body, status, headers = reply.body, reply.status, dict(reply.headers)
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", handler.headers.get("Range", ""))
        if asked and reply.ranges and status == 200:
            self.ranges.append(handler.headers["Range"])
            first, last = int(asked[1]), int(asked[2] or len(body) - 1)
            headers["Content-Range"] = f"bytes {first}-{min(last, len(body) - 1)}/{len(body)}"
            body, status = body[first : last + 1], 206
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        if with_body:
            self._send(handler, body, reply, leave)

    def _send(self, handler: BaseHTTPRequestHandler, body: bytes, reply: Reply, leave: Callable[[], None]) -> None:
        cut = len(body) if reply.drop_after is None else reply.drop_after
        if reply.drip_s:
            for position in range(cut):
                handler.wfile.write(body[position : position + 1])
                handler.wfile.flush()
                time.sleep(reply.drip_s)
        else:
            leave()  # before the client has all of it, and may ask for the next
            handler.wfile.write(body[:cut])
        if cut < len(body) or reply.drop_after is not None:
            handler.wfile.flush()
            with contextlib.suppress(OSError):
                handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True
