"""Which refusals an operation may answer, read from the code that its route reaches.

The result stands in `api/problems.json` of each service: `make docs` writes it, the service puts it into its
OpenAPI document, beside the refusals that all operations of a kind share.
"""

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from common.web.problem_catalogue import CATALOGUE

SERVICES: Final = ("booking", "payment", "claims", "documents")
_METHODS: Final = frozenset({"get", "post", "put", "patch", "delete"})
_MAKERS: Final = frozenset({"Problem", "problem"})  # calls whose second argument is a code


@dataclass(slots=True)
class _Module:
    functions: dict[str, ast.AST] = field(default_factory=dict)  # also classes, by name
    names: dict[str, str] = field(default_factory=dict)  # imported: local name -> dotted name


def generated(root: Path) -> dict[Path, str]:
    """The file of each service by its path."""
    modules = _modules(root)
    return {
        root / f"services/{service}/src/{service}/api/problems.json": _json(_of_service(service, modules))
        for service in SERVICES
    }


def _json(found: dict[str, list[str]]) -> str:
    return json.dumps(found, indent=2, sort_keys=True) + "\n"


def _of_service(service: str, modules: dict[str, _Module]) -> dict[str, list[str]]:
    methods = _methods(service, modules)
    found: dict[str, list[str]] = {}
    for name, module in modules.items():
        if not name.startswith(f"{service}.api.") and name != "common.web.access":
            continue
        for function in module.functions.values():
            if isinstance(function, ast.AsyncFunctionDef) and _is_route(function):
                codes = _reached(function, name, modules, methods)
                known = {each for each in codes if each in CATALOGUE}
                found[function.name] = sorted(known)
    return found


def _is_route(function: ast.AsyncFunctionDef) -> bool:
    return any(
        isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) and each.func.attr in _METHODS
        for each in function.decorator_list
    )


def _modules(root: Path) -> dict[str, _Module]:
    found = {}
    places = [root / "libs/common/src", *(root / f"services/{each}/src" for each in SERVICES)]
    for place in places:
        for path in sorted(place.rglob("*.py")):
            parts = path.relative_to(place).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = _read(ast.parse(path.read_text(encoding="utf-8")))
    return found


def _read(tree: ast.Module) -> _Module:
    module = _Module()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            for each in node.names:
                module.names[each.asname or each.name] = f"{node.module}.{each.name}"
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            module.functions[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):  # constants that hold functions or make objects
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Name) and node.value is not None:
                    module.functions.setdefault(target.id, node.value)
    return module


def _methods(service: str, modules: dict[str, _Module]) -> dict[str, list[tuple[ast.AST, str]]]:
    """Methods of the classes of a service and of the library, by name, with their module."""
    found: dict[str, list[tuple[ast.AST, str]]] = {}
    for name, module in modules.items():
        if name.partition(".")[0] not in {service, "common"}:
            continue
        for each in module.functions.values():
            if isinstance(each, ast.ClassDef):
                for inner in each.body:
                    if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                        found.setdefault(inner.name, []).append((inner, name))
    return found


def _reached(
    start: ast.AST,
    module: str,
    modules: dict[str, _Module],
    methods: dict[str, list[tuple[ast.AST, str]]],
) -> set[str]:
    codes: set[str] = set()
    seen: set[int] = set()
    waiting = [(start, module)]
    while waiting:
        node, where = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, ast.ClassDef):
            codes |= set(_code_of(node))
            continue
        codes |= set(_made(node))
        waiting += _referred(node, where, modules, methods)
    return codes


def _code_of(node: ast.ClassDef) -> Iterator[str]:
    for each in node.body:
        if isinstance(each, ast.AnnAssign | ast.Assign):
            target = each.target if isinstance(each, ast.AnnAssign) else each.targets[0]
            is_code = isinstance(target, ast.Name) and target.id == "code"
            if is_code and isinstance(each.value, ast.Constant) and isinstance(each.value.value, str):
                yield each.value.value


def _made(node: ast.AST) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Call) and len(each.args) > 1:
            name = each.func.id if isinstance(each.func, ast.Name) else getattr(each.func, "attr", "")
            code = each.args[1]
            if name in _MAKERS and isinstance(code, ast.Constant) and isinstance(code.value, str):
                yield code.value


def _referred(
    node: ast.AST,
    where: str,
    modules: dict[str, _Module],
    methods: dict[str, list[tuple[ast.AST, str]]],
) -> list[tuple[ast.AST, str]]:
    """Functions, classes and methods that a function names, called or handed on."""
    module, found = modules[where], []
    for each in ast.walk(node):
        if isinstance(each, ast.Name):
            found += _named(each.id, where, module, modules)
        elif isinstance(each, ast.Attribute):
            owner = module.names.get(each.value.id) if isinstance(each.value, ast.Name) else None
            if owner in modules:
                other = modules[owner]
                if each.attr in other.functions:
                    found.append((other.functions[each.attr], owner))
                    continue
            candidates = methods.get(each.attr, [])
            if len(candidates) == 1:  # a name that several classes share says nothing
                found += candidates
    return found


def _named(name: str, where: str, module: _Module, modules: dict[str, _Module]) -> list[tuple[ast.AST, str]]:
    if name in module.functions:
        return [(module.functions[name], where)]
    owner, _, own = module.names.get(name, "").rpartition(".")
    if owner in modules and own in modules[owner].functions:
        return [(modules[owner].functions[own], owner)]
    return []
