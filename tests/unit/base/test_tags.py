from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortpack_build.base.tags import PlatformTag, parse_tag, version_key

ARCHES = st.sampled_from(["x86_64", "aarch64", "armv7l", "arm64", "amd64"])
VERSIONS = st.tuples(st.integers(0, 999), st.integers(0, 999)).map(lambda v: f"{v[0]}.{v[1]}")
TAGS = st.one_of(
    st.builds(PlatformTag, family=st.sampled_from(["manylinux", "musllinux", "macosx"]), version=VERSIONS, arch=ARCHES),
    st.builds(PlatformTag, family=st.just("win"), version=st.none(), arch=ARCHES),
)


@given(TAGS)
def test_a_tag_is_read_back_as_written(tag: PlatformTag) -> None:
    assert parse_tag(str(tag)) == tag


@pytest.mark.parametrize(
    ("text", "os", "libc", "version"),
    [
        ("manylinux_2_28_x86_64", "linux", "glibc", "2.28"),
        ("musllinux_1_2_aarch64", "linux", "musl", "1.2"),
        ("macosx_14_0_arm64", "macos", None, "14.0"),
        ("win_arm64", "windows", None, None),
    ],
)
def test_what_a_tag_promises(text: str, os: str, libc: str | None, version: str | None) -> None:
    tag = parse_tag(text)
    assert tag is not None
    assert (tag.os, tag.libc, tag.version) == (os, libc, version)


@pytest.mark.parametrize(
    "text", ["any", "linux_x86_64", "manylinux2014_x86_64", "manylinux_2_x86_64", "win32", "", "manylinux_2_28_"]
)
def test_no_platform_of_ours(text: str) -> None:
    assert parse_tag(text) is None


@given(st.lists(st.integers(0, 50), min_size=1, max_size=4), st.lists(st.integers(0, 50), min_size=1, max_size=4))
def test_versions_compare_as_numbers_and_trailing_zeros_do_not_count(a: list[int], b: list[int]) -> None:
    def text(parts: list[int]) -> str:
        return ".".join(map(str, parts))

    assert version_key(text([*a, 0])) == version_key(text(a))
    padded = [(parts + [0] * 4)[:4] for parts in (a, b)]
    assert (version_key(text(a)) < version_key(text(b))) == (padded[0] < padded[1])
