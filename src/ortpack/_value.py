"""The base class of the loader's values: immutable objects with named fields, cheap to define."""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers know the name

if TYPE_CHECKING:
    from typing_extensions import Self, dataclass_transform
else:

    def dataclass_transform(**_: object) -> object:
        """Stands in for typing's decorator, which Python 3.10 does not have; type checkers see that one."""
        return lambda cls: cls


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Value:
    """A value has fields that are given by keyword and never change; values with equal fields are equal.

    It behaves as a frozen dataclass with keyword-only fields. Defining one of those takes 50 times as long as a plain
    class (a named tuple 20 times), and the loader defines a dozen values on the way to a first result.
    """

    def __init__(self, **fields: object) -> None:
        cls = type(self)
        for name in cls.__annotations__:
            try:
                self.__dict__[name] = fields.pop(name) if name in fields else getattr(cls, name)
            except AttributeError:
                raise TypeError(f"{cls.__name__} needs {name}=") from None
        if fields:
            raise TypeError(f"{cls.__name__} has no {', '.join(fields)}")

    def _replace(self, **fields: object) -> Self:
        """Copy the value with some fields changed."""
        return type(self)(**{**self.__dict__, **fields})

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} can't be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} can't be deleted")

    def __eq__(self, other: object) -> bool:
        return self.__dict__ == other.__dict__ if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self.__dict__.values()))

    def __repr__(self) -> str:
        shown = (f"{name}={value!r}" for name, value in self.__dict__.items())
        return f"{type(self).__name__}({', '.join(shown)})"
