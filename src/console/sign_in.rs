//! Signs administrators in with the user pool, step by step, and out.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};

use super::caller::{Asking, Caller};
use super::form::{Form, MAX_SIGN_IN_BYTES};
use super::guard::read_form;
use super::page::{Refusal, View};
use super::pool_guard::{PoolHost, SCHEME, busy, refusal};
use super::sign_in_page::{Asked, next_path};
use super::{session, sign_in_page};
use crate::aws::{Challenge, ChallengeKind, SessionTokens, SignInError, SignInProgress};
use crate::event::PoolId;

/// The limits of Cognito.
///
/// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminCreateUser.html>
const USERNAME_CHARS: std::ops::RangeInclusive<usize> = 1..=128;
const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 1..=256;
const SESSION_CHARS: std::ops::RangeInclusive<usize> = 20..=4096;
const CODE_CHARS: std::ops::RangeInclusive<usize> = 4..=12;

/// The same for every name and every password, so that strangers do not learn which users exist.
const REFUSED: &str = "The user name and the password do not match, or the user cannot sign in \
                       now. After several wrong passwords wait some minutes.";

/// `GET` on the path of a step, as after a reload.
pub(super) async fn first_view() -> Redirect {
    Redirect::to(View::Now.path())
}

/// The first step: user name and password.
pub(super) async fn begin(
    State(host): State<Arc<PoolHost>>,
    request: Request,
) -> Result<Response, Refusal> {
    let form = read(request).await?;
    let username = form.get("username").to_owned();
    let password = form.untrimmed("password").to_owned();
    let next = next_path(form.get("next")).to_owned();
    let fits = USERNAME_CHARS.contains(&username.chars().count())
        && PASSWORD_CHARS.contains(&password.chars().count());
    if !fits {
        return Ok(explain(&SignInError::Refused, None, &next));
    }
    admit(&host, &username)?;
    let admission = host.admission.clone();
    let work = async move {
        let step = host.sign_in.begin(&username, &password).await;
        proceed(&host, step, &Before::Password(password), &next).await
    };
    admission.run(work).await.ok_or_else(busy)
}

/// The next steps: a code, or a new password.
pub(super) async fn answer(
    State(host): State<Arc<PoolHost>>,
    request: Request,
) -> Result<Response, Refusal> {
    let form = read(request).await?;
    let next = next_path(form.get("next")).to_owned();
    let Some(asked) = challenge_of(&form) else {
        return Ok(explain(&SignInError::Expired, None, &next));
    };
    let given = match read_answer(&asked, &form) {
        Ok(given) => given,
        Err(rule) => {
            let status = StatusCode::FORBIDDEN;
            return Ok(sign_in_page::challenge(status, &asked, &next, rule));
        }
    };
    admit(&host, &asked.challenge.username)?;
    let admission = host.admission.clone();
    let work = async move {
        let step = host.sign_in.answer(&asked.challenge, &given).await;
        proceed(&host, step, &Before::Challenge(asked), &next).await
    };
    admission.run(work).await.ok_or_else(busy)
}

/// Ends the session of the browser, and what Cognito takes of it.
pub(super) async fn end(
    State(host): State<Arc<PoolHost>>,
    Extension(caller): Asking,
    headers: HeaderMap,
) -> Response {
    host.revoke(session::refresh_token(&headers)).await;
    audit("SignOut", &caller);
    let (path, message) = (View::Now.path(), "You are signed out.");
    session::end(sign_in_page::sign_in(StatusCode::OK, path, message))
}

/// A page of another site could otherwise sign a browser in under its own name.
async fn read(request: Request) -> Result<Form, Refusal> {
    let (head, body) = request.into_parts();
    read_form(&head.headers, body, SCHEME, MAX_SIGN_IN_BYTES).await
}

fn admit(host: &PoolHost, username: &str) -> Result<(), Refusal> {
    host.admit_step(username)
        .inspect_err(|_| count("too_many_requests"))
}

/// `None` if the fields are not those of a page of this console.
fn challenge_of(form: &Form) -> Option<Asked> {
    let challenge = Challenge {
        kind: ChallengeKind::from_name(form.get("challenge"))?,
        session: form.get("session").to_owned(),
        username: form.get("username").to_owned(),
    };
    let fits = SESSION_CHARS.contains(&challenge.session.chars().count())
        && USERNAME_CHARS.contains(&challenge.username.chars().count());
    let mark = form.get("mark").to_owned();
    fits.then_some(Asked { challenge, mark })
}

/// The answer, or what is wrong with it.
fn read_answer(asked: &Asked, form: &Form) -> Result<String, &'static str> {
    let Asked { challenge, mark } = asked;
    if challenge.kind == ChallengeKind::NewPassword {
        let password = form.untrimmed("answer");
        return if !PASSWORD_CHARS.contains(&password.chars().count()) {
            Err("The password must have 1 to 256 characters.")
        } else if password != form.untrimmed("repeated") {
            Err("The two passwords differ.")
        } else if session::password_mark(&challenge.session, password).is(mark) {
            // Cognito would take it, but a password that was sent by mail is not secret.
            Err("This is your temporary password. Choose another one.")
        } else {
            Ok(password.to_owned())
        };
    }
    let code = form.get("answer").replace(' ', "");
    let is_code = CODE_CHARS.contains(&code.len()) && code.bytes().all(|it| it.is_ascii_digit());
    is_code.then_some(code).ok_or("A code has only digits.")
}

/// What the browser has sent for a step.
enum Before {
    Password(String),
    /// The answer to this.
    Challenge(Asked),
}

async fn proceed(
    host: &PoolHost,
    step: Result<SignInProgress, SignInError>,
    before: &Before,
    next: &str,
) -> Response {
    match step {
        Ok(SignInProgress::SignedIn(tokens)) => open(host, &tokens, next).await,
        Ok(SignInProgress::Challenged(challenge)) => {
            count("challenged");
            let mark = match before {
                Before::Password(password) if challenge.kind == ChallengeKind::NewPassword => {
                    let mark = session::password_mark(&challenge.session, password);
                    mark.reveal().to_owned()
                }
                _ => String::new(),
            };
            let asked = Asked { challenge, mark };
            sign_in_page::challenge(StatusCode::OK, &asked, next, "")
        }
        Err(error) => {
            record(&error);
            let asked = match before {
                Before::Password(_) => None,
                Before::Challenge(asked) => Some(asked),
            };
            explain(&error, asked, next)
        }
    }
}

/// Begins the session of an administrator. Nothing is left of the sign-in of someone else.
async fn open(host: &PoolHost, tokens: &SessionTokens, next: &str) -> Response {
    let refused = match verify(host, tokens).await {
        Ok(caller) => {
            let mut response = Redirect::to(next).into_response();
            if session::begin(&mut response, tokens) {
                count("signed_in");
                audit("SignIn", &caller);
                return response;
            }
            count("too_many_groups");
            Refusal::new(
                StatusCode::FORBIDDEN,
                "You are in too many groups",
                "Your access token is larger than a cookie can be. Use an account that is in \
                 fewer groups.",
            )
        }
        Err(refused) => refused,
    };
    host.revoke(tokens.refresh.as_deref()).await;
    refused.into_response()
}

async fn verify(host: &PoolHost, tokens: &SessionTokens) -> Result<Caller, Refusal> {
    let error = match host.verify_current(&tokens.access).await {
        Ok(user) => {
            let token = session::form_token(&tokens.access);
            return Ok(Caller::administrator(user, token));
        }
        Err(error) => error,
    };
    count(error.name());
    Err(refusal(&error).unwrap_or_else(|| {
        tracing::error!(
            reason = error.name(),
            remedy = "console.client_id must be an app client of a pool of pools.allowed",
            "an administrator could not sign in to the console",
        );
        misconfigured()
    }))
}

/// The page that follows a refused step.
fn explain(error: &SignInError, asked: Option<&Asked>, next: &str) -> Response {
    let begin = |message| sign_in_page::sign_in(StatusCode::FORBIDDEN, next, message);
    let again = |status, message: &str| match asked {
        Some(asked) => sign_in_page::challenge(status, asked, next, message),
        None => sign_in_page::sign_in(status, next, message),
    };
    match error {
        SignInError::Refused => begin(REFUSED),
        SignInError::Expired => begin("The sign-in took too long. Begin again."),
        SignInError::WrongCode => again(
            StatusCode::FORBIDDEN,
            "This code is wrong or no longer valid.",
        ),
        SignInError::InvalidPassword(rules) => again(StatusCode::FORBIDDEN, &advice(rules)),
        SignInError::Busy | SignInError::Unavailable(_) => again(
            StatusCode::SERVICE_UNAVAILABLE,
            "The user pool does not answer now. Try again in a moment.",
        ),
        SignInError::Unsupported(name) => {
            let detail = format!(
                "The user pool asks for something that this page cannot do ({name}). Sign in to \
                 your app first, or accept your invitation."
            );
            Refusal::new(StatusCode::FORBIDDEN, "You cannot sign in here yet", detail)
                .with_next(View::Now.path(), "Begin again")
                .into_response()
        }
        SignInError::Misconfigured(..) => misconfigured().into_response(),
    }
}

fn misconfigured() -> Refusal {
    Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "The console cannot sign anyone in",
        "An operator of usher has to fix it: the worker's log says why.",
    )
}

/// What a new password lacks.
fn advice(rules: &[&str]) -> String {
    let words = rules.iter().map(|rule| match *rule {
        "length" => "it is too short",
        "uppercase" => "it has no uppercase letter",
        "lowercase" => "it has no lowercase letter",
        "number" => "it has no digit",
        "symbol" => "it has no symbol",
        "history" => "you have had it before",
        "no_space_at_ends" => "it begins or ends with a space",
        _ => "it is not safe",
    });
    let words: Vec<&str> = words.collect();
    match words.as_slice() {
        [] => "Choose another password: the user pool refuses this one.".to_owned(),
        words => format!("Choose another password: {}.", words.join(", ")),
    }
}

/// Counts the error, and logs those that an operator has to fix.
fn record(error: &SignInError) {
    const MESSAGE: &str = "an administrator could not sign in to the console";
    match error {
        SignInError::Unavailable(failure) => tracing::error!(error = %failure, "{MESSAGE}"),
        SignInError::Misconfigured(fault, failure) => tracing::error!(
            error = %failure, reason = fault.name(), remedy = %fault, "{MESSAGE}",
        ),
        _ => {}
    }
    count(match error {
        SignInError::Refused => "not_accepted",
        SignInError::WrongCode => "wrong_code",
        SignInError::InvalidPassword(_) => "password_refused",
        SignInError::Expired => "expired",
        SignInError::Unsupported(_) => "unsupported",
        SignInError::Busy => "busy",
        SignInError::Unavailable(_) => "unavailable",
        SignInError::Misconfigured(..) => "misconfigured",
    });
}

fn count(result: &'static str) {
    metrics::counter!("usher_console_sign_ins_total", "result" => result).increment(1);
}

fn audit(action: &'static str, caller: &Caller) {
    tracing::info!(
        target: "usher::audit",
        action,
        actor = caller.sub(),
        pool.id = caller.only_pool().map(PoolId::as_str),
        result = "done",
        "{action} of an administrator at the console",
    );
}
