"""`ops/deploy/kubernetes` against the schemas of its kinds, and against what the program does.

`kubernetes.schema.json` tells where its schemas come from; their licence is that of the compose
specification's, which stands beside it.
"""

import copy
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
import yaml
from prometheus_client import CollectorRegistry

from streams.health import Pulse, pages
from streams.settings import Settings
from streams.topology import Role, group_id
from streams.worker import STOP_MARGIN
from tests.deployment.manifests import (
    CONFIG,
    CONTAINERS,
    DEPLOYMENTS,
    FILES,
    FOLDER,
    KUSTOMIZATIONS,
    MANIFESTS,
    PODS,
    ROOT,
    Manifest,
    environment_of,
    of_kind,
    read,
    schema_of,
)
from tests.deployment.told import OF_KAFKA, VARIABLES, parsed, words_of
from tests.monitoring.exported import SCRAPED
from topics.catalogue import NPC_SNAPSHOTS, PARTITIONS
from topics.connection import KafkaConnection

KUBECTL = shutil.which("kubectl")
WORKERS = [f"rollcall-{role}" for role in Role]
OF_KEDAS_KAFKA_TRIGGER = {
    "bootstrapServers",
    "consumerGroup",
    "topic",
    "lagThreshold",
    "activationLagThreshold",
    "offsetResetPolicy",
    "allowIdleConsumers",
    "excludePersistentLag",
    "limitToPartitionsWithLag",
    "partitionLimitation",
    "scaleToZeroOnInvalidOffset",
    "version",
    "sasl",
    "tls",
}
"""What the trigger `kafka` of KEDA 2.16 reads; its schema takes any name."""


def every_object() -> list[Any]:
    return [
        pytest.param(one, id=f"{file.relative_to(FOLDER)}-{one['kind']}-{one['metadata']['name']}")
        for file in FILES
        for one in read(file)
    ]


@pytest.mark.parametrize("manifest", every_object())
def test_an_object_is_as_its_kind_demands(manifest: Manifest) -> None:
    jsonschema.validate(manifest, schema_of(manifest))


@pytest.mark.parametrize(
    ("name", "misspell"),
    [
        ("Deployment rollcall-filter", lambda spec: spec["template"]["spec"]),
        ("Deployment rollcall-lag", lambda spec: spec["template"]["spec"]["containers"][0]),
        ("Job rollcall-topics", lambda spec: spec),
        ("PodDisruptionBudget rollcall-writer", lambda spec: spec["selector"]),
        ("PodMonitor rollcall", lambda spec: spec["podMetricsEndpoints"][0]),
        ("PrometheusRule rollcall", lambda spec: spec["groups"][0]["rules"][0]),
        ("ScaledObject rollcall-filter", lambda spec: spec["scaleTargetRef"]),
    ],
)
def test_a_misspelt_field_is_refused(name: str, misspell: Callable[[Manifest], Manifest]) -> None:
    wrong = copy.deepcopy(MANIFESTS[name])
    misspell(wrong["spec"])["terminationGracePeriodSecond"] = 40

    with pytest.raises(jsonschema.ValidationError, match="Additional properties are not allowed"):
        jsonschema.validate(wrong, schema_of(wrong))


def test_a_value_of_another_type_is_refused() -> None:
    wrong = copy.deepcopy(MANIFESTS["ConfigMap rollcall"])
    wrong["data"]["ROLLCALL_METRICS_PORT"] = 9400

    with pytest.raises(jsonschema.ValidationError, match="is not of type 'string'"):
        jsonschema.validate(wrong, schema_of(wrong))


def test_each_file_is_applied_but_the_example_of_secrets() -> None:
    applied = [
        file.parent / name
        for file in KUSTOMIZATIONS
        for name in yaml.safe_load(file.read_text())["resources"]
    ]

    assert [FOLDER / "secrets.example.yaml"] == sorted(set(FILES) - set(applied))
    assert set(applied) <= set(FILES)


def test_no_secret_is_kept_here() -> None:
    secrets = read(FOLDER / "secrets.example.yaml")

    assert {"EXAMPLE"} == {value for one in secrets for value in one["stringData"].values()}
    assert {} == of_kind("Secret")


@pytest.mark.parametrize("name", CONFIG)
def test_every_variable_is_one_that_somebody_reads(name: str) -> None:
    commented = set(re.findall(r"ROLLCALL_[A-Z_]+(?=:)", (FOLDER / "settings.yaml").read_text()))

    assert set() == (set(CONFIG[name]) | commented) - VARIABLES


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_starts_with_its_settings(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("of a test\n")
    for variable, value in environment_of(CONTAINERS[name]).items():
        monkeypatch.setenv(variable, str(token) if variable.endswith("_FILE") else value)

    settings, connection = Settings(), KafkaConnection.from_environment()

    assert ("of a test" if name == "rollcall-writer" else None) == (
        settings.letta_token.get_secret_value() if settings.letta_token else None
    )
    assert ["kafka-bootstrap.kafka.svc:9092"] == connection.bootstrap_servers


def test_only_the_writer_is_told_of_letta() -> None:
    told = [name for name, one in CONTAINERS.items() if "ROLLCALL_LETTA_URL" in environment_of(one)]

    assert ["rollcall-writer"] == told


@pytest.mark.parametrize(
    ("name", "command"),
    [
        *((name, "worker") for name in WORKERS),
        ("rollcall-lag", "lag"),
        ("rollcall-topics", "topics apply"),
    ],
)
def test_a_container_runs_a_command_there_is(name: str, command: str) -> None:
    context = parsed(CONTAINERS[name]["args"])

    assert command == words_of(context)


def test_an_option_that_no_command_has_would_be_noticed() -> None:
    with pytest.raises(click.NoSuchOption):
        parsed(["lag", "--exports", "9308"])


@pytest.mark.parametrize("role", Role)
def test_a_worker_runs_the_role_it_is_named_after(role: Role) -> None:
    context = parsed(CONTAINERS[f"rollcall-{role}"]["args"])

    assert [role] == context.params["roles"]


@pytest.mark.parametrize("name", WORKERS)
def test_the_port_is_the_one_that_the_worker_answers_on(name: str) -> None:
    container = CONTAINERS[name]

    assert [int(environment_of(container)["ROLLCALL_METRICS_PORT"])] == [
        port["containerPort"] for port in container["ports"]
    ]


def test_the_port_is_the_one_that_the_lag_exporter_answers_on() -> None:
    container = CONTAINERS["rollcall-lag"]

    assert parsed(container["args"]).params["port"] == container["ports"][0]["containerPort"]


@pytest.mark.parametrize("name", WORKERS)
@pytest.mark.parametrize("probe", ["startupProbe", "livenessProbe", "readinessProbe"])
def test_a_probe_asks_a_page_that_answers_for_the_worker(name: str, probe: str) -> None:
    asked = CONTAINERS[name][probe]["httpGet"]
    answer = pages(CollectorRegistry(), Pulse(timeout=60.0))

    [body] = answer({"PATH_INFO": asked["path"]}, lambda *_: None)

    assert b"joining or recovering for 0 s\n" == body  # the page of metrics would be empty
    assert "metrics" == asked["port"]


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_is_killed_only_after_it_would_have_left(name: str) -> None:
    drain = float(environment_of(CONTAINERS[name])["ROLLCALL_DRAIN_TIMEOUT"])

    assert PODS[name]["terminationGracePeriodSeconds"] > drain + STOP_MARGIN


@pytest.mark.parametrize("name", WORKERS)
def test_the_data_folder_is_the_only_one_a_worker_may_write_into(name: str) -> None:
    container = CONTAINERS[name]
    writable = [one["mountPath"] for one in container["volumeMounts"] if not one.get("readOnly")]

    assert [environment_of(container)["ROLLCALL_DATA_DIR"]] == writable


@pytest.mark.parametrize("name", PODS)
def test_a_pod_is_as_restricted_as_the_namespace_demands(name: str) -> None:
    [uid] = re.findall(r"useradd .*--uid (\d+)", (ROOT / "Dockerfile").read_text())
    pod, container = PODS[name]["securityContext"], CONTAINERS[name]["securityContext"]

    assert (True, int(uid), {"type": "RuntimeDefault"}) == (
        pod["runAsNonRoot"],
        pod["runAsUser"],
        pod["seccompProfile"],
    )
    assert {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    } == container
    assert PODS[name]["automountServiceAccountToken"] is False


@pytest.mark.parametrize("name", PODS)
def test_services_put_no_variables_into_a_pod(name: str) -> None:
    assert PODS[name]["enableServiceLinks"] is False


@pytest.mark.parametrize("name", PODS)
def test_a_volume_that_is_mounted_is_there(name: str) -> None:
    mounted = {one["name"] for one in CONTAINERS[name]["volumeMounts"]}

    assert mounted == {one["name"] for one in PODS[name]["volumes"]}


def test_a_file_of_a_secret_is_one_that_is_mounted() -> None:
    text = (FOLDER / "settings.yaml").read_text()
    named = set(re.findall(r"_FILE: (\S+)", text))
    keys = {
        f"/etc/{one['metadata']['name'].replace('-', '/')}/{key}"
        for one in read(FOLDER / "secrets.example.yaml")
        for key in one["stringData"]
    }

    assert named == keys
    assert {file.rpartition("/")[0] for file in named} == {
        mount["mountPath"]
        for container in CONTAINERS.values()
        for mount in container["volumeMounts"]
        if mount["mountPath"].startswith("/etc/")
    }


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment_finds_its_own_pods(name: str) -> None:
    spec = DEPLOYMENTS[name]["spec"]

    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()


@pytest.mark.parametrize("name", of_kind("PodDisruptionBudget"))
def test_a_budget_is_for_the_pods_of_the_deployment_of_its_name(name: str) -> None:
    budget = of_kind("PodDisruptionBudget")[name]["spec"]

    assert budget["selector"] == DEPLOYMENTS[name]["spec"]["selector"]


def test_writers_of_two_versions_never_run_side_by_side() -> None:
    assert {"type": "Recreate"} == DEPLOYMENTS["rollcall-writer"]["spec"]["strategy"]


def test_filters_grow_with_the_lag_of_their_group_up_to_one_a_partition() -> None:
    [scaled] = of_kind("ScaledObject").values()
    [trigger] = scaled["spec"]["triggers"]
    connection = KafkaConnection(
        broker=CONFIG["rollcall"]["ROLLCALL_BROKER"],
        topic_prefix=CONFIG["rollcall"]["ROLLCALL_TOPIC_PREFIX"],
    )

    assert {"name": "rollcall-filter"} == scaled["spec"]["scaleTargetRef"]
    assert PARTITIONS == scaled["spec"]["maxReplicaCount"]
    assert set(trigger["metadata"]) <= OF_KEDAS_KAFKA_TRIGGER
    assert {
        "bootstrapServers": ",".join(connection.bootstrap_servers),
        "consumerGroup": group_id(Role.FILTER, connection.topic_prefix),
        "topic": connection.topic(NPC_SNAPSHOTS),
    }.items() <= trigger["metadata"].items()


def test_prometheus_finds_each_job_under_the_name_that_the_rules_know() -> None:
    [monitor] = of_kind("PodMonitor").values()
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    [port] = {one["port"] for one in monitor["spec"]["podMetricsEndpoints"]}
    found = {
        one["spec"]["template"]["metadata"]["labels"][monitor["spec"]["jobLabel"]]
        for name, one in DEPLOYMENTS.items()
        if wanted <= one["spec"]["template"]["metadata"]["labels"].items()
        and port in [p["name"] for p in CONTAINERS[name]["ports"]]
    }

    assert {job["job_name"] for job in SCRAPED["scrape_configs"]} == found


def test_the_rules_are_those_that_docker_compose_has() -> None:
    _, _, rules = (ROOT / "ops" / "monitoring" / "rules.yml").read_text().partition("\ngroups:")
    _, _, ours = (FOLDER / "monitoring" / "rules.yaml").read_text().partition("\n  groups:")

    assert rules == re.sub("^  ", "", ours, flags=re.MULTILINE)


def test_the_image_is_of_this_version() -> None:
    [image] = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["images"]
    [version] = re.findall(
        r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )

    assert version == image["newTag"]
    assert {image["name"]} == {container["image"] for container in CONTAINERS.values()}


def test_the_example_of_secrets_tells_of_kafka_and_letta() -> None:
    text = (FOLDER / "secrets.example.yaml").read_text()

    assert {"ROLLCALL_LETTA_TOKEN_FILE"} == set(re.findall("ROLLCALL_[A-Z_]+", text)) - OF_KAFKA


@pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")
def test_kustomize_makes_valid_objects_of_it_and_leaves_the_filters_to_keda() -> None:
    done = subprocess.run(
        [KUBECTL or "", "kustomize", FOLDER], capture_output=True, text=True, check=False
    )
    made = list(yaml.safe_load_all(done.stdout))

    assert "" == done.stderr
    assert len(MANIFESTS) == len(made)
    for manifest in made:
        jsonschema.validate(manifest, schema_of(manifest))
    assert ["rollcall-filter"] == [
        one["metadata"]["name"]
        for one in made
        if one["kind"] == "Deployment" and "replicas" not in one["spec"]
    ]
