"""Reads answers of /metrics, in the order in which they were given, with the parser of Prometheus' own client library.

    exposition.py FILE...

Says what is wrong with them and ends with 1, or names the families of the last one.
"""

import re
import sys

from prometheus_client.parser import text_string_to_metric_families

# What names end in where they are in base units, and do not: https://prometheus.io/docs/practices/naming/
NOT_BASE_UNITS = re.compile(r"_(ms|millis|milliseconds|micros|microseconds|nanos|nanoseconds|minutes|hours|"
                            r"kb|kilobytes|mb|megabytes|percent)(_|$)")
# More samples than these of one family are too many for a proxy that a test has used.
MOST_SAMPLES = 60


def main():
    problems, before, names = [], {}, []
    for path in sys.argv[1:]:
        with open(path) as file:
            text = file.read()
        families = list(text_string_to_metric_families(text))
        names = [family.name for family in families]
        problems += [f"{path}: {name} comes twice" for name in names if names.count(name) > 1]
        now = {}
        for family in families:
            problems += [f"{path}: {family.name}: {problem}" for problem in wrong_with(family)]
            if family.type in ("counter", "histogram"):
                now |= {place(sample): sample.value for sample in family.samples}
        problems += [f"{path}: {key} has fallen from {value} to {now.get(key)}" for key, value in before.items()
                     if now.get(key, -1) < value]
        before = now
    if problems:
        sys.exit("\n".join(problems))
    print("\n".join(names))


def place(sample):
    return sample.name, tuple(sorted(sample.labels.items()))


def wrong_with(family):
    if not family.documentation:
        yield "it has no HELP"
    if family.type not in ("counter", "gauge", "histogram"):
        yield f"its TYPE is {family.type}"
    if not re.fullmatch(r"pgseal_[a-z][a-z0-9_]*", family.name):
        yield "its name is not in the conventions"
    if NOT_BASE_UNITS.search(family.name):
        yield "its unit is none of the base units"
    if len(family.samples) > MOST_SAMPLES:
        yield f"it has {len(family.samples)} samples"
    places = [place(sample) for sample in family.samples]
    yield from (f"{key} comes twice" for key in set(places) if places.count(key) > 1)
    for sample in family.samples:
        if family.type == "counter" and (not sample.name.endswith("_total") or sample.value < 0):
            yield f"{sample} is no counter"
        if family.type == "gauge" and sample.name.endswith(("_total", "_count", "_sum", "_bucket")):
            yield f"{sample} is named as no gauge is"
    if family.type == "histogram":
        yield from wrong_with_histogram(family)


def wrong_with_histogram(family):
    series = {}
    for sample in family.samples:
        labels = tuple(sorted((k, v) for k, v in sample.labels.items() if k != "le"))
        series.setdefault(labels, {}).setdefault(sample.name.removeprefix(family.name), []).append(sample)
    for labels, parts in series.items():
        if set(parts) != {"_bucket", "_sum", "_count"}:
            yield f"{labels} has {sorted(parts)}"
            continue
        bounds = [float(sample.labels["le"]) for sample in parts["_bucket"]]
        counts = [sample.value for sample in parts["_bucket"]]
        if bounds != sorted(bounds) or bounds[-1] != float("inf"):
            yield f"{labels} has buckets {bounds}"
        if counts != sorted(counts) or counts[-1] != parts["_count"][0].value:
            yield f"{labels} has counts {counts}"


if __name__ == "__main__":
    main()
