"""``osoroi serve``: the HTTP API and the page, on one catalog."""

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import click

from osoroi.catalog.address import Place, Search
from osoroi.catalog.opening import encoder_of, fastest, open_catalog, stored_encoder
from osoroi.cli import options
from osoroi.encoder import Encoder
from osoroi.errors import BadEncoder, BadRequest, OtherEncoder, extra
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
@click.option(
    "--keys",
    type=options.PathParameter(exists=True, dir_okay=False),
    envvar="OSOROI_KEYS",
    help="File of named keys, made by `osoroi keys`, instead of a read and a write key.",
)
@click.option("--open-reads", is_flag=True, help="With keys: let everybody search and read.")
@click.option(
    "--settings",
    "settings_file",
    type=options.PathParameter(exists=True, dir_okay=False),
    envvar="OSOROI_SETTINGS",
    help="TOML file of limits, such as: searches = 32. SIGHUP reads it and the keys again.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    envvar="OSOROI_LOG_FORMAT",
    help="How the log is written to stderr; json is one object a line.",
)
@click.option(
    "--root-path",
    envvar="OSOROI_ROOT_PATH",
    default="",
    metavar="PATH",
    help="Path under which a proxy offers the service, as /find; whether the proxy takes it off does not matter.",
)
@click.option(
    "--allow-origin",
    "allow_origins",
    envvar="OSOROI_ALLOW_ORIGIN",
    multiple=True,
    metavar="ORIGIN",
    help="Origin whose pages may search here, as https://shop.example; repeat it for several.",
)
@options.search
@options.encoder
@click.option(
    "--encoders",
    type=options.PathParameter(exists=True),
    help="Encoder file, or folder of such files, to go on with once `osoroi reencode` has moved the catalog to one.",
)
@click.option(
    "--ray",
    "ray_address",
    envvar="OSOROI_RAY",
    metavar="ADDRESS",
    help="Serve on a cluster of Ray: its address, as 10.0.0.5:6379, or auto, or local. CATALOG is in PostgreSQL.",
)
@click.option("--shards", type=click.IntRange(1), default=1, show_default=True, help="With --ray: parts of the index.")
@click.option(
    "--replicas", type=click.IntRange(1), default=2, show_default=True, help="With --ray: searchers of each shard."
)
@click.option("--servers", type=click.IntRange(1), default=2, show_default=True, help="With --ray: processes for HTTP.")
@click.option(
    "--max-servers", type=click.IntRange(0), default=0, help="With --ray: processes for HTTP where requests queue."
)
@click.option(
    "--max-encoders",
    type=click.IntRange(0),
    default=0,
    help="With --ray: encoders where requests queue; one otherwise.",
)
@click.option(
    "--cpus",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="With --ray: processors that each process takes of its node.",
)
@options.threads
@options.device
@options.measure
def command(
    catalog: Place,
    host: str,
    port: int,
    read_key: str | None,
    write_key: str | None,
    keys: Path | None,
    open_reads: bool,
    settings_file: Path | None,
    log_format: Literal["text", "json"],
    root_path: str,
    allow_origins: tuple[str, ...],
    search: Search | None,
    encoder: Path | None,
    encoders: Path | None,
    ray_address: str | None,
    shards: int,
    replicas: int,
    servers: int,
    max_servers: int,
    max_encoders: int,
    cpus: float,
    threads: int,
    providers: Sequence[str] | None,
    measure: bool,
) -> None:
    """Serve CATALOG: the page for people at /, the API for programs under /v1.

    \b
    osoroi serve shop
    osoroi serve shop --host 0.0.0.0 --keys keys.toml --open-reads
    osoroi serve postgresql://osoroi@db/shops --ray auto --shards 4
    """
    for module in ("uvicorn", "fastapi", "jinja2", "python_multipart", "prometheus_client"):
        extra(module, "serve")
    if ray_address is not None:
        demand_shared(catalog, encoder, encoders)
    from osoroi.server import logs, supervisor, tracing
    from osoroi.server.configuration import Sources
    from osoroi.server.run import demand_free, run

    sockets = supervisor.listening_sockets()
    host = host.removeprefix("[").removesuffix("]")  # an IPv6 address as it stands in a URL
    host = sockets[0].getsockname()[0] if sockets else host
    values = {
        "read_key": read_key,
        "write_key": write_key,
        "open_reads": open_reads,
        "root_path": root_path,
        "allow_origins": frozenset(allow_origins),
    }
    sources = Sources(host, values, settings_file, keys)
    settings = sources.load()
    if not sockets:
        demand_free(host, port)
    logs.configure(log_format)
    tracing.configure()
    catalog = options.searched_by(catalog, search)
    if ray_address is not None:
        extra("ray", "cluster")
        from osoroi.cluster import run as cluster
        from osoroi.cluster.plan import ClusterPlan

        most = {"max_servers": max_servers, "max_encoders": max_encoders}
        plan = ClusterPlan(catalog, shards, replicas, servers, cpus=cpus, settings=settings, **most)
        cluster.run(plan, ray_address, host, port)
        return
    with open_catalog(catalog) as products:
        opened = encoder_of(products, encoder, threads=threads, providers=providers)
        faster = partial(fastest, threads=threads, bulk=False) if measure else as_it_is
        searcher = Searcher(faster(opened), products)
        again = partial(reopened, catalog, [encoder, *files_of(encoders)], threads, faster, providers)
        run(searcher, settings, host, port, reopen=again, sources=sources, sockets=sockets or None)


def demand_shared(catalog: Place, encoder: Path | None, encoders: Path | None) -> None:
    """Raise BadRequest for what only this machine has: other nodes of a cluster need it too."""
    if isinstance(catalog, Path):
        raise BadRequest(
            f"the catalog {catalog} is a folder of this machine", hint="move it: osoroi copy FOLDER postgresql://…"
        )
    if encoder is not None or encoders is not None:
        raise BadRequest(
            "with --ray every node takes the encoder that the catalog keeps",
            hint="leave out --encoder and --encoders; 'osoroi add' and 'osoroi reencode' keep the file in the catalog",
        )


def files_of(encoders: Path | None) -> list[Path]:
    """The encoder files that ``--encoders`` names: one, or those of a folder."""
    if encoders is None:
        return []
    return sorted(encoders.glob("*.onnx")) if encoders.is_dir() else [encoders]


def as_it_is(encoder: Encoder) -> Encoder:
    """The encoder as it was opened."""
    return encoder


def reopened(
    place: Place,
    encoders: Sequence[Path | None],
    threads: int,
    faster: Callable[[Encoder], Encoder] = as_it_is,
    providers: Sequence[str] | None = None,
) -> Searcher:
    """The catalog as it is now, with its own encoder or the first of these that fits it (None is the one that ships).

    Raises OtherEncoder where none does, and what opening the catalog raises.
    """
    catalog = open_catalog(place)
    try:
        stored = stored_encoder(catalog)
        for path in [stored, *encoders] if stored else encoders:
            with contextlib.suppress(BadEncoder):  # another file in the folder, or one that is being written
                encoder = Encoder.open(path, threads=threads, providers=providers)
                if encoder.fingerprint == catalog.fingerprint:
                    return Searcher(faster(encoder), catalog)
        raise OtherEncoder(
            f"the catalog holds vectors of encoder {catalog.fingerprint[:12]}, and no file given is that encoder",
            hint="start the service with --encoder FILE, or name a folder with --encoders",
        )
    except BaseException:
        catalog.close()
        raise
