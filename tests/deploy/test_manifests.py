"""The Kubernetes manifests are what the API takes, and the kustomization names all of them."""

from pathlib import Path
from typing import Any

import kubernetes_validate  # pyright: ignore[reportMissingTypeStubs] - it has none
import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
FILES = [name for name in KUSTOMIZATION["resources"] if name.endswith(".yaml")]
VERSION = "1.33"


def objects(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def pods() -> list[dict[str, Any]]:
    found = [one for name in FILES for one in objects(name) if one["kind"] in {"Deployment", "StatefulSet", "Job"}]
    return [one["spec"]["template"]["spec"] for one in found]


@pytest.mark.parametrize("name", FILES)
def test_every_object_fits_the_apis_schema(name: str) -> None:
    for one in objects(name):
        kubernetes_validate.validate(one, VERSION, strict=True)  # pyright: ignore[reportUnknownMemberType] - untyped


def test_the_kustomization_names_every_manifest() -> None:
    assert set(FILES) == {file.name for file in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}


def test_every_generated_file_is_there() -> None:
    for folder in (FOLDER, FOLDER.parent / "nats", FOLDER.parent / "prometheus"):
        kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
        for generator in kustomization["configMapGenerator"]:
            assert all((folder / file).is_file() for file in generator["files"])


def test_no_pod_runs_as_root_writes_its_own_root_or_holds_a_token_of_the_cluster() -> None:
    for pod in pods():
        assert pod["securityContext"]["runAsNonRoot"]
        assert not pod["automountServiceAccountToken"]
        for container in pod["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"]
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert "memory" in container["resources"]["limits"]
