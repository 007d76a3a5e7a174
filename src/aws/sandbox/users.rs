//! Users of the sandbox: invitations, passwords, groups and sign-ins.

use std::collections::BTreeMap;

use aws_sdk_cognitoidentityprovider::types::{
    AuthFlowType, AuthenticationResultType, ChallengeNameType, DeliveryMediumType,
    ExplicitAuthFlowsType, IssuerConfigurationType, LambdaConfigType, MessageActionType,
    SchemaAttributeType, SignInPolicyType, SmsMfaSettingsType, SoftwareTokenMfaSettingsType,
    UserPoolPolicyType, UsernameAttributeType,
};

use super::{Sandbox, SandboxPool, call_service, user_attributes};
use crate::aws::cognito::{AttributeKind, SchemaAttribute};
use crate::aws::error::Failure;
use crate::aws::operation::Service;
use crate::event;

/// Settings of a new sandbox pool.
#[derive(Debug, Clone, Default)]
pub struct PoolOptions {
    /// Users are named by their e-mail address.
    pub email_usernames: bool,
    /// Users are named by their phone number.
    pub phone_usernames: bool,
    /// Attributes that are aliases of the user name: `email`, `phone_number`.
    pub aliases: Vec<String>,
    /// Allowed first factors, such as `PASSWORD` and `EMAIL_OTP`; empty for only a password.
    pub first_factors: Vec<String>,
    /// Standard attributes that every user must have.
    pub required_attributes: Vec<String>,
    /// Custom attributes, named without their prefix.
    pub custom_attributes: Vec<SchemaAttribute>,
    /// The app client has a secret, which [`Sandbox::sign_in`] does not support.
    pub has_secret: bool,
}

/// The result of [`Sandbox::sign_in`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignInResult {
    /// The user is signed in.
    Tokens(Tokens),
    /// The user must choose a new password first.
    NewPasswordRequired {
        /// For [`Sandbox::respond_with_password`].
        session: String,
        /// `USER_ID_FOR_SRP`, `requiredAttributes`, `userAttributes`.
        parameters: BTreeMap<String, String>,
    },
}

/// The tokens of a signed-in user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tokens {
    /// For calls in the user's name.
    pub access: String,
    /// The ID token, with claims about the user.
    pub id: String,
    /// For new tokens; empty in the result of a refresh.
    pub refresh: String,
}

impl Tokens {
    fn from_sdk(result: Option<AuthenticationResultType>) -> Self {
        let Some(result) = result else {
            return Self::default();
        };
        Self {
            access: result.access_token.unwrap_or_default(),
            id: result.id_token.unwrap_or_default(),
            refresh: result.refresh_token.unwrap_or_default(),
        }
    }
}

/// A plan, a number of seats, whether it is a trial, when it is renewed, and notes.
fn example_attributes() -> Vec<SchemaAttribute> {
    let text = |max| AttributeKind::Text { min: 1, max };
    let seats = AttributeKind::Number {
        min: Some(1.0),
        max: Some(500.0),
    };
    let kinds = [
        ("plan", text(20)),
        ("seats", seats),
        ("trial", AttributeKind::Boolean),
        ("renewal", AttributeKind::DateTime),
        ("notes", text(2048)),
    ];
    let attribute = |(name, kind): (&str, AttributeKind)| SchemaAttribute {
        name: name.to_owned(),
        kind,
        is_required: false,
        is_mutable: true,
    };
    kinds.map(attribute).into()
}

impl Sandbox {
    /// Creates a user pool with an app client, and a custom attribute of each kind.
    ///
    /// # Errors
    /// As any call.
    pub async fn create_pool(&self, name: &str) -> Result<SandboxPool, Failure> {
        let options = PoolOptions {
            custom_attributes: example_attributes(),
            ..PoolOptions::default()
        };
        self.create_pool_with(name, &options).await
    }

    /// Creates a user pool and an app client that accepts passwords.
    ///
    /// # Errors
    /// As any call.
    pub async fn create_pool_with(
        &self,
        name: &str,
        options: &PoolOptions,
    ) -> Result<SandboxPool, Failure> {
        let mut request = self.cognito.create_user_pool().pool_name(name);
        if options.email_usernames {
            request = request.username_attributes(UsernameAttributeType::Email);
        }
        if options.phone_usernames {
            request = request.username_attributes(UsernameAttributeType::PhoneNumber);
        }
        for alias in &options.aliases {
            request = request.alias_attributes(alias.as_str().into());
        }
        if !options.first_factors.is_empty() {
            let factors = options.first_factors.iter();
            let factors = factors.map(|factor| factor.as_str().into()).collect();
            let sign_in = SignInPolicyType::builder();
            let sign_in = sign_in.set_allowed_first_auth_factors(Some(factors));
            let policies = UserPoolPolicyType::builder().sign_in_policy(sign_in.build());
            request = request.policies(policies.build());
        }
        for required in &options.required_attributes {
            let attribute = SchemaAttributeType::builder().name(required).required(true);
            request = request.schema(attribute.build());
        }
        for attribute in &options.custom_attributes {
            request = request.schema(attribute.to_sdk());
        }
        let pool = call_service(&(Service::Cognito, "CreateUserPool"), request.send()).await?;
        let id = pool
            .user_pool()
            .and_then(|pool| pool.id())
            .unwrap_or_default();
        let request = self
            .cognito
            .create_user_pool_client()
            .user_pool_id(id)
            .client_name(name)
            .generate_secret(options.has_secret)
            .explicit_auth_flows(ExplicitAuthFlowsType::AllowUserPasswordAuth)
            .explicit_auth_flows(ExplicitAuthFlowsType::AllowRefreshTokenAuth)
            .send();
        let client = call_service(&(Service::Cognito, "CreateUserPoolClient"), request).await?;
        let client = client.user_pool_client.as_ref();
        Ok(SandboxPool {
            id: id.to_owned(),
            client: client
                .and_then(|client| client.client_id())
                .unwrap_or_default()
                .to_owned(),
            secret: client
                .and_then(|client| client.client_secret())
                .map(str::to_owned),
        })
    }

    /// `UpdateUserPool`, to set the issuer that new tokens name, and the ARN of the function
    /// that a confirmation calls. Every other setting gets its default.
    ///
    /// # Errors
    /// As any call.
    pub async fn set_issuer_and_trigger(
        &self,
        pool: &str,
        issuer: event::IssuerType,
        function: Option<&str>,
    ) -> Result<(), Failure> {
        let triggers = function.map(|function| {
            let triggers = LambdaConfigType::builder().post_confirmation(function);
            triggers.build()
        });
        let issuer = IssuerConfigurationType::builder().r#type(issuer.name().into());
        let request = self
            .cognito
            .update_user_pool()
            .user_pool_id(pool)
            .issuer_configuration(issuer.build())
            .set_lambda_config(triggers)
            .send();
        call_service(&(Service::Cognito, "UpdateUserPool"), request)
            .await
            .map(|_| ())
    }

    /// `AdminCreateUser` with the invitation by e-mail; `again` resends the invitation of an
    /// existing user. Returns the user name, which some pools generate.
    ///
    /// # Errors
    /// As any call.
    pub async fn invite(
        &self,
        pool: &str,
        username: &str,
        attributes: &BTreeMap<String, String>,
        again: bool,
    ) -> Result<String, Failure> {
        let request = self
            .cognito
            .admin_create_user()
            .user_pool_id(pool)
            .username(username)
            .desired_delivery_mediums(DeliveryMediumType::Email)
            .set_message_action(again.then_some(MessageActionType::Resend))
            .set_user_attributes(Some(user_attributes(attributes)))
            .send();
        let answer = call_service(&(Service::Cognito, "AdminCreateUser"), request).await?;
        let user = answer.user.and_then(|user| user.username);
        Ok(user.unwrap_or_default())
    }

    /// `AdminSetUserPassword` with a permanent password, which confirms the user.
    ///
    /// # Errors
    /// As any call.
    pub async fn set_password(
        &self,
        pool: &str,
        username: &str,
        password: &str,
    ) -> Result<(), Failure> {
        let request = self
            .cognito
            .admin_set_user_password()
            .user_pool_id(pool)
            .username(username)
            .password(password)
            .permanent(true)
            .send();
        call_service(&(Service::Cognito, "AdminSetUserPassword"), request)
            .await
            .map(|_| ())
    }

    /// `AdminSetUserMFAPreference`: the user needs one of these factors to sign in.
    ///
    /// # Errors
    /// As any call.
    pub async fn set_factors(
        &self,
        pool: &str,
        username: &str,
        software_token: bool,
        text_message: bool,
    ) -> Result<(), Failure> {
        let software_token = SoftwareTokenMfaSettingsType::builder().enabled(software_token);
        let text_message = SmsMfaSettingsType::builder().enabled(text_message);
        let request = self
            .cognito
            .admin_set_user_mfa_preference()
            .user_pool_id(pool)
            .username(username)
            .software_token_mfa_settings(software_token.build())
            .sms_mfa_settings(text_message.build())
            .send();
        call_service(&(Service::Cognito, "AdminSetUserMFAPreference"), request)
            .await
            .map(|_| ())
    }

    /// Creates a group, unless it exists.
    ///
    /// # Errors
    /// Any except the group's existence.
    pub(crate) async fn create_group(&self, pool: &str, group: &str) -> Result<(), Failure> {
        let request = self
            .cognito
            .create_group()
            .user_pool_id(pool)
            .group_name(group)
            .send();
        match call_service(&(Service::Cognito, "CreateGroup"), request).await {
            Err(failure) if failure.code != "GroupExistsException" => Err(failure),
            _ => Ok(()),
        }
    }

    /// Adds the user to the group; creates a missing group first.
    ///
    /// # Errors
    /// As any call.
    pub async fn add_to_group(
        &self,
        pool: &str,
        username: &str,
        group: &str,
    ) -> Result<(), Failure> {
        self.create_group(pool, group).await?;
        let request = self
            .cognito
            .admin_add_user_to_group()
            .user_pool_id(pool)
            .username(username)
            .group_name(group)
            .send();
        call_service(&(Service::Cognito, "AdminAddUserToGroup"), request)
            .await
            .map(|_| ())
    }

    /// `AdminRemoveUserFromGroup`: ends the user's membership.
    ///
    /// # Errors
    /// As any call.
    pub async fn remove_from_group(
        &self,
        pool: &str,
        username: &str,
        group: &str,
    ) -> Result<(), Failure> {
        let request = self
            .cognito
            .admin_remove_user_from_group()
            .user_pool_id(pool)
            .username(username)
            .group_name(group)
            .send();
        call_service(&(Service::Cognito, "AdminRemoveUserFromGroup"), request)
            .await
            .map(|_| ())
    }

    /// `InitiateAuth` with user name and password.
    ///
    /// # Errors
    /// As any call.
    pub async fn sign_in(
        &self,
        client: &str,
        username: &str,
        password: &str,
    ) -> Result<SignInResult, Failure> {
        let request = self
            .cognito
            .initiate_auth()
            .client_id(client)
            .auth_flow(AuthFlowType::UserPasswordAuth)
            .auth_parameters("USERNAME", username)
            .auth_parameters("PASSWORD", password)
            .send();
        let answer = call_service(&(Service::Cognito, "InitiateAuth"), request).await?;
        Ok(match answer.challenge_name {
            Some(ChallengeNameType::NewPasswordRequired) => SignInResult::NewPasswordRequired {
                session: answer.session.unwrap_or_default(),
                parameters: answer
                    .challenge_parameters
                    .unwrap_or_default()
                    .into_iter()
                    .collect(),
            },
            _ => SignInResult::Tokens(Tokens::from_sdk(answer.authentication_result)),
        })
    }

    /// `RespondToAuthChallenge` with a new password and missing attributes.
    ///
    /// # Errors
    /// As any call.
    pub async fn respond_with_password(
        &self,
        client: &str,
        session: &str,
        username: &str,
        password: &str,
        attributes: &BTreeMap<String, String>,
    ) -> Result<Tokens, Failure> {
        let mut request = self
            .cognito
            .respond_to_auth_challenge()
            .client_id(client)
            .challenge_name(ChallengeNameType::NewPasswordRequired)
            .session(session)
            .challenge_responses("USERNAME", username)
            .challenge_responses("NEW_PASSWORD", password);
        for (name, value) in attributes {
            request = request.challenge_responses(format!("userAttributes.{name}"), value);
        }
        let answer = call_service(
            &(Service::Cognito, "RespondToAuthChallenge"),
            request.send(),
        )
        .await?;
        Ok(Tokens::from_sdk(answer.authentication_result))
    }

    /// Gets new tokens by the refresh token; they have the user's current groups.
    ///
    /// # Errors
    /// As any call.
    pub async fn refresh(&self, client: &str, token: &str) -> Result<Tokens, Failure> {
        let request = self
            .cognito
            .initiate_auth()
            .client_id(client)
            .auth_flow(AuthFlowType::RefreshTokenAuth)
            .auth_parameters("REFRESH_TOKEN", token)
            .send();
        let answer = call_service(&(Service::Cognito, "InitiateAuth"), request).await?;
        Ok(Tokens::from_sdk(answer.authentication_result))
    }
}
