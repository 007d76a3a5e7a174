//! The Region that a queue's URL or a user pool's id names.

use super::client::Aws;
use super::sqs::AWS_DOMAINS;
use crate::event::PoolId;

impl Aws {
    /// The Region in the queue's URL, if it is not the configured one. `None` where the URL
    /// names none, or where an endpoint is set for SQS, such as an emulator or a proxy.
    ///
    /// <https://docs.aws.amazon.com/general/latest/gr/sqs-service.html>
    pub(crate) fn other_region_of_queue<'a>(&self, url: &'a str) -> Option<&'a str> {
        self.if_other_region(queue_region(url))
            .filter(|_| !self.has_sqs_endpoint())
    }

    /// The Region in the pool's id, if it is not the configured one. A replica has the id of
    /// its pool, so another Region need not be wrong.
    pub(crate) fn other_region_of_pool<'a>(&self, pool: &'a PoolId) -> Option<&'a str> {
        self.if_other_region(pool_region(pool.as_str()))
    }

    fn if_other_region<'a>(&self, named: Option<&'a str>) -> Option<&'a str> {
        named.filter(|named| !self.has_endpoint() && *named != self.region())
    }
}

/// Only for AWS's own hosts: labels of other hosts need not be Regions.
fn queue_region(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split('/').next()?;
    let host = authority.rsplit('@').next()?.split(':').next()?;
    let is_of_aws = AWS_DOMAINS.iter().any(|domain| host.ends_with(domain));
    let mut labels = host.split('.');
    labels.find(|label| is_of_aws && is_region(label))
}

/// The part before the `_`, if it is a Region.
fn pool_region(id: &str) -> Option<&str> {
    let (region, _) = id.split_once('_')?;
    Some(region).filter(|region| is_region(region))
}

/// `eu-west-1`, `us-gov-east-1`: letters between the hyphens, then a number.
fn is_region(text: &str) -> bool {
    let Some((place, number)) = text.rsplit_once('-') else {
        return false;
    };
    let is_word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase());
    !number.is_empty()
        && number.chars().all(|c| c.is_ascii_digit())
        && place.split('-').count() >= 2
        && place.split('-').all(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_url_names_its_region() {
        for (url, region) in [
            (
                "https://sqs.eu-west-1.amazonaws.com/1/usher",
                Some("eu-west-1"),
            ),
            (
                "https://sqs-fips.us-gov-east-1.amazonaws.com/1/q",
                Some("us-gov-east-1"),
            ),
            (
                "https://sqs.cn-north-1.amazonaws.com.cn/1/usher",
                Some("cn-north-1"),
            ),
            (
                "https://sqs.eu-central-1.api.aws/1/usher",
                Some("eu-central-1"),
            ),
            (
                "https://eu-west-1.queue.amazonaws.com/1/usher",
                Some("eu-west-1"),
            ),
            (
                "https://vpce-0f1-ab2.sqs.ap-southeast-2.vpce.amazonaws.com/1/usher",
                Some("ap-southeast-2"),
            ),
            (
                "https://u:secret@sqs.eu-west-1.amazonaws.com:443/1/q",
                Some("eu-west-1"),
            ),
            ("https://queue.amazonaws.com/1/usher", None),
            (
                "http://sqs.us-east-1.localhost.localstack.cloud:4566/1/q",
                None,
            ),
            ("http://localhost:9324/queue/eu-west-1", None),
            ("usher", None),
        ] {
            assert_eq!(queue_region(url), region, "{url}");
        }
    }

    #[test]
    fn a_pool_id_names_its_region() {
        for (id, region) in [
            ("eu-west-1_AbCdEf123", Some("eu-west-1")),
            ("us-gov-west-1_x", Some("us-gov-west-1")),
            ("local_2ab3", None),
            ("eu-west-1", None),
            ("eu--1_x", None),
            ("eu-west-a_x", None),
        ] {
            assert_eq!(pool_region(id), region, "{id}");
        }
    }

    #[cfg(feature = "dev")]
    #[tokio::test]
    async fn configured_endpoint_has_no_other_region() {
        let aws = Aws::at_endpoint("http://127.0.0.1:1").await;
        let url = "https://sqs.eu-west-1.amazonaws.com/1/usher";
        assert_eq!(aws.other_region_of_queue(url), None);
        let pool = PoolId::new("eu-west-1_x").expect("an id");
        assert_eq!(aws.other_region_of_pool(&pool), None);
    }
}
