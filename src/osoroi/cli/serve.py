"""``osoroi serve``: the HTTP API and the page, on one catalog."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from osoroi.catalog.local import LocalCatalog
from osoroi.cli import options
from osoroi.encoder import Encoder
from osoroi.errors import extra
from osoroi.search import Searcher

if TYPE_CHECKING:
    from osoroi.server.settings import Settings

PORT = 8008


@click.command()
@click.argument("catalog", type=click.Path(path_type=Path))
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; another than this machine's needs keys.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="Port; 0 takes a free one."
)
@click.option("--read-key", envvar="OSOROI_READ_KEY", help="Key for searching and reading; better in OSOROI_READ_KEY.")
@click.option("--write-key", envvar="OSOROI_WRITE_KEY", help="Key that opens writing too; better in OSOROI_WRITE_KEY.")
@click.option("--open-reads", is_flag=True, help="With a write key: let everybody search and read.")
@options.encoder
@options.threads
def command(
    catalog: Path,
    host: str,
    port: int,
    read_key: str | None,
    write_key: str | None,
    open_reads: bool,
    encoder: Path | None,
    threads: int,
) -> None:
    """Serve CATALOG: the page for people at /, the API for programs under /v1.

    \b
    osoroi serve shop
    OSOROI_WRITE_KEY=… osoroi serve shop --host 0.0.0.0 --open-reads
    """
    extra("uvicorn", "serve")
    extra("fastapi", "serve")
    extra("jinja2", "serve")
    from osoroi.server.settings import Settings

    settings = Settings(read_key=read_key, write_key=write_key, open_reads=open_reads)
    settings.check_address(host)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    with LocalCatalog.open(catalog) as products:
        searcher = Searcher(Encoder.open(encoder, threads=threads), products)
        run(searcher, products, settings, host, port)


def run(searcher: Searcher, catalog: LocalCatalog, settings: "Settings", host: str, port: int) -> None:
    """Serve until a signal; what was begun is finished first."""
    import uvicorn

    from osoroi.server import app
    from osoroi.server.protocol import PatientProtocol

    config = uvicorn.Config(
        app.make(searcher, catalog, settings),
        host=host,
        port=port,
        http=PatientProtocol,
        ws="none",
        access_log=False,  # it would write what people look for; the guard logs the route alone
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=round(settings.drain_s),
    )
    uvicorn.Server(config).run()
