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


class _Quiet(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        pass

    def reply(self, kind: str, body: bytes, *, found: bool = True, sent: int | None = None) -> None:
        """Answer with `body`: announce all of its bytes, and send as many of them as `sent` says."""
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body[:sent])


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

    class Handler(_Quiet):
        def do_GET(self) -> None:
            if log is not None:
                log.append(self.path)
            if self.path == f"/simple/{distribution}/":
                self.reply("text/html", f'<html><body><a href="/files/{file}">{file}</a></body></html>'.encode())
            elif self.path != f"/files/{file}":
                self.send_error(404)
            elif stall is None:
                self.reply("application/octet-stream", data)
            else:
                self.reply("application/octet-stream", data, sent=len(data) // 2)
                stall.set()
                over.wait(60)

    with _running(Handler) as url:
        try:
            yield url
        finally:
            over.set()


@contextlib.contextmanager
def serve_folder(folder: Path) -> Iterator[str]:
    """The URL of an index with every wheel in `folder`, read when it is asked for."""

    def normal(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name).lower()

    class Handler(_Quiet):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            parts = self.path.strip("/").split("/")
            if parts[:1] == ["simple"] and len(parts) == 2:
                names = [wheel.name for wheel in folder.glob("*.whl") if normal(wheel.name.split("-")[0]) == parts[1]]
                links = "".join(f'<a href="/files/{name}">{name}</a>' for name in sorted(names))
                self.reply("text/html", f"<html><body>{links}</body></html>".encode(), found=bool(names))
            elif parts[:1] == ["files"] and len(parts) == 2 and (folder / parts[1]).is_file():
                self.reply("application/octet-stream", (folder / parts[1]).read_bytes())
            else:
                self.send_error(404)

    with _running(Handler) as url:
        yield url


@contextlib.contextmanager
def _running(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The index's URL, while a server with this handler runs on a port of its own."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/simple/"
        finally:
            server.shutdown()
