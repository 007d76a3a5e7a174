//! Amazon Cognito user pools: the two calls that provisioning makes.
//!
//! <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/Welcome.html>

use std::time::Instant;

use serde::Deserialize;
use serde_json::json;

use crate::answer::{Fault, unreadable};
use crate::world::{Effect, State, World};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    user_pool_id: String,
    username: String,
    #[serde(default)]
    group_name: String,
}

pub(crate) async fn call(world: &World, operation: &str, body: &[u8]) -> Result<Vec<u8>, Fault> {
    let request: Request = serde_json::from_slice(body).map_err(|error| unreadable(&error))?;
    // A call over the quota is refused before the delay, but takes as long as any other.
    let admitted = admit(&mut world.state(), operation);
    world.delay(|settings| settings.cognito).await;
    admitted?;
    let mut state = world.state();
    let pool = &state.settings.pool;
    if request.user_pool_id != *pool {
        let message = format!("User pool {} does not exist.", request.user_pool_id);
        return Err(Fault::new("ResourceNotFoundException", message));
    }
    match operation {
        "AdminAddUserToGroup" => add_to_group(&mut state, &request),
        _ => get(&state, &request),
    }
}

fn admit(state: &mut State, operation: &str) -> Result<(), Fault> {
    let quota = match operation {
        "AdminAddUserToGroup" => &mut state.user_update,
        "AdminGetUser" => &mut state.user_read,
        _ => {
            let message = format!("this endpoint does not have {operation}");
            return Err(Fault::new("UnknownOperationException", message));
        }
    };
    if quota
        .as_mut()
        .is_none_or(|quota| quota.take(Instant::now()))
    {
        Ok(())
    } else {
        Err(Fault::new("TooManyRequestsException", "Too many requests"))
    }
}

fn add_to_group(state: &mut State, request: &Request) -> Result<Vec<u8>, Fault> {
    if !state.users.contains_key(&request.username) {
        return Err(no_user());
    }
    if request.group_name != state.settings.group {
        return Err(Fault::new("ResourceNotFoundException", "Group not found."));
    }
    let new = state
        .effect(&request.username, Effect::Member)
        .ok_or_else(no_user)?;
    if !new {
        state.seen.groups_again += 1;
    }
    let now = Instant::now();
    state.seen.first_add.get_or_insert(now);
    state.seen.last_add = Some(now);
    // Cognito's response has an empty body.
    Ok(Vec::new())
}

fn get(state: &State, request: &Request) -> Result<Vec<u8>, Fault> {
    if !state.users.contains_key(&request.username) {
        return Err(no_user());
    }
    let user = json!({
        "Username": request.username,
        "UserAttributes": [{"Name": "sub", "Value": request.username}],
        "UserCreateDate": 1_767_225_600.0,
        "UserLastModifiedDate": 1_767_225_600.0,
        "Enabled": true,
        "UserStatus": "CONFIRMED",
    });
    Ok(user.to_string().into_bytes())
}

fn no_user() -> Fault {
    Fault::new("UserNotFoundException", "User does not exist.")
}
