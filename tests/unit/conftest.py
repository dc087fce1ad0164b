from __future__ import annotations

from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # no test depends on time
settings.load_profile("untimed")
