//! Amazon `DynamoDB`: the conditional `PutItem` that provisioning makes.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PutItem.html>

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Fault, unreadable};
use crate::world::{Effect, World};

const KEY: &str = "id";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Put {
    table_name: String,
    item: BTreeMap<String, Value>,
    condition_expression: Option<String>,
    #[serde(default)]
    expression_attribute_names: BTreeMap<String, String>,
    return_values_on_condition_check_failure: Option<String>,
}

pub(crate) async fn call(world: &World, operation: &str, body: &[u8]) -> Result<Vec<u8>, Fault> {
    if operation != "PutItem" {
        let message = format!("this endpoint does not have {operation}");
        return Err(fault("UnknownOperationException", &message));
    }
    let request: Put = serde_json::from_slice(body).map_err(|error| unreadable(&error))?;
    world.delay(|settings| settings.dynamodb).await;
    let mut state = world.state();
    if request.table_name != state.settings.table {
        return Err(fault(
            "ResourceNotFoundException",
            "Requested resource not found",
        ));
    }
    let id = request.item.get(KEY).and_then(|value| value["S"].as_str());
    let id = id.filter(|id| !id.is_empty()).map(str::to_owned);
    let Some(id) = id else {
        return Err(validation(
            "One or more parameter values were invalid: Missing the key id in the item",
        ));
    };
    let conditional = is_conditional(&request)?;
    if let Some(old) = state.profiles.get(&id).filter(|_| conditional) {
        let all_old = request.return_values_on_condition_check_failure.as_deref();
        let more = (all_old == Some("ALL_OLD")).then(|| json!({"Item": old}));
        state.seen.profiles_again += 1;
        return Err(Fault {
            more,
            ..fault(
                "ConditionalCheckFailedException",
                "The conditional request failed",
            )
        });
    }
    if state.effect(&id, Effect::Profile) == Some(false) {
        state.seen.profiles_again += 1;
    }
    let item = request.item.into_iter().collect();
    state.profiles.insert(id, item);
    Ok(b"{}".to_vec())
}

/// `attribute_not_exists` of the key is the only supported condition.
fn is_conditional(request: &Put) -> Result<bool, Fault> {
    let names = &request.expression_attribute_names;
    let Some(condition) = &request.condition_expression else {
        return if names.is_empty() {
            Ok(false)
        } else {
            Err(validation("names without an expression"))
        };
    };
    let name = condition
        .trim()
        .strip_prefix("attribute_not_exists")
        .and_then(|rest| rest.trim().strip_prefix('(')?.strip_suffix(')'))
        .map(str::trim);
    if names.keys().any(|given| Some(given.as_str()) != name) {
        return Err(validation("a name that the expression does not use"));
    }
    let name = name.map(|name| names.get(name).map_or(name, String::as_str));
    if name == Some(KEY) {
        Ok(true)
    } else {
        Err(validation("this endpoint does not have that condition"))
    }
}

fn fault(kind: &str, message: &str) -> Fault {
    Fault::new(format!("com.amazonaws.dynamodb.v20120810#{kind}"), message)
}

fn validation(message: &str) -> Fault {
    // Not in the namespace of the other errors.
    Fault::new("com.amazon.coral.validate#ValidationException", message)
}
