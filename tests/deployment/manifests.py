"""The files of `ops/deploy/kubernetes`, as YAML reads them."""

import json
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "ops" / "deploy" / "kubernetes"
SCHEMA: dict[str, Any] = json.loads(Path(__file__).with_name("kubernetes.schema.json").read_text())
KUSTOMIZATIONS = sorted(FOLDER.rglob("kustomization.yaml"))
FILES = sorted(set(FOLDER.rglob("*.yaml")) - set(KUSTOMIZATIONS))

Manifest = dict[str, Any]


def read(file: Path) -> list[Manifest]:
    """The objects of a file."""
    return list(yaml.safe_load_all(file.read_text()))


def schema_of(manifest: Manifest) -> dict[str, Any]:
    """The schema of its kind. KeyError for a kind that we have none of."""
    kind = SCHEMA["kinds"][f"{manifest['apiVersion']}/{manifest['kind']}"]
    return {**kind, "$schema": SCHEMA["$schema"], "$defs": SCHEMA["$defs"]}


MANIFESTS = {
    f"{manifest['kind']} {manifest['metadata']['name']}": manifest
    for file in FILES
    if file.name != "secrets.example.yaml"
    for manifest in read(file)
}


def of_kind(*kinds: str) -> dict[str, Manifest]:
    """By name."""
    return {
        manifest["metadata"]["name"]: manifest
        for manifest in MANIFESTS.values()
        if manifest["kind"] in kinds
    }


CONFIG = {name: one["data"] for name, one in of_kind("ConfigMap").items()}
DEPLOYMENTS = of_kind("Deployment")
PODS = {name: one["spec"]["template"]["spec"] for name, one in of_kind("Deployment", "Job").items()}
CONTAINERS = {name: pod["containers"][0] for name, pod in PODS.items()}


def environment_of(container: Manifest) -> dict[str, str]:
    """What the container finds in its environment."""
    found: dict[str, str] = {}
    for source in container["envFrom"]:
        found |= CONFIG[source["configMapRef"]["name"]]
    return found
