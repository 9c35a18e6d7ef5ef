"""One question to the dataset's lookup service: which video is this id?"""

from __future__ import annotations

import email.utils
import http.client
import random
import re
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Literal

from v2a.youtube8m.ratelimit import Limiter

# As the dataset's page "Hidden Video IDs" names it: <base>/<first two characters>/<id>.js. The name has no certificate of
# its own, so the address begins with http.
SERVICE = "http://data.yt8m.org/2/j/i"
_ANSWER = re.compile(rb'\s*i\(\s*"([^"]*)"\s*,\s*"([A-Za-z0-9_-]{11})"\s*\)\s*;?\s*')
_LONGEST = 4096  # bytes; a real answer has 24
_GONE = (403, 404, 410)
_PATIENCE_S = 3600.0  # a service that asks for more than this is left alone


@dataclass(frozen=True)
class Answer:
    """What is known of an id: its video, that the video is gone, or why nobody knows; "stopped" is no answer."""

    kind: Literal["ok", "gone", "failed", "stopped"]
    video_id: str = ""
    reason: str = ""


@dataclass(frozen=True)
class _Again:
    """A try that may go better next time."""

    reason: str
    wait_s: float | None = None


@dataclass(frozen=True)
class Service:
    """The lookup service, asked as often as `limiter` lets, and `retries` times more when it stumbles.

    Attributes:
        base: its address.
        limiter: shared by all threads.
        stop: when set, waiting ends and the answer is "stopped".
        timeout_s: for one try, from its beginning to its last byte.
        retries: after the first try.
        backoff_s: wait before the first retry; each further one waits twice as long, and up to half more, by chance.
    """

    base: str
    limiter: Limiter
    stop: threading.Event
    timeout_s: float = 20.0
    retries: int = 4
    backoff_s: float = 1.0

    def look_up(self, name: str) -> Answer:
        """Ask for one id."""
        reason = ""
        for attempt in range(self.retries + 1):
            if not self.limiter.wait(self.stop):
                return Answer("stopped")
            tried = self._ask(name)
            if isinstance(tried, Answer):
                return tried
            reason = tried.reason
            if tried.wait_s is not None and tried.wait_s > _PATIENCE_S:
                return Answer("failed", reason=f"{reason}; the service asks to wait {tried.wait_s:.0f} s")
            if tried.wait_s is not None:
                self.limiter.hold(tried.wait_s)
            elif attempt < self.retries:
                self.stop.wait(min(self.backoff_s * 2**attempt, _PATIENCE_S) * random.uniform(1, 1.5))
        return Answer("failed", reason=f"{reason} ({self.retries + 1} tries)")

    def _ask(self, name: str) -> Answer | _Again:
        url = f"{self.base.rstrip('/')}/{name[:2]}/{name}.js"
        try:
            request = urllib.request.Request(url, headers={"User-Agent": "v2a-youtube8m"})  # noqa: S310
            with urllib.request.urlopen(request, timeout=self.timeout_s) as response:  # noqa: S310 (http or https: `resolve` checks)
                return _understand(name, _read(response, time.monotonic() + self.timeout_s))
        except urllib.error.HTTPError as error:
            error.close()
            return _refused(error)
        except urllib.error.URLError as error:
            return _Again(f"no connection: {error.reason}")
        except TimeoutError:
            return _Again(f"no answer within {self.timeout_s:g} s")
        except (OSError, http.client.HTTPException) as error:
            return _Again(f"the connection broke: {error or type(error).__name__}")


def _read(response: http.client.HTTPResponse, deadline: float) -> bytes:
    """The body, up to a byte more than any real one; the socket's own time limit starts anew with each byte."""
    body = b""
    while len(body) <= _LONGEST and (more := response.read1(_LONGEST + 1 - len(body))):
        body += more
        if time.monotonic() > deadline:
            raise TimeoutError
    # read1 takes a closed connection for the end, whatever length was announced
    if len(body) <= _LONGEST and response.length:
        raise http.client.IncompleteRead(body, response.length)
    return body


def _understand(name: str, body: bytes) -> Answer:
    match = _ANSWER.fullmatch(body)
    if match is None or len(body) > _LONGEST:
        return Answer("failed", reason=f'expected i("{name}","<video id>"); but the service answered {body[:60]!r}')
    if match[1] != name.encode():
        return Answer("failed", reason=f"the service answered for another id, {match[1][:60]!r}")
    return Answer("ok", video_id=match[2].decode())


def _refused(error: urllib.error.HTTPError) -> Answer | _Again:
    reason = f"HTTP {error.code} {error.reason}"
    if error.code in _GONE:
        return Answer("gone", reason=reason)
    if error.code in (408, 425, 429) or error.code >= 500:
        return _Again(reason, _retry_after(error.headers.get("Retry-After")))
    return Answer("failed", reason=reason)


def _retry_after(text: str | None) -> float | None:
    """Seconds of a Retry-After header, which gives seconds or a date; None without one."""
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None
