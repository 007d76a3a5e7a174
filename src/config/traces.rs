//! Checks whether the environment names a collector for traces.

/// Traces are exported only to a named collector. The default address of the standard is
/// not used, since most workers have no collector. The OpenTelemetry crates read the other
/// `OTEL_` variables.
///
/// <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>
pub(crate) fn has_trace_collector() -> bool {
    let text = |name| std::env::var(name).unwrap_or_default();
    let is_named = [
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    ]
    .into_iter()
    .any(|name| !text(name).is_empty());
    is_named
        && !text("OTEL_SDK_DISABLED").eq_ignore_ascii_case("true")
        && text("OTEL_TRACES_EXPORTER") != "none"
}
