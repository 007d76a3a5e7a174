//! The trace of a message, as W3C Trace Context and as the header of X-Ray.
//!
//! A trace travels twice: as `AWSTraceHeader`, which Lambda and X-Ray read, and as
//! `traceparent`, for all other tools. Every sender of the queue can write both. So malformed
//! values are ignored, and never an error.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};

/// A span of a trace, as the parent of further ones. Displays as the value of `traceparent`
/// in version 00.
///
/// <https://www.w3.org/TR/trace-context/#traceparent-header>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceParent {
    trace_id: NonZeroU128,
    parent_id: NonZeroU64,
    sampled: bool,
}

/// The trace of a message before it is sent. Empty if there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    parent: Option<TraceParent>,
    xray_header: Option<String>,
}

impl TraceParent {
    /// Parses a `traceparent`. By the standard, a later version is read like version 00, and
    /// more fields may follow; in version 00 none may follow.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (version, rest) = text.split_once('-')?;
        let (ids, flags_and_more) = (rest.get(..50)?, rest.get(50..)?);
        let (flags, more) = flags_and_more.split_at_checked(2)?;
        let (trace_id, parent_id) = ids.strip_suffix('-')?.split_once('-')?;
        let is_known = version == "00";
        let is_end_valid = more.is_empty() || (!is_known && more.starts_with('-'));
        let version = u8::try_from(parse_hex(version, 2)?).ok()?;
        if version == 0xff || !is_end_valid {
            return None;
        }
        Self::new(trace_id, parent_id, parse_hex(flags, 2)? & 1 == 1)
    }

    /// Parses a header of X-Ray, `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=…`.
    /// `None` without a parent. Without `Sampled=1` the trace is not sampled.
    ///
    /// <https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader>
    pub(crate) fn parse_xray(header: &str) -> Option<Self> {
        let member = |name: &str| {
            let mut members = header.split(';').map(str::trim);
            members.find_map(|member| member.strip_prefix(name)?.strip_prefix('='))
        };
        let (version, root) = member("Root")?.split_once('-')?;
        let (time, unique) = root.split_once('-')?;
        if version != "1" || time.len() != 8 {
            return None;
        }
        let sampled = member("Sampled") == Some("1");
        Self::new(&format!("{time}{unique}"), member("Parent")?, sampled)
    }

    fn new(trace_id: &str, parent_id: &str, sampled: bool) -> Option<Self> {
        Some(Self {
            trace_id: NonZeroU128::new(parse_hex(trace_id, 32)?)?,
            parent_id: NonZeroU64::new(u64::try_from(parse_hex(parent_id, 16)?).ok()?)?,
            sampled,
        })
    }

    /// The header of X-Ray with the same ids.
    pub(crate) fn to_xray(self) -> String {
        let id = format!("{:032x}", self.trace_id);
        let (time, unique) = id.split_at(8);
        let sampled = u8::from(self.sampled);
        format!(
            "Root=1-{time}-{unique};Parent={:016x};Sampled={sampled}",
            self.parent_id
        )
    }

    pub(crate) fn trace_id(&self) -> u128 {
        self.trace_id.get()
    }

    pub(crate) fn parent_id(&self) -> u64 {
        self.parent_id.get()
    }

    /// Whether the caller records this trace.
    pub(crate) fn is_sampled(&self) -> bool {
        self.sampled
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.sampled);
        write!(
            f,
            "00-{:032x}-{:016x}-{flags:02x}",
            self.trace_id, self.parent_id
        )
    }
}

impl Trace {
    /// The trace of a Lambda invocation, from its `X-Amzn-Trace-Id`.
    pub fn from_xray(header: Option<&str>) -> Self {
        let parent = header.and_then(TraceParent::parse_xray);
        Self {
            xray_header: parent
                .and(header)
                .filter(|header| is_xray_header(header))
                .map(str::to_owned),
            parent,
        }
    }

    /// The trace of an HTTP request, from its `traceparent`.
    pub(crate) fn from_traceparent(text: Option<&str>) -> Self {
        Self {
            parent: text.and_then(TraceParent::parse),
            xray_header: None,
        }
    }

    /// For the message attribute `traceparent`.
    pub(crate) fn parent(&self) -> Option<TraceParent> {
        self.parent
    }

    /// For the message system attribute `AWSTraceHeader`.
    pub(crate) fn xray_header(&self) -> Option<&str> {
        self.xray_header.as_deref()
    }

    /// For log lines: 32 hexadecimal digits.
    pub fn id(&self) -> Option<String> {
        self.parent
            .map(|parent| format!("{:032x}", parent.trace_id))
    }
}

/// Whether SQS accepts it as `AWSTraceHeader`; otherwise SQS refuses the whole message. The
/// header of a Lambda may have more members (`Lineage=…`).
///
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_MessageSystemAttributeValue.html>
pub(crate) fn is_xray_header(text: &str) -> bool {
    const MAX_XRAY_HEADER_BYTES: usize = 256;
    text.len() <= MAX_XRAY_HEADER_BYTES
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && TraceParent::parse_xray(text).is_some()
}

/// Exactly `digits` digits, none of them upper case.
fn parse_hex(text: &str, digits: usize) -> Option<u128> {
    let is_lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != digits || !text.bytes().all(is_lower_hex) {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const XRAY_HEADER: &str =
        "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
    const W3C: &str = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01";

    #[test]
    fn xray_header_becomes_a_traceparent_with_the_same_ids() {
        let parent = TraceParent::parse_xray(XRAY_HEADER).expect("well-formed");
        assert_eq!(parent.to_string(), W3C);
        assert_eq!(TraceParent::parse(W3C), Some(parent));
        let trace = Trace::from_xray(Some(XRAY_HEADER));
        assert_eq!(trace.xray_header(), Some(XRAY_HEADER));
        let id = "5759e988bd862e3fe1be46a994272793";
        assert_eq!(trace.id().as_deref(), Some(id));
    }

    #[test]
    fn xray_members_have_any_order_and_only_1_means_sampled() {
        let root = "Root=1-5759e988-bd862e3fe1be46a994272793";
        let parent = "Parent=53995c3f42cd8ad8";
        for (header, sampled) in [
            (format!("{parent};Sampled=1;{root}"), true),
            (
                format!("Self=1-x;{root};{parent};Sampled=1;Lineage=a:0"),
                true,
            ),
            (format!("{root}; {parent}; Sampled=1"), true),
            (format!("{root};{parent};Sampled=0"), false),
            (format!("{root};{parent};Sampled=?"), false),
            (format!("{root};{parent}"), false),
        ] {
            let read = TraceParent::parse_xray(&header).expect("well-formed");
            assert_eq!(read.is_sampled(), sampled, "{header}");
        }
    }

    #[test]
    fn malformed_trace_headers_are_ignored() {
        for header in [
            "",
            "Root",
            "Root=1-5759e988-bd862e3fe1be46a994272793",
            "Root=2-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8",
            "Root=1-5759e9881-d862e3fe1be46a994272793;Parent=53995c3f42cd8ad8",
            "Root=1-5759e988-bd862e3fe1be46a99427279;Parent=53995c3f42cd8ad8",
            "Root=1-5759E988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8",
            "Root=1-00000000-000000000000000000000000;Parent=53995c3f42cd8ad8",
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=0000000000000000",
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad",
        ] {
            assert_eq!(Trace::from_xray(Some(header)), Trace::default(), "{header}");
        }
        for text in [
            "",
            "00",
            "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8",
            "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-1",
            "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01-more",
            "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-0g",
            "00-5759E988BD862E3FE1BE46A994272793-53995c3f42cd8ad8-01",
            "00-00000000000000000000000000000000-53995c3f42cd8ad8-01",
            "00-5759e988bd862e3fe1be46a994272793-0000000000000000-01",
            "ff-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01",
            "+0-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01",
            "01-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01.x",
            " 00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01",
            "00-5759e988bd862e3fe1be46a99427279é-53995c3f42cd8ad8-01",
        ] {
            assert_eq!(TraceParent::parse(text), None, "{text}");
        }
    }

    #[test]
    fn later_traceparent_version_is_read_like_version_00() {
        for later in [
            "01-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01",
            "fe-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-03-more",
        ] {
            let read = TraceParent::parse(later).expect("read");
            assert_eq!(read.to_string(), W3C);
        }
    }

    #[test]
    fn xray_header_that_sqs_might_refuse_is_not_sent() {
        let spaced = XRAY_HEADER.replace(';', "; ");
        let trace = Trace::from_xray(Some(&spaced));
        assert_eq!(
            (trace.xray_header(), trace.parent().is_some()),
            (None, true)
        );
        assert!(is_xray_header(&format!(
            "{XRAY_HEADER};Lineage=1:a87bd80c:0"
        )));
        assert!(!is_xray_header(&format!(
            "{XRAY_HEADER};Long={}",
            "x".repeat(200)
        )));
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_without_panic(text in ".*", near in "[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-.*") {
            let _ = (TraceParent::parse(&text), TraceParent::parse_xray(&text));
            let _ = TraceParent::parse(&near);
        }

        #[test]
        fn trace_parent_round_trips_in_both_forms(trace in 1_u128.., parent in 1_u64.., sampled: bool) {
            let text = format!("00-{trace:032x}-{parent:016x}-{:02x}", u8::from(sampled));
            let read = TraceParent::parse(&text).expect("well-formed");
            prop_assert_eq!(read.to_string(), text);
            prop_assert_eq!((read.trace_id(), read.parent_id()), (trace, parent));
            let root = format!("{trace:032x}");
            let header = format!(
                "Root=1-{}-{};Parent={parent:016x};Sampled={}", &root[..8], &root[8..], u8::from(sampled),
            );
            prop_assert_eq!(TraceParent::parse_xray(&header), Some(read));
            prop_assert_eq!(read.to_xray(), header);
        }
    }
}
