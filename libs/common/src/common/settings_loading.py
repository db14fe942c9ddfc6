"""Settings from the environment. Each wrong variable gets one line with its name, never with its value."""

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_settings import SettingsError

from common.settings import ServiceSettings

S = TypeVar("S", bound=ServiceSettings)

_DELIMITER: Final = "__"


class SettingsRefused(Exception):
    """The environment does not hold what the service needs. `lines`: one per variable, to be printed."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = tuple(dict.fromkeys(lines))
        super().__init__("\n".join(self.lines))


def load(settings: type[S]) -> S:
    """The settings of this process. Raises SettingsRefused."""
    names = list(os.environ)  # noqa: TID251 - the names alone: which variables are there
    prefix = str(settings.model_config.get("env_prefix", ""))
    lines = list(_unknown(settings, prefix, names))
    loaded: S | None = None
    try:
        loaded = settings()
    except ValidationError as error:
        lines += [
            line for each in error.errors(include_input=False) for line in _lines(each, settings, prefix)
        ]
    except SettingsError as error:  # a group of settings that is given as JSON, and is none
        lines += [f"{name}: not JSON" for name in _groups_in(str(error), settings, prefix)]
    if lines or loaded is None:
        raise SettingsRefused(lines)
    return loaded


def variables(settings: type[BaseModel], prefix: str) -> Iterator[tuple[str, type[BaseModel], str]]:
    """Every variable: its name, and the model and field that it sets. `NAME` stands for a free key."""
    for field, info in settings.model_fields.items():
        name = f"{prefix}{field.upper()}"
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from variables(kind, f"{name}{_DELIMITER}")
        elif get_origin(kind) is dict:
            yield f"{name}{_DELIMITER}NAME", settings, field
        else:
            yield name, settings, field


def _unknown(settings: type[BaseModel], prefix: str, names: Iterable[str]) -> Iterator[str]:
    known = {name for name, _, _ in variables(settings, prefix)}
    free = tuple(name.removesuffix("NAME") for name in known if name.endswith(f"{_DELIMITER}NAME"))
    groups = {name.rpartition(_DELIMITER)[0] for name in known if _DELIMITER in name}
    for given in names:
        name = given.upper()
        if not name.startswith(prefix) or name in known | groups or name.startswith(free or ("\0",)):
            continue
        close = difflib.get_close_matches(name, known, n=1)
        yield f"{given}: no such setting" + (f"; did you mean {close[0]}?" if close else "")


def _lines(error: Mapping[str, Any], settings: type[BaseModel], prefix: str) -> Iterator[str]:
    location = [str(each) for each in error["loc"]]
    if error["type"] == "settings_refused":
        for name in error["ctx"]["names"]:
            yield f"{_variable(prefix, [*location, *name.split('.')])}: {error['ctx']['reason']}"
    elif error["type"] == "missing":
        for name in _missing(settings, prefix, location):
            yield f"{name}: missing"
    elif error["type"] != "extra_forbidden":  # said as an unknown variable
        message = str(error["msg"]).removeprefix("Value error, ")
        yield f"{_variable(prefix, location)}: {message[:1].lower()}{message[1:]}"


def _variable(prefix: str, location: Iterable[str]) -> str:
    return prefix + _DELIMITER.join(each.upper() for each in location if each != "[key]")


def _missing(settings: type[BaseModel], prefix: str, location: list[str]) -> Iterator[str]:
    """A missing group is all its variables that have no default."""
    kind: Any = settings
    for each in location:
        fields = kind.model_fields if isinstance(kind, type) and issubclass(kind, BaseModel) else {}
        kind = fields[each].annotation if each in fields else None
    name = _variable(prefix, location)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for each, model, field in variables(kind, f"{name}{_DELIMITER}"):
            if model.model_fields[field].is_required():
                yield each
    else:
        yield f"{name}{_DELIMITER}NAME" if get_origin(kind) is dict or dict in get_args(kind) else name


def _groups_in(message: str, settings: type[BaseModel], prefix: str) -> Iterator[str]:
    """The names of groups that a message of the library names in quotes; nothing else of it is repeated."""
    found = [field for field in settings.model_fields if f'"{field}"' in message]
    yield from (_variable(prefix, [field]) for field in found or ["..."])
