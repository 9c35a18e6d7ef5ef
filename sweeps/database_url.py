"""A PostgreSQL URL taken apart, so that no password in it is ever shown: not in its netloc, not as a parameter, not misspelled."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

_POSTGRESQL = re.compile(r"postgres(?:ql)?(?:\+psycopg)?://")
_SECRET = re.compile(
    r"pass|secret|scram_", re.IGNORECASE
)  # libpq's password, passfile, sslpassword, oauth_client_secret, …
_SCHEME = re.compile(r"[a-z][a-z0-9+]*(?=:/|//|:$)")


class UrlError(ValueError):
    """A URL that cannot be taken apart; the text has no word of it that may be a password."""


@dataclass(frozen=True)
class Database:
    """A PostgreSQL database.

    Attributes:
        url: what Optuna opens; may hold a password, and is therefore not shown.
        label: user, host, port and name, for people.
        public: the URL with all its parameters, but those that are secret.
        has_secret: whether there are any.
    """

    url: str = field(repr=False)
    label: str
    public: str
    has_secret: bool


def is_database(url: str) -> bool:
    """Whether it begins as a PostgreSQL URL does."""
    return bool(_POSTGRESQL.match(url))


def parse_database(url: str) -> Database:
    """Take it apart: "postgresql://user:password@host:5432/name?sslmode=require", or "postgresql:///name" for the local socket.

    Raises:
        UrlError: it cannot be; or a part of it holds what belongs to another, as of a password that is not percent-encoded.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        found = make_url(url)
    except ValueError:
        raise UrlError("the port of the database's URL is no number: postgresql://user@host:5432/database") from None
    except ArgumentError:
        raise UrlError("the database's URL cannot be read: postgresql://user@host:5432/database") from None
    if re.search("[?=]", found.username or "") or re.search("[@=]", f"{found.host or ''} {found.database or ''}"):
        raise UrlError(
            "the user, host or name in the database's URL has a character that does not belong there; in a password @ is written "
            "%40, ? %3F and / %2F, and parameters follow one ?: postgresql://user@host:5432/database?sslmode=require"
        )
    secret = [key for key, value in found.query.items() if _is_secret(key, value)]
    public = _without_password(found).difference_update_query(secret)
    return Database(
        url=found.set(drivername="postgresql+psycopg").render_as_string(hide_password=False),
        label=public.set(query={}).render_as_string(),
        public=public.render_as_string(),
        has_secret=found.password is not None or bool(secret),
    )


def hide_secrets(url: str, text: str) -> str:
    """A text, of an error for example, without the secrets of a URL that `parse_database` made."""
    from sqlalchemy.engine import make_url

    found = make_url(url)
    values = [str(found.password)] if found.password else []
    values += [one for key, value in found.query.items() if _is_secret(key, value) for one in _each(value)]
    for value in values:
        for spelled in (value, quote(value), quote(value, safe=" +"), quote(value, safe=""), quote_plus(value)):
            text = text.replace(spelled, "…")
    return text


def show_unknown(url: str) -> str:
    """A URL of no known form, for people: of one that may hold a password its scheme alone."""
    if "@" not in url and not _SECRET.search(url):
        return url
    scheme = _SCHEME.match(url)
    return f"{scheme[0]}://…" if scheme else "…"


def _is_secret(key: str, value: str | Iterable[str]) -> bool:
    return bool(_SECRET.search(key)) or any(re.search("pass(word|file)=", one, re.IGNORECASE) for one in _each(value))


def _each(value: str | Iterable[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _without_password(found: URL) -> URL:
    from sqlalchemy.engine import URL

    # URL.set(password=None) would keep it.
    return URL.create("postgresql", found.username, None, found.host, found.port, found.database, found.query)
