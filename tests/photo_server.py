"""A shop's photos behind links of this machine."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Photos(ThreadingHTTPServer):
    """A shop's photos on this machine, and the paths that were asked for."""

    daemon_threads = True

    def __init__(self, photos: dict[str, bytes]) -> None:
        asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                if self.path not in photos:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Type", "image/png")
                self.send_header("Content-Length", str(len(photos[self.path])))
                self.end_headers()
                self.wfile.write(photos[self.path])

            def log_message(self, *_: object) -> None: ...

        super().__init__(("127.0.0.1", 0), Handler)
        self.asked, self.photos = asked, photos
        threading.Thread(target=self.serve_forever, daemon=True).start()
