#!/usr/bin/env python3
"""The Helm chart, as far as can be said without Helm: its files are those of the kustomize base, versions and flags are the
code's, values.yaml has what the schema allows. compare_chart.py does the rest. Usage: check_chart.py REPOSITORY."""
import json
import re
import sys

import yaml

import check_manifests
from check_manifests import CHART, COMPONENTS, PROBLEMS, ROOT, base_files, expect, known_flags, load_all, pod_specs

# What only the chart has, behind switches.
CHART_ONLY = {"agent-serviceMonitor.yaml", "extender-flowSchema.yaml", "extender-leaseFlowSchema.yaml",
              "extender-secret.yaml", "extender-serviceMonitor.yaml", "runtimeClass.yaml", "webhook-secret.yaml",
              "webhook-serviceMonitor.yaml"}


def check_versions(base):
    version = re.search(r"project\(tessera VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")).group(1)
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    expect(chart["version"] == chart["appVersion"] == version, "Chart.yaml", f"version, appVersion must be {version}")
    for name, item in base.items():
        label = item["metadata"].get("labels", {}).get("app.kubernetes.io/version", version)
        expect(label == version, name, f"its version must be {version}")
    for name, spec in pod_specs(base):
        for container in spec["containers"]:
            ours = container["image"].startswith("ghcr.io/tessera/")
            expect(not ours or container["image"].endswith(f":{version}"), name, f"image must be of {version}")


def check_chart_files(base):
    """Each object of the base has its template; template texts name ports and flags that the programs have."""
    templates = {p.name: p.read_text(encoding="utf-8") for p in (CHART / "templates").glob("*.yaml")}
    expect(set(templates) == (set(base) - {"namespace.yaml"}) | CHART_ONLY, "templates",
           f"differ from the base: {sorted(set(templates) ^ (set(base) - {'namespace.yaml'}) ^ CHART_ONLY)}")
    for component in COMPONENTS:
        for name in (f"{component}-deployment.yaml", f"{component}-daemonSet.yaml"):
            # kube-scheduler, before the extender in its pod, is none of ours.
            text = templates.get(name, "").rpartition("- name: extender\n")[2]
            for flag in re.findall(r"^ +- (--[a-z-]+)", text, re.M):
                expect(flag in known_flags(component), f"templates/{name}", f"{flag}: the program has no such flag")
    for name, text in templates.items():
        expect("tessera-system" not in text, f"templates/{name}", "names a namespace")


def keys_of(schema, definitions, prefix=""):
    """Dotted keys that a closed schema allows, and only those; open objects end a path."""
    schema = definitions[schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema
    if schema.get("type") != "object" or "properties" not in schema:
        return {prefix}
    expect(schema.get("additionalProperties") is False, "values.schema.json", f"{prefix or 'the root'} is open")
    return {k for name, part in schema["properties"].items()
            for k in keys_of(part, definitions, f"{prefix}.{name}" if prefix else name)}


def check_values():
    """values.yaml has every value that the schema allows, so that it documents all of them."""
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    optional = ("global", ".issuerRef.", ".resources.claims", "scrapers.matchExpressions")
    for key in sorted(keys_of(schema, schema["definitions"])):
        found = values
        for part in key.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        expect(found is not None or any(o in key for o in optional), "values.yaml", f"lacks {key}")
    text = "".join(p.read_text(encoding="utf-8") for p in (CHART / "templates").iterdir())
    for component in ("webhook", "extender", "scheduler", "agent"):
        for key in values[component]:
            generic = key in ("podAnnotations", "podLabels", "nodeSelector", "tolerations", "affinity", "priorityClassName")
            expect(generic or re.search(rf"\.{component}\.{key}\b|\.{key}\b", text), "values.yaml",
                   f"{component}.{key} is used by no template")


def main():
    base = base_files(load_all())
    check_versions(base)
    check_chart_files(base)
    check_values()
    print(f"{check_manifests.CHECKS} checks, {len(PROBLEMS)} problems", *PROBLEMS, sep="\n")
    return 1 if PROBLEMS or check_manifests.CHECKS < 200 else 0


if __name__ == "__main__":
    sys.exit(main())
