"""deploy/: compose and Kubernetes name images, files, commands, ports and probes that exist."""

import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.events.topics import SERVICES
from common.process import parser
from common.settings import PostgresSettings
from tools.image.dockerfile import Dockerfile

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
ROLES = ("api", "worker")
DRAIN_SECONDS = 25  # from SIGTERM to the end


def of_kind(path: Path, kind: str) -> dict[str, dict[str, Any]]:
    documents: Iterator[dict[str, Any]] = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    return {each["metadata"]["name"]: each for each in documents if each["kind"] == kind}


@pytest.mark.parametrize("service", SERVICES)
def test_compose_prepares_a_service_and_then_starts_its_api_and_its_worker(service: str) -> None:
    parts = COMPOSE["services"]
    prepare = parts[f"{service}-prepare"]

    assert prepare["build"]["args"] == {"SERVICE": service}
    said = prepare["entrypoint"][-1].split(" && ")
    assert [shlex.split(each)[:3] for each in said] == [["python", "-m", service]] * 2
    for each in said:
        assert parser(service).parse_args(shlex.split(each)[3:])
    for role in ROLES:
        part = parts[f"{service}-{role}"]
        assert parser(service).parse_args(part["command"]).command == role
        assert part["image"] == prepare["image"]
        assert part["env_file"] == f"env/{service}.env"
        assert f"{service}-prepare" in part["depends_on"]


def test_what_compose_mounts_and_reads_exists() -> None:
    parts = COMPOSE["services"]
    files = {part["env_file"] for part in parts.values() if "env_file" in part} | {
        volume.split(":")[0]
        for part in parts.values()
        for volume in part.get("volumes", [])
        if volume.startswith("./")
    }

    assert [name for name in files if not (DEPLOY / name).is_file()] == []
    assert set(parts) == {"postgres", "kafka"} | {
        f"{service}-{part}" for service in SERVICES for part in ("prepare", *ROLES)
    }


def test_all_pools_of_compose_fit_on_its_database() -> None:
    given = re.search(r"max_connections=(\d+)", " ".join(COMPOSE["services"]["postgres"]["command"]))
    assert given is not None
    pools = PostgresSettings(dsn="postgresql://")  # the env files say the defaults, and a test that they do

    assert len(SERVICES) * (pools.api_connections + pools.worker_connections) < int(given.group(1))


def test_the_database_has_a_database_and_a_role_of_each_service() -> None:
    said = (DEPLOY / "postgres" / "init.sql").read_text(encoding="utf-8")

    assert set(re.findall(r"CREATE DATABASE (\w+) OWNER (\w+);", said)) == {(each, each) for each in SERVICES}
    assert set(re.findall(r"CREATE ROLE (\w+) ", said)) == set(SERVICES)


def test_there_is_a_manifest_of_each_service() -> None:
    assert [path.stem for path in MANIFESTS] == sorted(SERVICES)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
@pytest.mark.parametrize("role", ROLES)
def test_a_deployment_starts_a_role_and_asks_the_right_port(path: Path, role: str) -> None:
    service = path.stem
    deployment = of_kind(path, "Deployment")[f"{service}-{role}"]
    pod = deployment["spec"]["template"]
    [container] = pod["spec"]["containers"]
    settings = import_module(f"{service}.settings").Settings.model_fields
    names = ["http", "internal"] if role == "api" else ["ops"]

    assert parser(service).parse_args(container["args"]).command == role
    assert container["image"].startswith(f"teleconsultation-{service}:")
    assert container["envFrom"] == [{"secretRef": {"name": service}}]
    assert container["ports"] == [
        {"name": name, "containerPort": settings[name].default.port} for name in names
    ]
    for probe, path_of in (("readinessProbe", "ready"), ("livenessProbe", "live")):
        asked = container[probe]["httpGet"]
        assert asked == {"path": f"/{service}/health/{path_of}", "port": names[0]}
    assert pod["spec"]["terminationGracePeriodSeconds"] > DRAIN_SECONDS
    assert deployment["spec"]["selector"]["matchLabels"] == pod["metadata"]["labels"]
    assert pod["metadata"]["annotations"] == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(settings[names[-1]].default.port),
        "prometheus.io/path": f"/{service}/metrics",
    }


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
@pytest.mark.parametrize("role", ROLES)
def test_a_pod_has_a_read_only_root_and_a_folder_for_temporary_files(path: Path, role: str) -> None:
    pod = of_kind(path, "Deployment")[f"{path.stem}-{role}"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    image = Dockerfile.read((DEPLOY / "Dockerfile").read_text(encoding="utf-8"), {"SERVICE": path.stem})
    uid, gid = map(int, image.user.split(":"))

    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert pod["securityContext"] == {"runAsUser": uid, "runAsGroup": gid, "fsGroup": gid}
    given = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
    assert set(given.values()) == {each["name"] for each in pod["volumes"]}
    assert {"name": given[image.environment["TMPDIR"]], "emptyDir": {}} in pod["volumes"]


@pytest.mark.parametrize("service", SERVICES)
def test_compose_gives_a_read_only_root_and_the_image_s_volumes(service: str) -> None:
    image = Dockerfile.read((DEPLOY / "Dockerfile").read_text(encoding="utf-8"), {"SERVICE": service})
    for role in ROLES:
        part = COMPOSE["services"][f"{service}-{role}"]
        mounted = {each.split(":")[1] for each in part.get("volumes", [])} | set(part["tmpfs"])

        assert part["read_only"]
        assert mounted <= set(image.volumes)
        assert image.environment["TMPDIR"] in mounted


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_a_service_leads_to_the_pods_of_the_api(path: Path) -> None:
    [(name, service)] = of_kind(path, "Service").items()
    pods = of_kind(path, "Deployment")[name]["spec"]["template"]

    assert service["spec"]["selector"] == pods["metadata"]["labels"]
    led = {each["targetPort"]: each["port"] for each in service["spec"]["ports"]}
    assert led == {each["name"]: each["containerPort"] for each in pods["spec"]["containers"][0]["ports"]}


@pytest.mark.parametrize("service", SERVICES)
def test_services_ask_each_other_on_the_internal_port_which_compose_does_not_publish(service: str) -> None:
    internal = import_module(f"{service}.settings").Settings.model_fields["internal"].default.port
    told = (DEPLOY / "env" / f"{service}.env").read_text(encoding="utf-8")
    asked = re.findall(r"^[A-Z]+_(?:BOOKING|CLAIMS)_URL=(.*)$", told, re.MULTILINE)
    published = COMPOSE["services"][f"{service}-api"]["ports"]

    assert set(asked) <= {f"http://{each}-api:{internal}" for each in SERVICES}
    assert asked
    assert not any(each.endswith(f":{internal}") for each in published)
