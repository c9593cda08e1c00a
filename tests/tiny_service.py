"""A service whose encoder costs nothing, in a process of its own: `python tests/tiny_service.py SHOP [--port N]`."""

import sys
from pathlib import Path

from osoroi.catalog.local import LocalCatalog
from osoroi.search import Searcher
from osoroi.server import logs, run, supervisor
from osoroi.server.settings import Settings
from shop import SeeingEncoder

if __name__ == "__main__":
    logs.configure("text")
    with LocalCatalog.open(Path(sys.argv[1])) as catalog:
        searcher = Searcher(SeeingEncoder(), catalog)
        port, sockets = int(sys.argv[-1]), supervisor.listening_sockets()
        run.run(searcher, Settings(decoders=1), "127.0.0.1", port, sockets=sockets or None)
