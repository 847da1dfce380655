"""`make k8s-check`: build every overlay; let the usual tools judge what comes out, the Dockerfile and compose.yaml.

Run by the Python of an environment of its own, which has the tools. A tool that is not there is told as skipped, and
that is no pass. The kinds of KEDA and of the Prometheus Operator are judged where CRDS names a file with their
definitions (config/crd/bases and example/prometheus-operator-crd in their repositories): no schema of them can be
installed as a package.
"""

# ruff: noqa: S603, T201 - a program for a terminal, which runs others

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

#: Schemas of the oldest version that is supported and of the newest that the tool knows.
KUBERNETES = ("1.34.0", "1.37.0")
OVERLAYS = sorted(each.parent for each in Path("k8s/overlays").glob("*/kustomization.yaml"))
YAMLLINT = "{extends: default, rules: {line-length: {max: 140}, document-start: disable}}"
#: Groups of kinds that something in the cluster brings: KEDA, the Prometheus Operator.
OTHERS = ("keda.sh/", "monitoring.coreos.com/")
TOOLS = Path(sys.executable).parent


class Report:
    """Prints each finding, and keeps count for the exit code."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self.skipped: list[str] = []

    def tell(self, what: str, problem: str | None) -> None:
        """Say that `what` is well, or what is not."""
        print(f"{'ok' if problem is None else 'FAILED':8}{what}" + ("" if problem is None else f"\n{problem}"))
        if problem is not None:
            self.failed.append(what)

    def skip(self, what: str, reason: str, *, is_pass: bool = False) -> None:
        """Say that `what` was not judged; only some things may be left out of a pass."""
        print(f"{'skipped':8}{what}: {reason}")
        if not is_pass:
            self.skipped.append(what)


def main() -> int:
    """0: everything was judged and is well, 1: something is not, 2: something was not judged."""
    report = Report()
    definitions = read_definitions(os.environ.get("CRDS"))
    with tempfile.TemporaryDirectory() as folder:
        for overlay in OVERLAYS:
            built = run_tool(report, f"kustomize build {overlay}", "kubectl", "kustomize", str(overlay))
            if built is None:
                continue
            check_schemas(report, overlay.name, list(yaml.safe_load_all(built)), definitions)
            path = Path(folder, f"{overlay.name}.yaml")
            path.write_text(built)
            check_policies(report, overlay.name, path)
    run_tool(report, "hadolint", "hadolint", "Dockerfile")
    files = [str(each) for each in sorted(Path("k8s").rglob("*.yaml"))]
    run_tool(report, "yamllint", "yamllint", "--strict", "-d", YAMLLINT, *files, "compose.yaml")
    print(f"{len(report.failed)} failed, {len(report.skipped)} not judged")
    return 1 if report.failed else 2 if report.skipped else 0


def run_tool(report: Report, what: str, program: str, *arguments: str) -> str | None:
    """Run a tool that ends well when all is well; what it printed, or None."""
    path = TOOLS / program
    if not path.exists():
        report.skip(what, f"{program} is not installed in {TOOLS}")
        return None
    done = subprocess.run([path, *arguments], capture_output=True, text=True)
    report.tell(what, (done.stdout + done.stderr).strip() if done.returncode else None)
    return None if done.returncode else done.stdout


def check_schemas(report: Report, overlay: str, objects: list[Any], definitions: dict[str, Any]) -> None:
    """Every object has the fields that Kubernetes knows, and no other."""
    own = [each for each in objects if not each["apiVersion"].startswith(OTHERS)]
    for version in KUBERNETES:
        problems = [problem for each in own if (problem := misfit(each, version))]
        report.tell(f"{overlay}: {len(own)} objects fit Kubernetes {version}", "\n".join(problems) or None)
    for each in objects:
        if each in own:
            continue
        if each["kind"] not in definitions:
            report.skip(f"{overlay}: {each['kind']}", "no schema; set CRDS to a file with it", is_pass=True)
            continue
        errors = jsonschema.Draft202012Validator(definitions[each["kind"]]).iter_errors(each)
        text = "\n".join(f"{error.json_path}: {error.message}" for error in errors)
        report.tell(f"{overlay}: {each['kind']} fits its definition", text or None)


def misfit(manifest: dict[str, Any], version: str) -> str:
    """What is wrong with one object; nothing where it fits."""
    try:
        kubernetes_validate.validate(manifest, version, strict=True)
    except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
        # Behind its first line it prints the whole schema.
        return f"{manifest['kind']} {manifest['metadata']['name']}: {str(error).splitlines()[0]}"
    return ""


def read_definitions(path: str | None) -> dict[str, Any]:
    """The schema of each kind that the file of CustomResourceDefinitions defines, closed to fields it does not name."""
    found = {}
    for definition in yaml.safe_load_all(Path(path).read_text()) if path else []:
        if definition and definition["kind"] == "CustomResourceDefinition":
            schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
            schema["properties"]["metadata"] = {}  # Kubernetes' own
            found[definition["spec"]["names"]["kind"]] = closed(schema)
    return found


def closed(schema: Any) -> Any:
    """`schema` with no room for fields that it does not name: the API server would drop them without a word."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: closed(value) for name, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    return made


def check_policies(report: Report, overlay: str, path: Path) -> None:
    """Checkov's checks; each that is skipped says why in an annotation of its object."""
    checkov = TOOLS / "checkov"
    if not checkov.exists():
        report.skip(f"{overlay}: checkov", f"checkov is not installed in {TOOLS}")
        return
    command = [checkov, "--framework", "kubernetes", "--file", str(path), "--output", "json", "--skip-download"]
    done = subprocess.run(command, capture_output=True, text=True)
    try:
        results = json.loads(done.stdout)["results"]
    except (ValueError, KeyError, TypeError):
        report.tell(f"{overlay}: checkov", (done.stdout + done.stderr)[-500:])
        return
    failed = [f"{each['check_id']} {each['resource']}: {each['check_name']}" for each in results["failed_checks"]]
    left_out = [(each["check_id"], each["check_result"]["suppress_comment"]) for each in results["skipped_checks"]]
    what = f"{overlay}: checkov, {len(results['passed_checks'])} passed, {len(left_out)} left out"
    report.tell(what, "\n".join(failed) or None)
    for (check, reason), count in sorted(Counter(left_out).items()):
        print(f"{'':8}left out {check} ({count}): {reason}")


if __name__ == "__main__":
    sys.exit(main())
