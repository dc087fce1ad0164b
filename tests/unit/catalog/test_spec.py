from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortpack_build.base.data_file import shipped_folder
from ortpack_build.base.errors import UsageError
from ortpack_build.catalog import manifests, spec
from ortpack_build.catalog.spec import Spec

if TYPE_CHECKING:
    from pathlib import Path

CATALOG = manifests.load()
CPU = spec.resolve(CATALOG, "cpu", "linux-x86_64")
OFFICIAL = [name for name in CATALOG.targets if spec.releases(CATALOG, CATALOG.variants["cpu"], name)]


def test_the_newest_release_is_the_default() -> None:
    assert (CPU.ort_version, CPU.api_version) == ("1.32.0", 32)
    assert spec.resolve(CATALOG, "cpu", "linux-x86_64", "1.21.0").api_version == 21


def test_targets_that_official_wheels_leave_out() -> None:
    assert set(CATALOG.targets) - set(OFFICIAL) == {"linux-armv7l", "musllinux-x86_64", "musllinux-aarch64"}


@pytest.mark.parametrize("target", OFFICIAL)
def test_every_target_resolves(target: str) -> None:
    resolved = spec.resolve(CATALOG, "cpu", target)
    assert resolved.library in {file.name for file in resolved.files}
    assert isinstance(resolved.source, spec.Prebuilt)
    assert set(resolved.source.members.values()) == {file.name for file in resolved.files}
    assert all("1.32.0" in member or "{" not in member for member in resolved.source.members)


def test_the_platform_comes_from_target_and_tag() -> None:
    def platform(target: str, ort: str | None = None) -> dict[str, Any]:
        built: dict[str, Any] = msgspec.to_builtins(spec.resolve(CATALOG, "cpu", target, ort).platform)
        return built

    assert platform("linux-x86_64") == {"os": "linux", "arch": "x86_64", "libc": "glibc", "libc_version": "2.28"}
    assert platform("linux-aarch64", "1.21.0")["libc_version"] == "2.27"
    assert platform("macos-arm64") == {"os": "macos", "arch": "arm64", "os_version": "14.0"}
    assert platform("win-arm64") == {"os": "windows", "arch": "arm64"}


def test_the_hash_is_one_of_values_not_of_spelling() -> None:
    again = msgspec.json.decode(msgspec.json.encode(CPU), type=Spec)
    assert again == CPU
    assert again.digest == CPU.digest
    system = msgspec.structs.replace(CPU.system, symbols=dict(reversed(CPU.system.symbols.items())))
    assert msgspec.structs.replace(CPU, system=system).digest == CPU.digest


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    inner = [leaf for key, item in items for leaf in leaves(item, (*path, key))]
    return inner or ([path] if not isinstance(value, dict | list) else [])


# The target says its machine.
@given(st.sampled_from([path for path in leaves(msgspec.to_builtins(CPU)) if path != ("machine",)]))
def test_every_value_counts_in_the_hash(path: tuple[str | int, ...]) -> None:
    data = json.loads(msgspec.json.encode(CPU))
    where = data
    for key in path[:-1]:
        where = where[key]
    old = where[path[-1]]
    where[path[-1]] = not old if isinstance(old, bool) else old + 1 if isinstance(old, int) else f"{old}x"
    try:
        changed = msgspec.convert(data, Spec)
    except msgspec.ValidationError:
        return  # a value of a fixed set
    assert changed.digest != CPU.digest


def test_the_order_of_devices_and_providers_counts() -> None:
    two = (spec.Device(name="a", providers=("X",)), spec.Device(name="b", providers=("Y",)))
    assert (
        msgspec.structs.replace(CPU, devices=two).digest
        != msgspec.structs.replace(CPU, devices=tuple(reversed(two))).digest
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cpux", "linux-x86_64"), r"no variant 'cpux'.*Did you mean cpu\?"),
        (("cpu", "linux-x86-64"), r"no target 'linux-x86-64'.*Did you mean linux-x86_64\?"),
        (("cpu", "win-arm64", "1.21.0"), r"1\.21\.0 is not pinned for cpu on win-arm64.*Allowed: 1\.32\.0"),
    ],
)
def test_unknown_names_get_the_nearest_right_one(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        spec.resolve(CATALOG, *arguments)
    assert re.search(message, caught.value.paragraph())


def test_a_target_that_a_variant_is_not_made_for(tmp_path: Path) -> None:
    text = (shipped_folder() / "targets.toml").read_text()
    extra = '[[targets]]\nname = "musl-x86_64"\nos = "linux"\narch = "x86_64"\nlibc = "musl"\nmachine = "X86_64"\n'
    (tmp_path / "targets.toml").write_text(f'{text}\n{extra}policy = "manylinux"\nruns_on = []\n')
    with pytest.raises(UsageError, match="cpu is not made for musl-x86_64"):
        spec.resolve(manifests.load(tmp_path), "cpu", "musl-x86_64")


@pytest.mark.parametrize(
    ("tag", "glibc"),
    [
        ("manylinux_2_28_x86_64", "2.28"),
        ("manylinux_2_30_x86_64", "2.28"),
        ("manylinux_2_34_x86_64", "2.34"),
        ("manylinux_2_99_x86_64", "2.35"),
        ("manylinux_2_5_x86_64", None),
        ("win_amd64", None),
    ],
)
def test_a_tag_is_granted_the_newest_level_not_above_it(tag: str, glibc: str | None) -> None:
    assert spec.system(CATALOG.policies["manylinux"], tag).symbols.get("GLIBC") == glibc
