"""The figures as tables: medians, and the range of the runs."""

from statistics import median

TITLES = {
    "drain": "1. A backlog of 20,000 (Python: 5,000), 64 at once, an endpoint that responds at once",
    "latency": "2. The same, Cognito takes 20 ms and DynamoDB 5 ms",
    "steady": "3. Twenty a second: from the send to both effects",
    "quota": "4. A burst of 2,000 under a quota of 25 a second",
    "idle": "5. An empty queue",
    "fleet": "6. Four workers under one quota of 25 a second",
    "flat": "CPU and memory by the number of messages",
    "trigger": "The Lambda, and a Node handler with the same call",
}

# Heading, key, format.
COLUMNS = {
    "drain": [
        ("messages/s", "messages_a_second", "{:,.0f}"),
        ("CPU ms/message", "cpu_ms_a_message", "{:.3f}"),
        ("peak MiB", "peak_mib", "{:.1f}"),
        ("calls/message", "calls_a_message", "{:.3f}"),
        ("cores", "cores", "{:.2f}"),
        ("repeated", "repeated_effects", "{:,.0f}"),
        ("endpoint cores", "endpoint_cores", "{:.2f}"),
    ],
    "steady": [
        ("p50 ms", "p50_ms", "{:.1f}"),
        ("p99 ms", "p99_ms", "{:.1f}"),
        ("max ms", "max_ms", "{:.1f}"),
        ("CPU ms/message", "cpu_ms_a_message", "{:.3f}"),
        ("calls/message", "calls_a_message", "{:.2f}"),
        ("repeated", "repeated_effects", "{:,.0f}"),
    ],
    "quota": [
        ("done", "complete", "{:,.0f}"),
        ("seconds", "seconds", "{:.1f}"),
        ("goodput", "goodput", "{:.1%}"),
        ("throttled", "throttled", "{:.1%}"),
        ("dead letters", "dead_letters", "{:.0f}"),
        ("repeated", "repeated_effects", "{:,.0f}"),
        ("receives/message", "delivered_a_message", "{:.2f}"),
    ],
    "idle": [
        ("CPU ms/minute", "cpu_ms_a_minute", "{:.1f}"),
        ("SQS calls/minute", "sqs_calls_a_minute", "{:.1f}"),
        ("MiB", "mib", "{:.1f}"),
        ("peak MiB", "peak_mib", "{:.1f}"),
    ],
    "trigger": [
        ("start to first answer ms", "first_answer_ms", "{:.1f}"),
        ("start to ready ms", "ready_ms", "{:.1f}"),
        ("first invoke ms", "first_invoke_ms", "{:.1f}"),
        ("invoke p50 ms", "invoke_p50_ms", "{:.2f}"),
        ("invoke p99 ms", "invoke_p99_ms", "{:.2f}"),
        ("peak MiB", "peak_mib", "{:.1f}"),
        ("code MiB", "code_mib", "{:.2f}"),
    ],
}
COLUMNS["flat"] = COLUMNS["drain"]
LATE = ("endpoint late p99 ms", "endpoint_late_p99_ms", "{:.2f}")
COLUMNS["latency"] = [*COLUMNS["drain"], LATE]
COLUMNS["fleet"] = [*COLUMNS["quota"][:6], ("least share", "least_share", "{:.0%}"), LATE]
COLUMNS["quota"] += [LATE]


def of(report):
    parts = [] if not report["smoke"] else ["(smoke: no figure means anything)"]
    for scenario in (scenario for scenario in TITLES if scenario in report["results"]):
        by_name = report["results"][scenario]
        columns = COLUMNS[scenario]
        rows = [["", *(heading for heading, _, _ in columns)]]
        for name, runs in by_name.items():
            rows.append([name, *(cell([run[key] for run in runs], form) for _, key, form in columns)])
        parts += [f"### {TITLES[scenario]}", markdown(rows)]
        if scenario == "drain":
            parts += ["Calls for one message, by kind:", calls_by_kind(by_name)]
    runs = report["runs"]
    parts.append(f"Medians of {runs} runs, and in brackets the lowest and the highest.")
    return "\n\n".join(parts)


def calls_by_kind(by_name):
    kinds = sorted({kind for runs in by_name.values() for kind in runs[0]["calls_by_kind"]})
    rows = [["", *kinds]]
    for name, runs in by_name.items():
        rows.append([name, *(
            f"{median(run['calls_by_kind'].get(kind, 0) for run in runs):.3f}" for kind in kinds
        )])
    return markdown(rows)


def cell(values, form):
    values = [value for value in values if value is not None]
    if not values:
        return "-"
    middle, low, high = (form.format(of(values)) for of in (median, min, max))
    return middle if low == high else f"{middle} ({low} to {high})"


def markdown(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths)) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def check_smoke(results, names, scenarios):
    """Checks that the work was done, not how fast."""
    for scenario in scenarios:
        by_name = results[scenario]
        expected = {"trigger": ["usher-trigger", "node"]}.get(scenario, names(scenario))
        if scenario != "flat":
            missing = set(expected) - set(by_name)
            assert not missing, f"{scenario}: nothing of {missing}"
        for name, [figures] in by_name.items():
            # Where all messages must be done, a candidate that failed has no figures.
            if scenario in ("quota", "fleet"):
                assert figures["complete"] > 0, (scenario, name, figures)
                if name.startswith("usher"):
                    assert figures["dead_letters"] == 0, (scenario, name, figures)
