//! The endpoint for the calls of a queue.
//!
//! The SDK calls its Region's endpoint and ignores the host in the queue's URL. That is wrong for
//! an interface endpoint without private DNS and for an emulator: only the URL names their hosts.
//!
//! SQS answers with a URL on AWS's own host, also through the endpoint of a VPC. A queue that was
//! found by such a URL is called at the same endpoint (`with_url`).
//!
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-internetwork-traffic-privacy.html>

use crate::aws::client::Aws;

impl Aws {
    /// The endpoint that a queue's URL names. `None` for AWS's own hosts, among which the SDK
    /// selects by Region and settings. Also `None` where an endpoint is set for SQS, which
    /// overrides the URL.
    pub(in crate::aws) fn queue_endpoint<'a>(&self, queue: &'a str) -> Option<QueueEndpoint<'a>> {
        QueueEndpoint::parse(queue).filter(|_| !self.has_sqs_endpoint())
    }

    /// Whether `AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_SQS` or a profile sets an endpoint.
    pub(in crate::aws) fn has_sqs_endpoint(&self) -> bool {
        self.has_endpoint() || self.loaded_endpoint("SQS").is_some()
    }
}

/// Scheme and host of a URL outside AWS's own hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::aws) struct QueueEndpoint<'a> {
    scheme: &'a str,
    host: &'a str,
}

impl<'a> QueueEndpoint<'a> {
    fn parse(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.split('/').next()?;
        let host = authority.rsplit('@').next()?;
        let is_custom = is_custom_host(host.split(':').next()?);
        (is_custom && !host.is_empty()).then_some(Self { scheme, host })
    }

    pub(in crate::aws) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.host)
    }
}

/// Hosts of VPC endpoints end like AWS's own hosts, but are reached only by their names.
fn is_custom_host(host: &str) -> bool {
    let ends = |ends: &[&str]| ends.iter().any(|end| host.ends_with(end));
    ends(&[".vpce.amazonaws.com", ".vpce.amazonaws.com.cn"])
        || !(host == "queue.amazonaws.com" || ends(&AWS_DOMAINS))
}

/// The domains of AWS's own hosts.
///
/// <https://docs.aws.amazon.com/general/latest/gr/sqs-service.html>
pub(in crate::aws) const AWS_DOMAINS: [&str; 3] =
    [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn custom_host_in_a_queue_url_is_an_endpoint() {
        for (url, endpoint) in [
            ("https://sqs.eu-west-1.amazonaws.com/1/usher", None),
            ("https://sqs-fips.us-gov-east-1.amazonaws.com/1/q", None),
            ("https://sqs.cn-north-1.amazonaws.com.cn/1/usher", None),
            ("https://sqs.eu-central-1.api.aws/1/usher", None),
            ("https://eu-west-1.queue.amazonaws.com/1/usher", None),
            ("https://queue.amazonaws.com/1/usher", None),
            (
                "https://vpce-0f1-ab2.sqs.eu-west-1.vpce.amazonaws.com/1/usher",
                Some("https://vpce-0f1-ab2.sqs.eu-west-1.vpce.amazonaws.com"),
            ),
            (
                "https://vpce-1-2.sqs.cn-north-1.vpce.amazonaws.com.cn/1/usher",
                Some("https://vpce-1-2.sqs.cn-north-1.vpce.amazonaws.com.cn"),
            ),
            (
                "https://u:se@cret@sqs.internal.example:8443/1/usher",
                Some("https://sqs.internal.example:8443"),
            ),
            (
                "https://sqs.eu-west-1.amazonaws.com.example/1/usher",
                Some("https://sqs.eu-west-1.amazonaws.com.example"),
            ),
            (
                "http://localhost:4566/000000000000/usher",
                Some("http://localhost:4566"),
            ),
            ("http://[::1]:4566/1/usher", Some("http://[::1]:4566")),
            ("usher", None),
            ("https:///usher", None),
        ] {
            let found = QueueEndpoint::parse(url).map(|endpoint| endpoint.url());
            assert_eq!(found.as_deref(), endpoint, "{url}");
        }
    }
}
