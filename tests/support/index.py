"""A package index on this machine: of a folder, or of one wheel that comes whole, slowly, or with other bytes."""

from __future__ import annotations

import contextlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def serve(
    distribution: str, file: str, data: bytes, *, stall: threading.Event | None = None, log: list[str] | None = None
) -> Iterator[str]:
    """The URL of an index with `file` of `distribution`.

    Args:
        distribution: normalised name.
        file: the wheel's name.
        data: what is served as its bytes.
        stall: if given, half of the bytes are sent, the event is set, and the rest never comes.
        log: if given, takes the path of every request.
    """
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if log is not None:
                log.append(self.path)
            if self.path == f"/simple/{distribution}/":
                self._send("text/html", f'<html><body><a href="/files/{file}">{file}</a></body></html>'.encode())
            elif self.path == f"/files/{file}":
                self._send("application/octet-stream", data, stall)
            else:
                self.send_error(404)

        def _send(self, kind: str, body: bytes, stall: threading.Event | None = None) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body[: len(body) // 2] if stall else body)
                self.wfile.flush()
                if stall:
                    stall.set()
                    over.wait(60)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/simple/"
        finally:
            over.set()
            server.shutdown()


@contextlib.contextmanager
def serve_folder(folder: Path) -> Iterator[str]:
    """The URL of an index with every wheel in `folder`, read when it is asked for."""

    def normal(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name).lower()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            parts = self.path.strip("/").split("/")
            if parts[:1] == ["simple"] and len(parts) == 2:
                names = [wheel.name for wheel in folder.glob("*.whl") if normal(wheel.name.split("-")[0]) == parts[1]]
                links = "".join(f'<a href="/files/{name}">{name}</a>' for name in sorted(names))
                self._send("text/html", f"<html><body>{links}</body></html>".encode(), found=bool(names))
            elif parts[:1] == ["files"] and len(parts) == 2 and (folder / parts[1]).is_file():
                self._send("application/octet-stream", (folder / parts[1]).read_bytes())
            else:
                self.send_error(404)

        def _send(self, kind: str, body: bytes, *, found: bool = True) -> None:
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/simple/"
        finally:
            server.shutdown()
