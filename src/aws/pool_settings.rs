//! The settings of a user pool, as JSON.
//!
//! `UpdateUserPool` sets what it is not given to its default. So nothing may get lost on
//! the way, a setting that the SDK's types do not know least of all: what is read are the
//! bytes of the answer, and what is written are the bytes of the request.
//!
//! <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_UpdateUserPool.html>

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_cognitoidentityprovider::Client;
use aws_sdk_cognitoidentityprovider::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
};
use aws_sdk_cognitoidentityprovider::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_types::body::SdkBody;
use serde_json::{Map, Value};

use super::call::{Target, call};
use super::client::Aws;
use super::directory::target;
use super::error::Failure;
use crate::event::PoolId;

/// Members of a JSON object.
pub type JsonObject = Map<String, Value>;

/// Reads and writes the settings of user pools. A person's tool: these calls have
/// quotas of their own and take no turn in a budget.
#[derive(Debug, Clone)]
pub struct PoolSettings {
    client: Client,
}

/// A call that failed, with what Cognito says of it: it is about settings, and so about
/// nobody.
#[derive(Debug, thiserror::Error)]
#[error("{failure}{}", .message.as_ref().map(|said| format!(": {said}")).unwrap_or_default())]
pub struct SettingsError {
    /// What follows from it.
    pub failure: Failure,
    message: Option<String>,
}

impl PoolSettings {
    /// Where `aws` leads.
    pub fn new(aws: &Aws) -> Self {
        Self {
            client: aws.cognito(),
        }
    }

    /// `DescribeUserPool`: all that Cognito says of the pool.
    ///
    /// # Errors
    /// As any call.
    pub async fn read(&self, pool: &PoolId) -> Result<JsonObject, SettingsError> {
        let answer = ResponseBody::default();
        let request = self.client.describe_user_pool().user_pool_id(pool.as_str());
        let request = request.customize().interceptor(answer.clone()).send();
        let result = call(target("DescribeUserPool", pool), request).await;
        let mut answer = answer.into_result(target("DescribeUserPool", pool), result)?;
        // An answer without settings must not pass for a pool without settings: what is
        // not sent back is reset.
        match answer.remove("UserPool") {
            Some(Value::Object(settings))
                if settings.get("Id").and_then(Value::as_str) == Some(pool.as_str()) =>
            {
                Ok(settings)
            }
            _ => Err(unreadable(target("DescribeUserPool", pool))),
        }
    }

    /// `GetUserPoolMfaConfig`: how the pool asks for a second factor.
    ///
    /// # Errors
    /// As any call.
    pub async fn read_mfa(&self, pool: &PoolId) -> Result<JsonObject, SettingsError> {
        let answer = ResponseBody::default();
        let request = self.client.get_user_pool_mfa_config();
        let request = request.user_pool_id(pool.as_str()).customize();
        let request = request.interceptor(answer.clone()).send();
        let result = call(target("GetUserPoolMfaConfig", pool), request).await;
        let answer = answer.into_result(target("GetUserPoolMfaConfig", pool), result)?;
        if answer.contains_key("MfaConfiguration") {
            Ok(answer)
        } else {
            Err(unreadable(target("GetUserPoolMfaConfig", pool)))
        }
    }

    /// `UpdateUserPool`. What `settings` leaves out is set to its default.
    ///
    /// # Errors
    /// As any call; the pool is as it was then.
    pub async fn write(&self, pool: &PoolId, settings: &JsonObject) -> Result<(), SettingsError> {
        let answer = ResponseBody::default();
        let request = self.client.update_user_pool().user_pool_id(pool.as_str());
        let request = request.customize().interceptor(answer.clone());
        let request = request.interceptor(RequestBody::new(pool, settings)).send();
        let target = target("UpdateUserPool", pool);
        let result = call(target, request).await;
        answer.into_result(target, result).map(|_| ())
    }

    /// `SetUserPoolMfaConfig`.
    ///
    /// # Errors
    /// As any call.
    pub async fn write_mfa(
        &self,
        pool: &PoolId,
        settings: &JsonObject,
    ) -> Result<(), SettingsError> {
        let answer = ResponseBody::default();
        let request = self.client.set_user_pool_mfa_config();
        let request = request.user_pool_id(pool.as_str()).customize();
        let request = request.interceptor(answer.clone());
        let request = request.interceptor(RequestBody::new(pool, settings)).send();
        let target = target("SetUserPoolMfaConfig", pool);
        let result = call(target, request).await;
        answer.into_result(target, result).map(|_| ())
    }
}

fn unreadable(target: Target<'_>) -> SettingsError {
    SettingsError {
        failure: Failure::unanswered(target),
        message: Some("the answer is not what Cognito answers".to_owned()),
    }
}

/// The body of an answer; `None` while there is none that can be read.
#[derive(Debug, Clone, Default)]
struct ResponseBody(Arc<Mutex<Option<JsonObject>>>);

impl ResponseBody {
    fn into_result<T, E>(
        self,
        target: Target<'_>,
        result: Result<T, (Failure, E)>,
    ) -> Result<JsonObject, SettingsError> {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (result, heard) {
            (Ok(_), Some(heard)) => Ok(heard),
            (Ok(_), None) => Err(unreadable(target)),
            (Err((failure, _)), heard) => {
                let heard = heard.unwrap_or_default();
                let said = heard.get("message").or_else(|| heard.get("Message"));
                let said = said.and_then(Value::as_str).map(str::to_owned);
                Err(SettingsError {
                    failure,
                    message: said,
                })
            }
        }
    }
}

impl Intercept for ResponseBody {
    fn name(&self) -> &'static str {
        "Heard"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response().body().bytes().unwrap_or_default();
        let read = serde_json::from_slice(body).ok();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }
}

/// The body of a request.
#[derive(Debug)]
struct RequestBody(String);

impl RequestBody {
    fn new(pool: &PoolId, settings: &JsonObject) -> Self {
        let mut body = settings.clone();
        body.insert("UserPoolId".to_owned(), pool.as_str().into());
        Self(Value::Object(body).to_string())
    }
}

impl Intercept for RequestBody {
    fn name(&self) -> &'static str {
        "Said"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        let length = self.0.len().to_string();
        request.headers_mut().insert("content-length", length);
        *request.body_mut() = SdkBody::from(self.0.clone());
        Ok(())
    }
}
