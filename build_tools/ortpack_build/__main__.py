"""`python -m ortpack_build`."""

from __future__ import annotations

import sys

from ortpack_build.cli.main import main

sys.exit(main())
