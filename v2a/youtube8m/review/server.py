"""The page's server: this machine only, for who has the address, and nothing but the listed videos."""

from __future__ import annotations

import contextlib
import hmac
import json
import mimetypes
import os
import re
import secrets
import stat
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import IO, Any
from urllib.parse import urlsplit

from v2a.youtube8m.review.entries import Review
from v2a.youtube8m.review.page import policy, served_page
from v2a.youtube8m.review.thumbnails import Thumbnails
from v2a.youtube8m.tables import InputError

_HOSTS = ("127.0.0.1", "localhost", "[::1]")
_LONGEST = 1 << 20  # bytes of a request's body
_PIECE = 1 << 18  # bytes of a video at a time


class ReviewServer(ThreadingHTTPServer):
    """Serves one review at `url`, at 127.0.0.1 alone. The address holds a secret: other users of this machine lack it.

    Pages of other sites, which a browser would let speak to it, have neither the secret nor the right Host and Origin.
    """

    daemon_threads = True

    def __init__(self, review: Review, port: int) -> None:
        """Listen at `port`, or at a free one for 0.

        Raises:
            InputError: the port is taken, or needs rights.
        """
        self.review = review
        self.thumbnails = Thumbnails(review.path.parent / ".review")
        self.token = secrets.token_urlsafe(18)
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise InputError(
                f"cannot listen at port {port}: {error.strerror}; leave --port out for a free one"
            ) from None
        self.url = f"http://127.0.0.1:{self.server_address[1]}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that hangs up in the middle of a video is no error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "v2a-review", ""
    timeout = 60.0
    server: ReviewServer

    def log_message(self, *_arguments: Any) -> None:
        """Nothing: the address holds the secret."""

    def do_GET(self) -> None:
        """The page, a picture, or a video."""
        rest = self._rest()
        if rest is None:
            return
        if rest == "":
            self._send(200, "text/html; charset=utf-8", served_page(self.server.review), cache="no-store")
            return
        match = re.fullmatch(r"(thumb|video)/(\d{1,9})", rest)
        entries = self.server.review.entries
        if match is None or int(match[2]) >= len(entries):
            self._send(404, "text/plain", b"there is no such page\n")
        elif match[1] == "thumb":
            self._send(200, *self.server.thumbnails.get(entries[int(match[2])]), cache="private, max-age=600")
        else:
            self._send_video(os.fspath(entries[int(match[2])].file))

    def do_POST(self) -> None:
        """Save decisions: {"<row>": "yes", "no" or "", …}."""
        rest = self._rest()
        if rest is None:
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _LONGEST:
            self.close_connection = True
            self._send(413, "text/plain", b"expected a short body of announced length\n")
            return
        body = self.rfile.read(int(length))
        if rest != "keep" or self.headers.get_content_type() != "application/json":
            self._send(404, "text/plain", b"there is nothing to save to here\n")
            return
        try:
            choices = json.loads(body)
            self.server.review.decide({int(row): str(choice) for row, choice in choices.items()})
        except (InputError, ValueError, AttributeError, TypeError) as error:
            self._send(400, "text/plain; charset=utf-8", f"{error}\n".encode(errors="replace"))
        except OSError as error:
            self._send(500, "text/plain; charset=utf-8", f"{self.server.review.path.name}: {error.strerror}\n".encode())
        else:
            self._send(200, "application/json", b"{}")

    def _rest(self) -> str | None:
        """What follows the secret in the address; None, and an answer is sent, for those who may not ask."""
        host = self.headers.get("Host", "")
        origin = self.headers.get("Origin")
        if re.sub(r":\d+$", "", host) not in _HOSTS or (origin is not None and urlsplit(origin).netloc != host):
            self.close_connection = True
            self._send(403, "text/plain", b"this server answers to its own page only\n")
            return None
        token, _, rest = self.path.lstrip("/").partition("?")[0].partition("/")
        if not hmac.compare_digest(token.encode(), self.server.token.encode()):
            self.close_connection = True
            self._send(403, "text/plain", b"the address is not complete: take it from where the review was started\n")
            return None
        return rest

    def _send(self, status: int, kind: str, body: bytes, cache: str = "no-store") -> None:
        self._head(status, kind, len(body), {"Cache-Control": cache})
        self.wfile.write(body)

    def _head(self, status: int, kind: str, length: int, more: dict[str, str]) -> None:
        self.send_response(status)
        headers = {
            "Content-Type": kind,
            "Content-Length": str(length),
            "Content-Security-Policy": policy(static=False) + "; frame-ancestors 'none'",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            **({"Connection": "close"} if self.close_connection else {}),
            **more,
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _send_video(self, path: str) -> None:
        try:
            file = open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")  # noqa: SIM115 (a pipe would block for ever)
        except OSError as error:
            self._send(404, "text/plain; charset=utf-8", f"{error.strerror}\n".encode())
            return
        with file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                self._send(404, "text/plain", b"not a file\n")
                return
            self._send_range(file, status.st_size, _kind(path))

    def _send_range(self, file: IO[bytes], size: int, kind: str) -> None:
        """All of a file, or the part that was asked for: players jump."""
        match = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        first, last = 0, size - 1
        if match and (match[1] or match[2]):
            first = int(match[1]) if match[1] else max(0, size - int(match[2]))
            last = min(last, int(match[2])) if match[1] and match[2] else last
            if first > last:
                self._head(416, kind, 0, {"Content-Range": f"bytes */{size}"})
                return
            self._head(206, kind, last - first + 1, {"Content-Range": f"bytes {first}-{last}/{size}"})
        else:
            self._head(200, kind, size, {"Accept-Ranges": "bytes"})
        file.seek(first)
        left = last - first + 1
        with contextlib.suppress(ConnectionError, TimeoutError):
            while left > 0 and (piece := file.read(min(_PIECE, left))):
                self.wfile.write(piece)
                left -= len(piece)
        self.close_connection |= left > 0


def _kind(path: str) -> str:
    kind = mimetypes.guess_type(path)[0] or ""
    return kind if kind.startswith("video/") else "application/octet-stream"
