//! A collector that stores exported spans and parses the parts that tests read.
//!
//! <https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto>

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use tokio::net::TcpListener;

/// The bodies of all requests.
#[derive(Clone, Default)]
pub(super) struct Collector {
    bodies: Arc<Mutex<Vec<Bytes>>>,
    pub(super) url: String,
}

#[derive(Debug)]
pub(super) struct Span {
    pub(super) trace: String,
    pub(super) id: String,
    pub(super) parent: String,
    pub(super) name: String,
    /// The raw bytes of names and values, concatenated as text.
    pub(super) attributes: String,
}

impl Collector {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let collector = Self {
            url: format!("http://{address}"),
            ..Self::default()
        };
        let routes = Router::new()
            .route("/v1/traces", post(take))
            .with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        collector
    }

    /// The raw bytes of all requests as text, for searches.
    pub(super) fn text(&self) -> String {
        let bodies = self.bodies.lock().expect("not poisoned");
        let text = |body: &Bytes| String::from_utf8_lossy(body).into_owned();
        bodies.iter().map(text).collect()
    }

    pub(super) fn spans(&self) -> Vec<Span> {
        let bodies = self.bodies.lock().expect("not poisoned");
        let spans = bodies.iter().flat_map(|body| {
            let resources = members(body, 1).into_iter();
            let scopes = resources.flat_map(|resource| members(resource, 2));
            scopes.flat_map(|scope| members(scope, 2))
        });
        spans.map(Span::read).collect()
    }
}

impl Span {
    /// Whether it has an attribute with this text.
    ///
    /// <https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/common/v1/common.proto>
    pub(super) fn has(&self, name: &str, value: &str) -> bool {
        // The value is a message with the text as its first field: two tags with two lengths.
        let mut values = self.attributes.split(name).skip(1);
        values.any(|rest| rest.get(4..).is_some_and(|rest| rest.starts_with(value)))
    }

    fn read(span: &[u8]) -> Self {
        let first = |number| members(span, number).first().copied().unwrap_or_default();
        let hex = |bytes: &[u8]| match bytes {
            [] => String::new(),
            bytes => {
                let id = bytes.iter().fold(0, |id, byte| id << 8 | u128::from(*byte));
                format!("{id:0digits$x}", digits = 2 * bytes.len())
            }
        };
        Self {
            trace: hex(first(1)),
            id: hex(first(2)),
            parent: hex(first(4)),
            name: String::from_utf8_lossy(first(5)).into_owned(),
            attributes: String::from_utf8_lossy(&members(span, 9).concat()).into_owned(),
        }
    }
}

async fn take(State(collector): State<Collector>, body: Bytes) {
    collector.bodies.lock().expect("not poisoned").push(body);
}

/// The length-delimited fields of a protobuf message that have this number.
///
/// <https://protobuf.dev/programming-guides/encoding/>
fn members(mut message: &[u8], wanted: u64) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message);
        let length = match tag & 7 {
            0 => {
                varint(&mut message);
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut message)).expect("fits"),
            5 => 4,
            kind => panic!("no such kind: {kind}"),
        };
        let (member, rest) = message.split_at(length);
        if tag >> 3 == wanted {
            found.push(member);
        }
        message = rest;
    }
    found
}

fn varint(message: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first().expect("cut off");
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}
