"""Where the settings of a service come from, and what happens when their files change while it runs."""

import difflib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from osoroi import files
from osoroi.errors import BadRequest, OsoroiError
from osoroi.image import Limits
from osoroi.records import as_float
from osoroi.server import keyring
from osoroi.server.service import Service
from osoroi.server.settings import Settings

log = logging.getLogger("osoroi.server")

FIXED = (
    *("decoders", "decode_s", "decode_bytes", "finders", "batch", "workers", "connections"),
    *("cache_bytes", "facet_cells", "facet_queue", "drain_s"),
)
"""Settings that a running service cannot change."""

MOST = 2**50


@dataclass(frozen=True)
class Sources:
    """What `osoroi serve` was started with: values of the command line, and files that may change later."""

    host: str
    values: Mapping[str, Any] = field(default_factory=dict)
    settings_file: Path | None = None
    keys_file: Path | None = None

    def load(self) -> Settings:
        """The settings as the files are now. Raises BadRequest where they are wrong, or nobody would have a key."""
        limits = {} if self.settings_file is None else limits_in(self.settings_file)
        keys = () if self.keys_file is None else keyring.read(self.keys_file)
        if self.keys_file is not None and not keys:
            raise BadRequest(f"the keys {self.keys_file} hold no key", hint="make one: osoroi keys new")
        settings = Settings(**{**self.values, **limits, "keys": keys})
        settings.check_address(self.host)
        return settings


def limits_in(file: Path) -> dict[str, int | float]:
    """The settings of a TOML file: numbers, by their names in ``Settings``. Raises BadRequest."""
    try:
        content = files.from_toml(files.content(file))
    except OSError as error:
        raise BadRequest(f"the settings {file} cannot be read: {error.strerror}", hint="check the path") from error
    except ValueError as error:
        raise BadRequest(
            f"the settings {file} are no TOML: {error}", hint="write lines such as: searches = 32"
        ) from error
    kinds = {one.name: one.type for one in fields(Settings) if one.type in (int, float)}
    return {name: _number(name, value, kinds, file) for name, value in content.items()}


def _number(name: str, value: object, kinds: Mapping[str, Any], file: Path) -> int | float:
    if name not in kinds:
        near = difflib.get_close_matches(name, kinds, 1)
        hint = f"did you mean {near[0]}?" if near else "the names stand in docs/deploy.md"
        raise BadRequest(f"{file} sets {name!r}, which is no setting", hint=hint)
    is_number = isinstance(value, int if kinds[name] is int else int | float) and not isinstance(value, bool)
    if not is_number or not 0 < as_float(value) <= MOST:
        what = "whole number" if kinds[name] is int else "number"
        raise BadRequest(f"{file} sets {name} to {str(value)[:40]!r}, and it is a {what} above 0", hint="correct it")
    return kinds[name](value)


def reload(application: FastAPI, sources: Sources) -> None:
    """Read the files again and use what they say.

    Where that fails everything stays as it was; the log, /health and the metric ``osoroi_settings_rejected`` say so.
    """
    service = application.state.service
    try:
        settings = sources.load()
    except OsoroiError as error:
        service.settings_rejected = True
        log.error("settings and keys stay as they were: %s", error)
        return
    before: Settings = service.settings
    late = [name for name in FIXED if getattr(before, name) != getattr(settings, name)]
    use(service, settings)
    service.settings_rejected = False
    connections = application.state.connections
    connections.head_s, connections.take_s = settings.head_s, settings.take_s
    log.info("read settings and keys again: %d keys", len(settings.all_keys))
    if late:
        log.warning("these settings wait for the next start: %s", ", ".join(late))


def use(service: Service, settings: Settings) -> None:
    """Go on with other limits and keys. What was sized when the service began keeps its size."""
    service.settings = settings
    service.memory.limit = settings.memory_bytes
    service.admission.limits, service.admission.seconds = settings.places, settings.answer_s
    service.decoder.limits = Limits(pixels=settings.pixels, bytes=settings.body_bytes)
