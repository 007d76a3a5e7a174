//! The settings of a user pool, as JSON.
//!
//! `UpdateUserPool` resets every setting that the request leaves out. The SDK's types would
//! lose settings that they do not know. So this module reads the bytes of the answer and
//! writes the bytes of the request.
//!
//! <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_UpdateUserPool.html>

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_cognitoidentityprovider::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
};
use aws_sdk_cognitoidentityprovider::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_types::body::SdkBody;
use serde_json::{Map, Value};

use super::{Cognito, target};
use crate::aws::call::CallError;
use crate::aws::client::Aws;
use crate::aws::error::Failure;
use crate::aws::operation::CognitoOperation;
use crate::aws::operation::Target;
use crate::event::PoolId;
use crate::quota::{Limits, Quota};

/// The members of a JSON object.
pub type JsonObject = Map<String, Value>;

/// Reads and writes the settings of user pools, for operators.
#[derive(Debug, Clone)]
pub struct PoolSettings(Cognito);

/// A failed call with Cognito's message. The message is about settings and holds no personal
/// data.
#[derive(Debug, thiserror::Error)]
#[error("{failure}{}", .message.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
pub struct SettingsError {
    /// The classified failure of the call.
    pub failure: Failure,
    message: Option<String>,
}

impl PoolSettings {
    /// With budgets of its own, since an operator makes few such calls.
    pub fn new(aws: &Aws) -> Self {
        let quota = Quota::new(Limits::default());
        Self(Cognito::new(aws, Arc::new(quota)))
    }

    /// `DescribeUserPool`: all settings that Cognito returns.
    ///
    /// # Errors
    /// As any call.
    pub async fn read(&self, pool: &PoolId) -> Result<JsonObject, SettingsError> {
        let answer = ResponseBody::default();
        let request = self.0.client.describe_user_pool();
        let request = request.user_pool_id(pool.as_str()).customize();
        let request = request.interceptor(answer.clone()).send();
        let operation = CognitoOperation::DescribeUserPool;
        let result = self.0.call(operation, pool, request).await;
        let mut answer = answer.into_result(target(operation, pool), result)?;
        // An answer without settings must not count as a pool without settings: a later
        // `UpdateUserPool` would reset them.
        match answer.remove("UserPool") {
            Some(Value::Object(settings))
                if settings.get("Id").and_then(Value::as_str) == Some(pool.as_str()) =>
            {
                Ok(settings)
            }
            _ => Err(unreadable(target(operation, pool))),
        }
    }

    /// `GetUserPoolMfaConfig`: the settings for a second factor.
    ///
    /// # Errors
    /// As any call.
    pub async fn read_mfa(&self, pool: &PoolId) -> Result<JsonObject, SettingsError> {
        let answer = ResponseBody::default();
        let request = self.0.client.get_user_pool_mfa_config();
        let request = request.user_pool_id(pool.as_str()).customize();
        let request = request.interceptor(answer.clone()).send();
        let operation = CognitoOperation::GetUserPoolMfaConfig;
        let result = self.0.call(operation, pool, request).await;
        let answer = answer.into_result(target(operation, pool), result)?;
        if answer.contains_key("MfaConfiguration") {
            Ok(answer)
        } else {
            Err(unreadable(target(operation, pool)))
        }
    }

    /// `UpdateUserPool`. A setting that `settings` leaves out gets its default.
    ///
    /// # Errors
    /// As any call; a refused call leaves the pool unchanged.
    pub async fn write(&self, pool: &PoolId, settings: &JsonObject) -> Result<(), SettingsError> {
        let answer = ResponseBody::default();
        let request = self.0.client.update_user_pool();
        let request = request.user_pool_id(pool.as_str()).customize();
        let request = request.interceptor(answer.clone());
        let request = request.interceptor(RequestBody::new(pool, settings)).send();
        let operation = CognitoOperation::UpdateUserPool;
        let result = self.0.call(operation, pool, request).await;
        answer.into_result(target(operation, pool), result)?;
        Ok(())
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
        let request = self.0.client.set_user_pool_mfa_config();
        let request = request.user_pool_id(pool.as_str()).customize();
        let request = request.interceptor(answer.clone());
        let request = request.interceptor(RequestBody::new(pool, settings)).send();
        let operation = CognitoOperation::SetUserPoolMfaConfig;
        let result = self.0.call(operation, pool, request).await;
        answer.into_result(target(operation, pool), result)?;
        Ok(())
    }
}

fn unreadable(target: Target<'_>) -> SettingsError {
    SettingsError {
        failure: Failure::unanswered(target),
        message: Some("the answer is not what Cognito answers".to_owned()),
    }
}

/// The body of an answer; `None` until one was parsed.
#[derive(Debug, Clone, Default)]
struct ResponseBody(Arc<Mutex<Option<JsonObject>>>);

impl ResponseBody {
    fn into_result<T, E>(
        self,
        target: Target<'_>,
        result: Result<T, CallError<E>>,
    ) -> Result<JsonObject, SettingsError> {
        let body = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (result, body) {
            (Ok(_), Some(body)) => Ok(body),
            (Ok(_), None) => Err(unreadable(target)),
            (Err(CallError { failure, .. }), body) => {
                let body = body.unwrap_or_default();
                let message = body.get("message").or_else(|| body.get("Message"));
                let message = message.and_then(Value::as_str).map(str::to_owned);
                Err(SettingsError { failure, message })
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

/// Replaces the body of a request.
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
