//! `usher trigger attach`: changes the triggers and no other setting.

mod failures;

use serde_json::{Value, json};
use usher::attach::UserPoolSettings;
use usher::aws::{JsonObject, PoolSettings};
use usher::event::PoolId;

use crate::faults::Fault;
use crate::process::finished;
use crate::world::World;

const USHER: &str = "arn:aws:lambda:us-east-1:123456789012:function:usher-trigger";
const OTHER: &str = "arn:aws:lambda:us-east-1:123456789012:function:somebody-elses";

/// Twenty-one settings, with a trigger of another function.
fn settings() -> JsonObject {
    let settings = json!({
        "AccountRecoverySetting": {"RecoveryMechanisms": [{"Name": "verified_email", "Priority": 1}]},
        "AdminCreateUserConfig": {
            "AllowAdminCreateUserOnly": true,
            "InviteMessageTemplate": {"EmailMessage": "{username} {####}", "EmailSubject": "Come"},
        },
        "AutoVerifiedAttributes": ["email", "phone_number"],
        "DcrConfiguration": {"EnableStatus": "Disabled", "OpenDcrEnabled": false},
        "DeletionProtection": "ACTIVE",
        "DeviceConfiguration": {"ChallengeRequiredOnNewDevice": true},
        "EmailConfiguration": {"EmailSendingAccount": "DEVELOPER", "From": "a@example.com", "SourceArn": "arn:aws:ses:us-east-1:123456789012:identity/example.com"},
        "EmailVerificationMessage": "code {####}",
        "EmailVerificationSubject": "your code",
        "LambdaConfig": {"PreSignUp": OTHER, "KMSKeyID": "arn:aws:kms:us-east-1:123456789012:key/1",
            "CustomSMSSender": {"LambdaArn": OTHER, "LambdaVersion": "V1_0"}},
        "MfaConfiguration": "OPTIONAL",
        "Policies": {
            "PasswordPolicy": {"MinimumLength": 14, "RequireSymbols": false, "TemporaryPasswordValidityDays": 3},
            "SignInPolicy": {"AllowedFirstAuthFactors": ["PASSWORD", "WEB_AUTHN"]},
        },
        "SmsAuthenticationMessage": "sign in {####}",
        "SmsConfiguration": {"ExternalId": "x", "SnsCallerArn": "arn:aws:iam::123456789012:role/sms"},
        "SmsVerificationMessage": "sms {####}",
        "UserAttributeUpdateSettings": {"AttributesRequireVerificationBeforeUpdate": ["email"]},
        "UserPoolAddOns": {"AdvancedSecurityMode": "AUDIT"},
        "UserPoolTags": {"team": "identity", "cost": "42"},
        "UserPoolTier": "PLUS",
        "VerificationMessageTemplate": {"DefaultEmailOption": "CONFIRM_WITH_LINK", "EmailMessageByLink": "{##here##}"},
        "KeyConfiguration": {"KeyType": "AWS_OWNED_KEY"},
    });
    let settings = settings.as_object().cloned().expect("an object");
    assert_eq!(settings.len(), 21);
    settings
}

struct AttachFixture {
    world: World,
    pool: PoolId,
    services: PoolSettings,
    folder: tempfile::TempDir,
}

impl AttachFixture {
    async fn new() -> Self {
        let world = World::new().await;
        let pool = PoolId::new(&world.pool.id).expect("an id");
        let services = PoolSettings::new(&world.aws);
        services.write(&pool, &settings()).await.expect("set");
        let factors = json!({"MfaConfiguration": "OPTIONAL",
            "SoftwareTokenMfaConfiguration": {"Enabled": true}});
        let factors = factors.as_object().expect("an object");
        services.write_mfa(&pool, factors).await.expect("set");
        Self {
            world,
            pool,
            services,
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    async fn read(&self) -> UserPoolSettings {
        UserPoolSettings {
            pool: self.services.read(&self.pool).await.expect("read"),
            mfa: self.services.read_mfa(&self.pool).await.expect("read"),
        }
    }

    async fn trigger(&self, verb: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = crate::process::usher();
        command
            .args(["trigger", verb, "--pool", self.pool.as_str()])
            .args(arguments)
            .env("AWS_ENDPOINT_URL", &self.world.url)
            .stdin(std::process::Stdio::null())
            .current_dir(self.folder.path());
        finished(command).await
    }

    fn backups(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).expect("a folder");
        entries
            .map(|entry| entry.expect("an entry").file_name())
            .map(|name| name.into_string().expect("text"))
            .collect()
    }
}

#[tokio::test]
async fn only_the_triggers_change_and_can_be_restored() {
    let fixture = AttachFixture::new().await;
    let before = fixture.read().await;
    for (name, value) in settings() {
        let shown = before.pool.get(&name);
        assert!(shown.is_some(), "{name} is not shown");
        if name != "AdminCreateUserConfig" {
            assert_eq!(shown, Some(&value), "{name}");
        }
    }

    let function = ["--function-arn", USHER];
    let (status, out, error) = fixture
        .trigger("attach", &[&function[..], &["--dry-run"]].concat())
        .await;
    assert_eq!(status, Some(0), "{error}");
    assert!(error.contains("aws lambda add-permission"), "{error}");
    assert!(
        out.contains("PostConfirmation") && out.contains(USHER),
        "{out}"
    );
    assert!(fixture.backups().is_empty());
    assert_eq!(fixture.read().await.triggers(), before.triggers());

    let (status, _, error) = fixture.trigger("attach", &function).await;
    assert_eq!(status, Some(2), "nobody to ask: {error}");
    assert!(error.contains("--yes"), "{error}");

    let all = [
        "--custom-message",
        "--pre-token-generation",
        "--post-authentication",
        "--yes",
        "--output",
        "json",
    ];
    let (status, out, error) = fixture
        .trigger("attach", &[&function[..], &all].concat())
        .await;
    assert_eq!(status, Some(0), "{error}");
    let report: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(report["changed"], true);
    assert_eq!(report["differences"], json!([]));
    assert_eq!(report["changes"].as_array().map(Vec::len), Some(5));
    assert!(error.contains("usher::audit"), "{error}");

    let after = fixture.read().await;
    assert_eq!(before.differences(&after), []);
    let mut expected = before.triggers();
    for slot in [
        "PostConfirmation",
        "CustomMessage",
        "PreTokenGeneration",
        "PostAuthentication",
    ] {
        expected.insert(slot.to_owned(), json!(USHER));
    }
    let versioned = json!({"LambdaArn": USHER, "LambdaVersion": "V1_0"});
    expected.insert("PreTokenGenerationConfig".to_owned(), versioned);
    assert_eq!(after.triggers(), expected);

    let backups = fixture.backups();
    assert_eq!(backups.len(), 1);
    let back = [&backups[0], "--yes"];
    let (status, _, error) = fixture.trigger("restore", &back).await;
    assert_eq!(status, Some(0), "{error}");
    let restored = fixture.read().await;
    assert_eq!(before.differences(&restored), []);
    assert_eq!(restored.triggers(), before.triggers());
}

#[tokio::test]
async fn another_functions_trigger_needs_replace_and_stays_at_detach() {
    let fixture = AttachFixture::new().await;
    let mut taken = settings();
    taken["LambdaConfig"]["PostConfirmation"] = json!(OTHER);
    fixture
        .services
        .write(&fixture.pool, &taken)
        .await
        .expect("set");
    let function = ["--function-arn", USHER, "--yes"];
    let (status, _, error) = fixture.trigger("attach", &function).await;
    assert_eq!(status, Some(1));
    assert!(
        error.contains(OTHER) && error.contains("--replace"),
        "{error}"
    );
    assert!(fixture.backups().is_empty());

    let (status, ..) = fixture
        .trigger("detach", &["--function-arn", USHER, "--yes"])
        .await;
    assert_eq!(status, Some(0));
    assert_eq!(fixture.read().await.triggers()["PostConfirmation"], OTHER);

    let replace = ["--replace", "--backup", "before.json"];
    let (status, out, error) = fixture
        .trigger("attach", &[&function[..], &replace].concat())
        .await;
    assert_eq!(status, Some(0), "{error}");
    let plan = format!("PostConfirmation  {OTHER} -> {USHER}\n");
    assert!(out.starts_with(&plan), "{out}");
    assert!(out.contains("\ntriggers updated"), "{out}");
    assert!(!error.contains(" -> "), "{error}");
    assert_eq!(fixture.read().await.triggers()["PostConfirmation"], USHER);
    let (status, out, _) = fixture.trigger("attach", &function).await;
    assert_eq!(status, Some(0));
    assert!(out.contains("nothing changed"), "{out}");

    let detach = ["--function-arn", USHER, "--yes", "--backup", "before.json"];
    let (status, _, error) = fixture.trigger("detach", &detach).await;
    assert_eq!(status, Some(1), "a backup is not overwritten: {error}");
    assert_eq!(fixture.read().await.triggers()["PostConfirmation"], USHER);
    let (status, _, error) = fixture
        .trigger("detach", &["--function-arn", USHER, "--yes"])
        .await;
    assert_eq!(status, Some(0), "{error}");
    assert!(error.contains(r#""action":"detach""#), "{error}");
    let triggers = fixture.read().await.triggers();
    assert!(!triggers.contains_key("PostConfirmation"), "{triggers:?}");
    assert_eq!(triggers["PreSignUp"], OTHER);

    let back = ["before.json", "--yes"];
    let (status, _, error) = fixture.trigger("restore", &back).await;
    assert_eq!(status, Some(1), "changed since: {error}");
    let (status, _, error) = fixture
        .trigger("restore", &[&back[..], &["--discard-changes"]].concat())
        .await;
    assert_eq!(status, Some(0), "{error}");
    assert!(error.contains(r#""action":"restore""#), "{error}");
    assert_eq!(fixture.read().await.triggers()["PostConfirmation"], OTHER);
}

#[tokio::test]
async fn an_unknown_setting_stops_attach_and_bad_arguments_are_named() {
    let fixture = AttachFixture::new().await;
    fixture.world.faults.plan(|call| {
        let newer = |mut answer: Value| {
            answer["UserPool"]["QuantumPolicy"] = json!({"Spin": "UP"});
            answer
        };
        (call.operation == "DescribeUserPool").then_some(Fault::Answer(newer))
    });
    let written = fixture.world.faults.calls("UpdateUserPool");
    let (status, _, error) = fixture
        .trigger("attach", &["--function-arn", USHER, "--yes"])
        .await;
    assert_eq!(status, Some(1));
    for part in [
        "QuantumPolicy",
        "set the trigger in the AWS console",
        "newer release",
    ] {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(fixture.world.faults.calls("UpdateUserPool"), written);
    fixture.world.faults.clear();

    let elsewhere = USHER.replace("us-east-1", "eu-west-1");
    for (arguments, word) in [
        (vec![], "--function-arn"),
        (vec!["--function-arn", "usher-trigger", "--yes"], "ARN"),
        (vec!["--function-arn", &elsewhere, "--yes"], "Region"),
    ] {
        let (status, _, error) = fixture.trigger("attach", &arguments).await;
        assert_eq!(status, Some(2), "{error}");
        assert!(error.contains(word), "{error}");
    }
    let (status, _, error) = fixture.trigger("restore", &["nowhere.json", "--yes"]).await;
    assert_eq!(status, Some(1));
    assert!(error.contains("nowhere.json"), "{error}");
    let mut command = crate::process::usher();
    command
        .args(["trigger", "attach", "--pool", "us-east-1_nobody", "--yes"])
        .args(["--function-arn", USHER])
        .env("AWS_ENDPOINT_URL", &fixture.world.url);
    let (status, _, error) = finished(command).await;
    assert_eq!(status, Some(1));
    assert!(error.contains("ResourceNotFoundException"), "{error}");
}
