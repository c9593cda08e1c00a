"""``osoroi serve``: the HTTP API and the page, on one catalog."""

import contextlib
import logging
from collections.abc import Sequence
from pathlib import Path

import click

from osoroi.catalog.address import Place
from osoroi.catalog.opening import open_catalog, open_encoder
from osoroi.cli import options
from osoroi.encoder import Encoder
from osoroi.errors import BadEncoder, OtherEncoder, extra
from osoroi.search import Searcher

PORT = 8008


@click.command()
@click.argument("catalog", type=options.CATALOG)
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
@click.option(
    "--encoders",
    type=click.Path(path_type=Path, exists=True),
    help="Encoder file, or folder of such files, to go on with once `osoroi reencode` has moved the catalog to one.",
)
@options.threads
def command(
    catalog: Place,
    host: str,
    port: int,
    read_key: str | None,
    write_key: str | None,
    open_reads: bool,
    encoder: Path | None,
    encoders: Path | None,
    threads: int,
) -> None:
    """Serve CATALOG: the page for people at /, the API for programs under /v1.

    \b
    osoroi serve shop
    OSOROI_WRITE_KEY=… osoroi serve shop --host 0.0.0.0 --open-reads
    """
    for module in ("uvicorn", "fastapi", "jinja2", "python_multipart", "prometheus_client"):
        extra(module, "serve")
    from osoroi.server.run import run
    from osoroi.server.settings import Settings

    settings = Settings(read_key=read_key, write_key=write_key, open_reads=open_reads)
    host = host.removeprefix("[").removesuffix("]")  # an IPv6 address as it stands in a URL
    settings.check_address(host)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    with open_catalog(catalog) as products:
        searcher = Searcher(open_encoder(catalog, encoder, threads=threads), products)
        run(searcher, settings, host, port, reopen=lambda: reopened(catalog, [encoder, *files_of(encoders)], threads))


def files_of(encoders: Path | None) -> list[Path]:
    """The encoder files that ``--encoders`` names: one, or those of a folder."""
    if encoders is None:
        return []
    return sorted(encoders.glob("*.onnx")) if encoders.is_dir() else [encoders]


def reopened(place: Place, encoders: Sequence[Path | None], threads: int) -> Searcher:
    """The catalog as it is now, with the first of these encoders that fits it (None is the one that ships).

    Raises OtherEncoder where none does, and what opening the catalog raises.
    """
    catalog = open_catalog(place)
    try:
        for path in encoders:
            with contextlib.suppress(BadEncoder):  # another file in the folder, or one that is being written
                encoder = Encoder.open(path, threads=threads)
                if encoder.fingerprint == catalog.fingerprint:
                    return Searcher(encoder, catalog)
        raise OtherEncoder(
            f"the catalog holds vectors of encoder {catalog.fingerprint[:12]}, and no file given is that encoder",
            hint="start the service with --encoder FILE, or name a folder with --encoders",
        )
    except BaseException:
        catalog.close()
        raise
