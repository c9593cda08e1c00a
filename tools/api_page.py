"""The page docs/api.md, from the OpenAPI document of the service."""

import tempfile
from pathlib import Path
from typing import Any

from osoroi.catalog.local import LocalCatalog
from osoroi.encoder import Encoder
from osoroi.search import Searcher
from osoroi.server import app
from osoroi.server.decoding.pool import DecodingPool
from osoroi.server.settings import Settings

METHODS = ("get", "post", "put", "patch", "delete")


def document() -> dict[str, Any]:
    """The OpenAPI document; it does not depend on the catalog."""
    encoder = Encoder.open()
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCatalog.open_or_create(Path(folder) / "shop", encoder) as catalog,
    ):
        settings = Settings()
        return app.make(Searcher(encoder, catalog), settings, decoder=DecodingPool.of(settings)).openapi()


def page(openapi: dict[str, Any]) -> str:
    """Every route with its parameters, body and answers, and every model, as Markdown."""
    lines = ["# The API", "", "Written by `make docs` from the service's own `/openapi.json`.", ""]
    lines += [openapi["info"]["description"].strip(), "", "How to call it stands in [serve.md](serve.md).", ""]
    for path, item in openapi["paths"].items():
        for method in METHODS:
            if method in item:
                lines += route(method, path, item[method])
    lines += ["## What is sent and answered", ""]
    for name, model in sorted(openapi["components"]["schemas"].items()):
        lines += [f"### {name}", "", *described(model), *table(model), ""]
    return "\n".join(lines).rstrip() + "\n"


def route(method: str, path: str, operation: dict[str, Any]) -> list[str]:
    """One route."""
    lines = [f"## {method.upper()} {path}", "", operation["description"], ""]
    parameters = operation.get("parameters", [])
    if parameters:
        lines += ["| parameter | in | is | meaning |", "|---|---|---|---|"]
        for one in parameters:
            kind = kind_of(one["schema"])
            lines.append(f"| `{one['name']}` | {one['in']} | {kind} | {one.get('description', '')} |")
        lines.append("")
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        if "$ref" in content["schema"]:
            lines += [f"Body, `{media}`: {kind_of(content['schema'])} a line.", ""]
        else:
            lines += [f"Body, `{media}`:", "", *table(content["schema"]), ""]
    answers = [
        f"`{status}` {answer_of(answer)}".rstrip()
        for status, answer in operation["responses"].items()
        if status.startswith(("2", "3"))
    ]
    return [*lines, f"Answers {', '.join(answers)}; errors are `ErrorResponse`.", ""]


def answer_of(answer: dict[str, Any]) -> str:
    """What an answer is: a model, or a type of media."""
    for media, content in answer.get("content", {}).items():
        reference = content.get("schema", {}).get("$ref", "")
        return f"[{name_of(reference)}](#{name_of(reference).lower()})" if reference else f"`{media}`"
    return ""


def described(model: dict[str, Any]) -> list[str]:
    """A model's own words."""
    return [model["description"], ""] if "description" in model else []


def table(model: dict[str, Any]) -> list[str]:
    """A model's fields."""
    lines = ["| field | is | meaning |", "|---|---|---|"]
    for name, field in model.get("properties", {}).items():
        needed = ", required" if name in model.get("required", []) else ""
        lines.append(f"| `{name}` | {kind_of(field)}{needed} | {field.get('description', '')} |")
    return lines


def kind_of(field: dict[str, Any]) -> str:  # noqa: PLR0911  one line a kind
    """A type in words."""
    if "anyOf" in field:
        kinds = [kind_of(one) for one in field["anyOf"]]
        return " or ".join(dict.fromkeys(kinds))
    if "$ref" in field:
        return f"[{name_of(field['$ref'])}](#{name_of(field['$ref']).lower()})"
    if "const" in field:
        return f'`"{field["const"]}"`'
    if "contentMediaType" in field:
        return "file"
    kind = str(field.get("type", "anything"))
    if kind == "array":
        inner = field.get("items") or (field.get("prefixItems") or [{}])[0]
        return f"list of {kind_of(inner)}"
    if kind == "object" and isinstance(field.get("additionalProperties"), dict):
        return f"object of {kind_of(field['additionalProperties'])}"
    low, high = field.get("minimum"), field.get("maximum")
    return f"{kind} {low:g}…{high:g}" if low is not None and high is not None else kind


def name_of(reference: str) -> str:
    """The last step of a reference."""
    return reference.rpartition("/")[2]
