"""Patches: applied as `patch` would, all or nothing."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortpack_build.base.errors import ArchiveError, SourceError
from ortpack_build.origin.source import patch

if TYPE_CHECKING:
    from pathlib import Path

_OLD = "".join(f"line {n}\n" for n in range(20))


def _diff(old: str, new: str, name: str = "f.txt", context: int = 3) -> str:
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), f"a/{name}", f"b/{name}", n=context
    )
    return "".join(lines)


def _apply(text: str, old: str, folder: Path) -> str:
    (folder / "f.txt").write_text(old)
    patch.apply(text, folder, where="p.patch")
    return (folder / "f.txt").read_text()


_lines = st.lists(st.sampled_from(["a", "b", "c", "", "  x"]), min_size=1, max_size=30)


@given(old=_lines, new=_lines)
def test_a_diff_leads_from_old_to_new(old: list[str], new: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    before, after = "\n".join(old) + "\n", "\n".join(new) + "\n"
    if before != after:
        diff = _diff(before, after, context=100)
        assert _apply(diff, before, tmp_path_factory.mktemp("p")) == after


def test_a_hunk_that_moved(tmp_path: Path) -> None:
    diff = _diff(_OLD, _OLD.replace("line 9\n", "line nine\n"))
    assert _apply(diff, "more\n" * 7 + _OLD, tmp_path) == "more\n" * 7 + _OLD.replace("line 9\n", "line nine\n")


def test_outer_context_that_differs_and_blanks(tmp_path: Path) -> None:
    diff = _diff(_OLD, _OLD.replace("line 9\n", "line nine\n"))
    other = _OLD.replace("line 6\n", "another\n").replace("line 8\n", "line   8 \n")
    assert _apply(diff, other, tmp_path) == other.replace("line 9\n", "line nine\n")


def test_patches_of_our_own_fit_exactly(tmp_path: Path) -> None:
    changes = patch.parse(_diff(_OLD, _OLD.replace("line 9\n", "line nine\n")), where="p")
    (tmp_path / "f.txt").write_text(_OLD.replace("line 6\n", "another\n"))
    with pytest.raises(SourceError, match="does not fit"):
        patch.apply_changes(changes, tmp_path, where="p")
    patch.apply_changes(changes, tmp_path, where="p", fuzz=1)
    assert "line nine\n" in (tmp_path / "f.txt").read_text()


def test_line_endings_are_kept(tmp_path: Path) -> None:
    (tmp_path / "f.txt").write_bytes(_OLD.replace("\n", "\r\n").encode())
    patch.apply(_diff(_OLD, _OLD.replace("line 9\n", "")), tmp_path, where="p")
    assert (tmp_path / "f.txt").read_bytes() == _OLD.replace("line 9\n", "").replace("\n", "\r\n").encode()


def test_a_hard_link_is_cut(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text(_OLD)
    (tmp_path / "f.txt").hardlink_to(kept)
    patch.apply(_diff(_OLD, _OLD.replace("line 9", "x")), tmp_path, where="p")
    assert kept.read_text() == _OLD


def test_what_does_not_fit_changes_nothing(tmp_path: Path) -> None:
    good = _diff(_OLD, _OLD.replace("line 1\n", "one\n"))
    bad = _diff("x\n" + _OLD, "y\n" + _OLD, name="g.txt")
    (tmp_path / "g.txt").write_text("something else\n")
    with pytest.raises(SourceError, match=r"does not fit g\.txt"):
        _apply(good + bad, _OLD, tmp_path)
    assert (tmp_path / "f.txt").read_text() == _OLD


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("nothing of the kind", SourceError),
        ("--- /dev/null\n+++ b/f.txt\n@@ -0,0 +1 @@\n+x\n", SourceError),
        ("--- a/f.txt\n+++ b/f.txt\n@@ -1,3 +1,3 @@\n line 0\n", SourceError),
        ("--- a/../f.txt\n+++ b/../f.txt\n@@ -1 +1 @@\n-line 0\n+x\n", ArchiveError),
    ],
)
def test_bad_patches(text: str, error: type[Exception], tmp_path: Path) -> None:
    with pytest.raises(error):
        _apply(text, _OLD, tmp_path)
