//! A client that validates every answer against the API's `OpenAPI` document.

use std::sync::OnceLock;

use jsonschema::Validator;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Opens one connection for each request.
#[derive(Clone)]
pub(crate) struct Client {
    address: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

impl Client {
    pub(crate) fn new(address: String) -> Self {
        Self { address }
    }

    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let body = body.map(|body| body.to_string());
        let mut all = headers.to_vec();
        if body.is_some() {
            all.push(("content-type", "application/json"));
        }
        let text = body.unwrap_or_default();
        let answer = self.raw(method, path, text.as_bytes(), &all).await;
        hold(method, path, &answer);
        answer
    }

    /// Sends the head of a request; the body never follows.
    pub(crate) async fn begin(&self, path: &str, headers: &[(&str, &str)]) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).await.expect("connects");
        let mut head = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: 100\r\n\
             content-type: application/json\r\n",
            self.address
        );
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).await.expect("sent");
        stream
    }

    /// Sends a request without validating the answer.
    pub(crate) async fn raw(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut stream = TcpStream::connect(&self.address).await.expect("connects");
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n",
            self.address,
            body.len()
        );
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).await.expect("sent");
        // A server may refuse and close before it has read the whole body.
        let _ = stream.write_all(body).await;
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        parsed(&String::from_utf8_lossy(&bytes))
    }
}

fn parsed(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let headers = lines.filter_map(|line| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_lowercase(), value.to_owned()))
    });
    Answer {
        status: status.and_then(|code| code.parse().ok()).expect("a status"),
        headers: headers.collect(),
        body: serde_json::from_str(body).unwrap_or_default(),
        text: body.to_owned(),
    }
}

pub(crate) fn description() -> &'static Value {
    static DESCRIPTION: OnceLock<Value> = OnceLock::new();
    DESCRIPTION.get_or_init(|| serde_json::from_str(&usher::http::OPENAPI).expect("JSON"))
}

/// The path template of the description that matches a request's path.
fn template_of(path: &str) -> Option<&'static String> {
    let path = path.split('?').next().unwrap_or_default();
    let paths = description()["paths"].as_object().expect("paths");
    paths.keys().find(|template| {
        let (wanted, given): (Vec<&str>, Vec<&str>) =
            (template.split('/').collect(), path.split('/').collect());
        wanted.len() == given.len()
            && wanted
                .iter()
                .zip(&given)
                .all(|(wanted, given)| wanted.starts_with('{') || wanted == given)
    })
}

/// Asserts that status, content type and body are those of the description.
fn hold(method: &str, path: &str, answer: &Answer) {
    let Some(template) = template_of(path) else {
        return;
    };
    let operation = &description()["paths"][template][method.to_lowercase()];
    if operation.is_null() {
        assert_eq!(answer.status, 405, "{method} {path}");
        return;
    }
    let promised = &operation["responses"][answer.status.to_string()];
    assert!(
        !promised.is_null(),
        "{method} {template} answers {answer:?}"
    );
    let kind = answer.header("content-type").unwrap_or_default();
    let schema = &promised["content"][kind]["schema"];
    assert!(!schema.is_null(), "{method} {template} answers {kind}");
    let whole = json!({
        "$ref": schema["$ref"], "components": description()["components"],
        "type": schema["type"],
    });
    let whole = if schema["$ref"].is_null() {
        schema.clone()
    } else {
        let mut whole = whole;
        whole.as_object_mut().expect("an object").remove("type");
        whole
    };
    let validator: Validator = jsonschema::validator_for(&whole).expect("a schema");
    if let Err(error) = validator.validate(&answer.body) {
        panic!(
            "{method} {template} {}: {error} in {answer:?}",
            answer.status
        );
    }
}

#[test]
fn the_references_of_the_description_resolve() {
    let description = description();
    assert_eq!(description["openapi"], "3.1.0");
    let text = description.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().expect("a pointer");
        assert!(description.pointer(pointer).is_some(), "{pointer}");
    }
}
