"""usher trigger attach, on a pool with every setting that it could lose."""

from made import ACCOUNT, REGION, cognito, environment, usher
from run_checks import check, equal


def attaches(function):
    @check("usher trigger attach changes only the triggers of a pool with twenty settings")
    def _():
        other = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:another-team"
        settings = {
            "AccountRecoverySetting": {"RecoveryMechanisms": [{"Name": "verified_email", "Priority": 1}]},
            "AdminCreateUserConfig": {
                "AllowAdminCreateUserOnly": True,
                "InviteMessageTemplate": {"EmailMessage": "{username} {####}", "EmailSubject": "Come"},
            },
            "AutoVerifiedAttributes": ["email"],
            "DeletionProtection": "ACTIVE",
            "DeviceConfiguration": {"ChallengeRequiredOnNewDevice": True},
            "EmailConfiguration": {
                "EmailSendingAccount": "DEVELOPER",
                "SourceArn": f"arn:aws:ses:{REGION}:{ACCOUNT}:identity/example.com",
            },
            "EmailVerificationMessage": "code {####}",
            "EmailVerificationSubject": "your code",
            "LambdaConfig": {"PreSignUp": other, "PostAuthentication": other},
            "MfaConfiguration": "OFF",
            "Policies": {
                "PasswordPolicy": {
                    "MinimumLength": 14, "RequireUppercase": False, "RequireLowercase": True,
                    "RequireNumbers": True, "RequireSymbols": False, "TemporaryPasswordValidityDays": 3,
                },
            },
            "SmsAuthenticationMessage": "sign in {####}",
            "SmsConfiguration": {
                "ExternalId": "x", "SnsCallerArn": f"arn:aws:iam::{ACCOUNT}:role/sms",
            },
            "SmsVerificationMessage": "sms {####}",
            "UserAttributeUpdateSettings": {"AttributesRequireVerificationBeforeUpdate": ["email"]},
            "UserPoolAddOns": {"AdvancedSecurityMode": "AUDIT"},
            "UserPoolTags": {"team": "identity"},
            "UserPoolTier": "PLUS",
            "VerificationMessageTemplate": {
                "DefaultEmailOption": "CONFIRM_WITH_LINK", "EmailMessageByLink": "{##here##}",
            },
            "KeyConfiguration": {"KeyType": "AWS_OWNED_KEY"},
        }
        equal(len(settings), 20)
        full = cognito.create_user_pool(PoolName="full", **settings)["UserPool"]["Id"]

        def described():
            return cognito.describe_user_pool(UserPoolId=full)["UserPool"]

        before = described()
        for name, value in settings.items():
            if name != "AdminCreateUserConfig":
                equal(before[name], value)
        own = environment({})
        done = usher(own, "trigger", "attach", "--pool", full, "--function-arn", function,
                     "--custom-message", "--yes", "--backup", "before.json")
        equal((done.returncode, "all other settings are unchanged" in done.stdout), (0, True))
        after = described()
        equal(after.pop("LambdaConfig"), {
            "PreSignUp": other, "PostAuthentication": other,
            "PostConfirmation": function, "CustomMessage": function,
        })
        triggers = before.pop("LambdaConfig")
        equal(after, before)
        back = usher(own, "trigger", "restore", "before.json", "--pool", full, "--yes",
                     "--backup", "after.json")
        equal(back.returncode, 0)
        equal(described()["LambdaConfig"], triggers)
