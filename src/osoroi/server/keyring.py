"""The file of named keys: it holds their hashes.

A key is random, so its SHA-256 can stand in a file: nobody finds the key to it. The key itself is shown once, when it
is made. Several keys may have one name: both work while clients move from the old one to the new one.
"""

import contextlib
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from osoroi import files
from osoroi.errors import BadRequest, Busy, NotFound
from osoroi.server.keys import RIGHTS, Key, Right, hash_of

PREFIX = "osoroi_"
"""Beginning of every key that is made here, so that scanners of repositories recognise one."""

MOST_KEYS = 200
"""Keys of a file. A request is compared with each."""

WAIT_S = 10.0
"""Seconds that a change waits for another one of the same file."""

LATEST_S = datetime(9999, 12, 31, tzinfo=UTC).timestamp()
"""The latest time of a file, which has a date in every zone."""

HEAD = """# Keys of `osoroi serve --keys`, by `osoroi keys`. It holds hashes: the keys themselves stand nowhere.
# After a change: systemctl reload osoroi, or kill -HUP.
"""


def create(name: str, rights: tuple[Right, ...], *, days: float | None = None) -> tuple[str, Key]:
    """A new key and what a file holds of it.

    >>> secret, key = create("shop", ("search",))
    >>> len(secret), key.sha256 == hash_of(secret)
    (39, True)
    """
    now_s = float(int(time.time()))
    secret = PREFIX + secrets.token_urlsafe(24)
    return secret, Key(name, hash_of(secret), rights, now_s, None if days is None else now_s + days * 86400)


def read(file: Path, *, most: int | None = MOST_KEYS) -> tuple[Key, ...]:
    """The keys of a file. Raises BadRequest where it is not one, with the entry that is wrong, and where there are more
    than ``most``; None reads any number, so that some can be removed."""
    try:
        content = files.from_toml(files.content(file))
    except PermissionError as error:
        hint = f"let the user of the service read it: chgrp GROUP {file.name} && chmod 640 {file.name}"
        raise BadRequest(f"the keys {file} cannot be read: {error.strerror}", hint=hint) from error
    except OSError as error:
        hint = "make it: osoroi keys new"
        raise BadRequest(f"the keys {file} cannot be read: {error.strerror}", hint=hint) from error
    except ValueError as error:
        raise BadRequest(f"the keys {file} are no TOML: {error}", hint="make it with: osoroi keys new") from error
    entries = content.pop("key", [])
    if content or not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise BadRequest(f"the keys {file} hold something other than [[key]] tables", hint="make it: osoroi keys new")
    if most is not None and len(entries) > most:
        raise BadRequest(
            f"the keys {file} are {len(entries)}; {most} is the most", hint="remove some: osoroi keys remove"
        )
    return tuple(_key(entry, f"key {place} of {file}") for place, entry in enumerate(entries, start=1))


@contextlib.contextmanager
def changing(file: Path, *, wait_s: float = WAIT_S) -> Iterator[None]:
    """Hold a file of keys while it is read, changed and written, so that no other change is lost.

    Waits ``wait_s`` for another change; raises Busy then.
    """
    place = _place(file)
    if not place.parent.is_dir():  # to lock would make it
        raise BadRequest(f"there is no folder {place.parent}", hint="make it first")
    with files.lock(place.with_name(f".{place.name}.lock"), wait_s=wait_s) as mine:
        if not mine:
            raise Busy(f"another process changes the keys {file}", hint="try it again")
        yield


def require_room(file: Path, keys: Sequence[Key]) -> None:
    """Raise BadRequest where there would be more keys than a service reads."""
    if len(keys) > MOST_KEYS:
        raise BadRequest(
            f"the keys {file} would be {len(keys)}; {MOST_KEYS} is the most", hint="remove some: osoroi keys remove"
        )


def write(file: Path, keys: Sequence[Key]) -> None:
    """Write a file of keys in one step, where a link leads if it is one; a new one is for its owner alone."""
    place = _place(file)
    is_new = not place.exists()
    files.write_atomically(place, (HEAD + "".join(map(_entry, keys))).encode())
    if is_new:
        place.chmod(0o600)


def _place(file: Path) -> Path:
    """Where a file is, behind its links: a link would be replaced instead of what it leads to."""
    return Path(os.path.realpath(file))


def rotated(keys: Sequence[Key], name: str, *, days: float) -> tuple[str, list[Key]]:
    """A new key of a name with the rights of the newest one, and all keys, of which the old ones of that name expire in
    ``days`` days. Raises NotFound."""
    old = [key for key in keys if key.name == name]
    if not old:
        raise NotFound(f"there is no key {name!r}", hint="list them with: osoroi keys list")
    secret, new = create(name, old[-1].rights)
    end_s = new.created_s + days * 86400
    ending = [replace(key, expires_s=min(end_s, key.expires_s or end_s)) if key.name == name else key for key in keys]
    return secret, [*ending, new]


def _key(entry: dict[str, Any], where: str) -> Key:
    unknown = set(entry) - {"name", "sha256", "rights", "created", "expires"}
    if unknown:
        raise BadRequest(f"{where} has {sorted(unknown)[0]!r}, which means nothing", hint="see docs/deploy.md")
    rights = entry.get("rights")
    if not isinstance(entry.get("name"), str) or not isinstance(entry.get("sha256"), str):
        raise BadRequest(f"{where} needs a name and a sha256, as texts", hint="make it with: osoroi keys new")
    if not isinstance(rights, list) or not all(isinstance(right, str) for right in rights):
        raise BadRequest(f"{where} needs rights, as a list", hint=f"give some of {', '.join(RIGHTS)}")
    if not rights or not set(rights) <= set(RIGHTS):
        raise BadRequest(f"{where} has rights other than {', '.join(RIGHTS)}", hint="give one or more of these")
    times = [_seconds(entry.get(name), f"{name} of {where}") for name in ("created", "expires")]
    try:
        return Key(entry["name"], entry["sha256"], tuple(rights), times[0] or 0.0, times[1])
    except BadRequest as error:
        raise BadRequest(f"{where}: {error.what}", hint=error.hint) from error


def _seconds(value: object, where: str) -> float | None:
    if value is None:
        return None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise BadRequest(f"{where} is no time with a zone", hint="write it as 2027-01-31T00:00:00Z")
    seconds = value.timestamp()
    if not 0 <= seconds <= LATEST_S:
        raise BadRequest(f"{where} is not between 1970 and 9999", hint="leave expires out for a key that never does")
    return seconds


def _entry(key: Key) -> str:
    rights = ", ".join(f'"{right}"' for right in key.rights)
    lines = [f'name = "{key.name}"', f'sha256 = "{key.sha256}"', f"rights = [{rights}]"]
    lines += [
        f"{name} = {datetime.fromtimestamp(value, UTC).strftime('%Y-%m-%dT%H:%M:%SZ')}"
        for name, value in (("created", key.created_s), ("expires", key.expires_s))
        if value is not None
    ]
    return "\n[[key]]\n" + "\n".join(lines) + "\n"
