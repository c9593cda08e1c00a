"""``osoroi doctor``: what is wrong with an installation."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from osoroi.catalog.address import Place
from osoroi.cli import options, text
from osoroi.cli.serve import PORT
from osoroi.doctor.finding import Diagnosis, explained


@click.command()
@click.argument("catalog", required=False, type=options.CATALOG)
@options.encoder
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that the service shall listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=PORT, show_default=True, help="Port of the service.")
@click.option("--keys", type=options.PathParameter(), envvar="OSOROI_KEYS", help="File of keys of the service.")
@click.option(
    "--settings", type=options.PathParameter(), envvar="OSOROI_SETTINGS", help="File of limits of the service."
)
@click.option("--url", help="Address of a service that runs, as its visitors write it: looks through the proxy.")
@options.as_json
def command(
    catalog: Place | None,
    encoder: Path | None,
    host: str,
    port: int,
    keys: Path | None,
    settings: Path | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Look at this installation, at CATALOG, and at how a service is started; say what is wrong and what to do.

    Changes nothing. Ends with exit code 1 where something fails.

    \b
    osoroi doctor
    osoroi doctor shop --keys keys.toml --url https://shop.example/find/
    osoroi doctor 'postgresql://user@host/db?schema=shop'
    """
    findings: list[Diagnosis] = []
    for finding in results(catalog, encoder, host, port, keys, settings, url):
        findings.append(finding)
        if not as_json:
            hint = "" if finding.status == "ok" or not finding.hint else f"\n      {'':15}  -> {finding.hint}"
            text.show(f"{finding.status:4}  {finding.name:15}  {finding.text}{hint}")
    if as_json:
        text.show_json([finding._asdict() for finding in findings])
    if any(finding.status == "fail" for finding in findings):
        sys.exit(1)


def results(
    catalog: Place | None,
    encoder: Path | None,
    host: str,
    port: int,
    keys: Path | None,
    settings: Path | None,
    url: str | None,
) -> Iterator[Diagnosis]:
    """What each check says, in the order in which one would look."""
    from osoroi.doctor import installation, service, stored
    from osoroi.server.configuration import Sources

    shown = list(explained("catalog", lambda: stored.findings(catalog, encoder))) if catalog else []
    is_readable = any(finding.name == "catalog" and finding.status == "ok" for finding in shown)
    yield from installation.findings(stored.titles(catalog) if catalog and is_readable else ())
    yield from shown
    yield service.port(host, port)
    sources = Sources(host if keys else "127.0.0.1", settings_file=settings, keys_file=keys)
    yield from explained("settings", lambda: service.settings(sources))
    if url is not None:
        yield from explained("proxy", lambda: service.through(url))
