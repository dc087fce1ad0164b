"""Downloads archives from an address."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from ortpack_build.base.errors import FetchError

if TYPE_CHECKING:
    from pathlib import Path

    from ortpack_build.base.report import Step

_TIMEOUT = 20  # seconds without a byte
_CHUNK = 1 << 18


def download(url: str, target: Path, step: Step) -> None:
    """Download `url` to the file `target`; its bytes are for the caller to check.

    Raises:
        FetchError: it can't be reached, or ends early.
    """
    try:
        # The scheme is https: the model lets no other through.
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer, target.open("wb") as output:  # noqa: S310
            total = int(answer.headers.get("Content-Length") or 0)
            done = 0
            while chunk := answer.read(_CHUNK):
                output.write(chunk)
                done += len(chunk)
                step.advance(done, total or None)
    except (urllib.error.URLError, TimeoutError, http.client.HTTPException, ConnectionError) as error:
        reason = getattr(error, "reason", None) or error
        raise FetchError(
            f"{url} could not be fetched: {reason}.", hint="Check the network, or name other --sources."
        ) from error
    if total and done != total:
        raise FetchError(f"{url} ended after {done} of {total} bytes.", hint="Run the same command again.")
