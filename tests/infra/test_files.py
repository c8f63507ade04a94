"""The files of the team stack, held to what they promise: pinned, not as root, watched, limited,
and without a secret in them.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from integration.house import REPOSITORY

INFRA = REPOSITORY / "infra"
COMPOSE = yaml.safe_load((INFRA / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
ONCE = {"buckets"}  # it ends when it has done its work
DOCKERFILE = (INFRA / "Dockerfile").read_text()
SECRET = re.compile(r"PASSWORD|SECRET|ACCESS_KEY|AUTH_STRING", re.IGNORECASE)
VARIABLE = re.compile(r"\$\{(?P<name>[A-Z0-9_]+)")


def variables(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from variables(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from variables(inner)
    elif isinstance(value, str):
        yield from (found["name"] for found in VARIABLE.finditer(value))


# --- compose ------------------------------------------------------------------------------------


def test_the_stack_has_every_part():
    assert set(SERVICES) == {"postgres", "s3", "buckets", "mlflow", "prefect", "worker"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_hardened_and_limited(name: str):
    service = SERVICES[name]
    tag = service["image"].rpartition(":")[2]
    assert re.match(r"\d+\.\d+", tag), service["image"]
    user = service["user"].replace("${WORKER_UID:-", "").split(":")[0].rstrip("}")
    assert int(user) > 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    limits = service["deploy"]["resources"]["limits"]
    assert float(limits["cpus"]) > 0
    assert re.fullmatch(r"\d+[MG]", limits["memory"])
    assert limits["pids"] > 0
    assert "privileged" not in service
    assert all("docker.sock" not in str(volume) for volume in service.get("volumes", []))


@pytest.mark.parametrize("name", sorted(set(SERVICES) - ONCE))
def test_a_service_that_stays_is_watched(name: str):
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] == "CMD"
    assert {"interval", "timeout", "retries", "start_period"} <= set(check)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_opens_no_port_but_on_loopback(name: str):
    assert all(p.startswith("127.0.0.1:") for p in SERVICES[name].get("ports", []))


def test_only_what_people_look_at_has_a_port():
    assert {n for n, s in SERVICES.items() if s.get("ports")} == {"mlflow", "prefect"}
    assert COMPOSE["networks"]["store"] == {"internal": True}
    assert SERVICES["postgres"]["networks"] == SERVICES["s3"]["networks"] == ["store"]


@pytest.mark.parametrize("name", SERVICES)
def test_whatever_a_service_refers_to_is_there(name: str):
    service = SERVICES[name]
    assert set(service.get("depends_on", {})) <= set(SERVICES)
    assert set(service["networks"]) <= set(COMPOSE["networks"])
    for volume in service.get("volumes", []):
        source = volume.rsplit(":/", 1)[0]
        if source.startswith("."):
            assert (INFRA / source).is_file()
        elif not source.startswith("${"):
            assert source in COMPOSE["volumes"]
    assert {c["source"] for c in service.get("configs", [])} <= set(COMPOSE["configs"])
    if "build" in service:
        assert f" AS {service['build']['target']}\n" in DOCKERFILE
        assert (INFRA / service["build"]["context"] / service["build"]["dockerfile"]).is_file()


@pytest.mark.parametrize("name", SERVICES)
def test_a_secret_comes_from_outside_and_its_absence_is_refused(name: str):
    secrets = {k: v for k, v in SERVICES[name].get("environment", {}).items() if SECRET.search(k)}
    assert all(re.search(r"\$\{[A-Z0-9_]+:\?", value) for value in secrets.values()), secrets
    assert name == "buckets" or name == "s3" or secrets


def test_the_example_of_the_environment_names_every_variable_and_no_secret():
    lines = (INFRA / "example.env").read_text().splitlines()
    named = dict(line.split("=", 1) for line in lines if "=" in line and line[0] != "#")
    assert set(variables(COMPOSE)) == set(named)
    assert [n for n, value in named.items() if SECRET.search(n) and value] == ["S3_ACCESS_KEY"]


def test_docker_itself_takes_the_file(tmp_path: Path):
    docker = shutil.which("docker")
    known = docker and subprocess.run([docker, "compose", "version"], capture_output=True)
    if not known or known.returncode:
        pytest.skip("docker compose is not installed")
    filled = (INFRA / "example.env").read_text().replace("=\n", "=x\n").replace("T=x", "T=/srv")
    (tmp_path / "env").write_text(filled)
    command = [docker, "compose", "--env-file", tmp_path / "env", "-f", INFRA / "compose.yaml"]
    done = subprocess.run([*command, "config", "-q"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (tmp_path / "env").write_text("")
    assert subprocess.run([*command, "config", "-q"], capture_output=True).returncode != 0


def test_mlflow_asks_for_accounts_runs_no_jobs_and_takes_only_its_own_sources():
    environment = SERVICES["mlflow"]["environment"]
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert '"--app-name", "basic-auth"' in DOCKERFILE
    pattern = environment["MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX"].replace("$$", "$")
    for source in ("mlflow-artifacts:/1/models/m-1/artifacts", "models:/digits/3"):
        assert re.search(pattern, source)
    for source in ("file:///etc/passwd", "http://169.254.169.254/x", "s3://other", "models:/a/b/1"):
        assert not re.search(pattern, source)
    local = (INFRA / "local" / "stack.py").read_text()
    assert pattern in local
    accounts = (INFRA / "images" / "auth.ini").read_text().splitlines()
    for line in ("default_permission = READ", "auth_cache_ttl_seconds = 60"):
        assert line in accounts
        assert line in local


# --- images -------------------------------------------------------------------------------------


def stages() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in re.sub(r"\\\n", " ", DOCKERFILE).splitlines():
        start = re.match(r"FROM (\S+) AS (\S+)", line)
        if start:
            found[start[2]] = [start[1]]
        elif found and line and not line.startswith("#"):
            found[list(found)[-1]].append(line)
    return found


@pytest.mark.parametrize("name", ["mlflow", "prefect", "worker", "s3"])
def test_an_image_ends_as_somebody_else_than_root(name: str):
    users = [line for line in stages()[name] if line.startswith("USER ")]
    assert users == ["USER 10001:10001"]
    after = stages()[name][stages()[name].index(users[0]) :]
    assert not [line for line in after if line.startswith(("RUN", "COPY", "ADD"))]


def test_every_image_starts_from_a_named_version():
    parents = {lines[0] for lines in stages().values()} - set(stages())
    assert parents == {"python:3.11.14-slim-bookworm", "chrislusf/seaweedfs:3.97"}


def test_whatever_an_image_copies_is_there_and_let_through():
    allowed = (INFRA / "Dockerfile.dockerignore").read_text().splitlines()
    for line in (line for lines in stages().values() for line in lines):
        words = [w for w in line.split()[1:] if not w.startswith("--")]
        if line.startswith("COPY") and "--from=" not in line:
            for source in words[:-1]:
                assert (REPOSITORY / source).exists(), source
                assert any(source == a[1:] or source.startswith(a[1:] + "/") for a in allowed)


def pins(path: Path) -> dict[str, str]:
    return dict(re.findall(r"(?m)^([a-z0-9._-]+)(?:\[[a-z,]+\])?==(\S+)", path.read_text()))


@pytest.mark.parametrize("name", ["mlflow", "prefect", "worker"])
def test_an_image_has_the_versions_that_the_tests_ran_with(name: str):
    """Otherwise: make lock-images."""
    text = (INFRA / "images" / f"{name}.lock").read_text()
    mine, ours = (
        pins(INFRA / "images" / f"{name}.lock"),
        pins(REPOSITORY / "requirements.lock"),
    )
    assert {n: v for n, v in mine.items() if n in ours and ours[n] != v} == {}
    assert len(mine) > 90
    assert text.count("--hash=sha256:") >= len(mine)
    assert "://" not in text
    assert not re.search(r"(?m)^(nvidia|cuda|triton)", text)


def test_mlflows_image_brings_what_accounts_and_the_store_need():
    mine = pins(INFRA / "images" / "mlflow.lock")
    assert {"flask-wtf", "psycopg", "boto3", "mlflow"} <= set(mine)


# --- kubernetes ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def manifests() -> list[dict[str, Any]]:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed: it has kustomize")
    done = subprocess.run(
        [kubectl, "kustomize", str(INFRA / "k8s")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def pods(manifests: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        m["metadata"]["name"]: m["spec"]["template"]["spec"]
        for m in manifests
        if m["kind"] in ("Deployment", "StatefulSet")
    }


def containers(pod: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def test_the_cluster_gets_the_same_parts(manifests: list[dict[str, Any]]):
    assert set(pods(manifests)) == set(SERVICES) - ONCE
    assert {m["metadata"].get("namespace", "stillhouse") for m in manifests} == {"stillhouse"}
    assert "Secret" not in {m["kind"] for m in manifests}  # they are made by hand, never committed


def test_no_pod_runs_as_root_or_may_become_it(manifests: list[dict[str, Any]]):
    for pod in pods(manifests).values():
        assert pod["automountServiceAccountToken"] is False
        around = pod["securityContext"]
        assert around["runAsNonRoot"] is True
        assert around["runAsUser"] > 0
        assert around["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
    namespace = next(m for m in manifests if m["kind"] == "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_every_container_is_pinned_limited_and_watched(manifests: list[dict[str, Any]]):
    images = {s["image"] for s in SERVICES.values()}
    for pod in pods(manifests).values():
        for container in containers(pod):
            assert container["image"] in images
            assert set(container["resources"]) == {"requests", "limits"}
            assert all({"cpu", "memory"} == set(r) for r in container["resources"].values())
        for container in pod["containers"]:
            assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)


def test_every_mount_has_its_volume_and_every_secret_its_key(manifests: list[dict[str, Any]]):
    named = set((INFRA / "example.env").read_text().split()) | {"PREFECT_AUTH=", "s3.json="}
    known = {line.split("=")[0] for line in named if "=" in line}
    for name, pod in pods(manifests).items():
        owner = next(
            m
            for m in manifests
            if m["metadata"]["name"] == name and "template" in m.get("spec", {})
        )
        claims = {c["metadata"]["name"] for c in owner["spec"].get("volumeClaimTemplates", [])}
        volumes = {v["name"] for v in pod["volumes"]} | claims
        for container in containers(pod):
            assert {m["name"] for m in container["volumeMounts"]} <= volumes
            for variable in container.get("env", []):
                if "valueFrom" in variable:
                    secret = variable["valueFrom"]["secretKeyRef"]
                    assert secret["name"] == "stillhouse-team"
                    assert secret["key"] in known
                else:
                    assert not SECRET.search(variable["name"])


def test_mlflow_is_the_same_in_the_cluster_as_in_compose(manifests: list[dict[str, Any]]):
    here = {k: v for k, v in SERVICES["mlflow"]["environment"].items() if "${" not in v}
    there = {e["name"]: e.get("value") for e in pods(manifests)["mlflow"]["containers"][0]["env"]}
    assert {k: v.replace("$$", "$") for k, v in here.items()} == {
        k: v for k, v in there.items() if v is not None
    }
    assert set(there) == set(SERVICES["mlflow"]["environment"])


def test_the_databases_are_made_by_the_same_script(manifests: list[dict[str, Any]]):
    script = next(m for m in manifests if m["kind"] == "ConfigMap")["data"]["make_databases.sh"]
    assert script == (INFRA / "images" / "make_databases.sh").read_text()
    local = (INFRA / "local" / "postgres.py").read_text()
    assert 'DATABASES = ("mlflow", "mlflow_auth", "prefect")' in local
    assert "for name in mlflow mlflow_auth prefect; do" in script


def test_nobody_reaches_a_pod_that_nobody_was_let_to(manifests: list[dict[str, Any]]):
    policies = [m for m in manifests if m["kind"] == "NetworkPolicy"]
    everybody = next(p for p in policies if p["spec"]["podSelector"] == {})
    assert "ingress" not in everybody["spec"]
    opened = {
        p["spec"]["podSelector"]["matchLabels"]["app"]: p for p in policies if p is not everybody
    }
    assert set(opened) == {"postgres", "s3", "mlflow", "prefect"}
    services = {m["metadata"]["name"]: m for m in manifests if m["kind"] == "Service"}
    for name, policy in opened.items():
        [rule] = policy["spec"]["ingress"]
        assert rule["ports"] == [{"port": services[name]["spec"]["ports"][0]["port"]}]
    assert all(s["spec"].get("type", "ClusterIP") == "ClusterIP" for s in services.values())
