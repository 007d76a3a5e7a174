//! The operations of AWS that usher calls: service, rate category and IAM action of each.

use std::fmt;

use crate::quota::Category;

/// The AWS service that a call goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// Amazon SQS: source and dead-letter queues.
    Sqs,
    /// Amazon Cognito user pools: users and groups.
    Cognito,
    /// Amazon `DynamoDB`: the tables of profiles and of requests.
    DynamoDb,
    /// AWS Security Token Service: the caller's identity.
    Sts,
}

impl Service {
    /// The name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqs => "sqs",
            Self::Cognito => "cognito",
            Self::DynamoDb => "dynamodb",
            Self::Sts => "sts",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An operation of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// Of Amazon SQS.
    Sqs(SqsOperation),
    /// Of Amazon Cognito user pools.
    Cognito(CognitoOperation),
    /// Of Amazon `DynamoDB`.
    DynamoDb(DynamoDbOperation),
    /// Of the AWS Security Token Service.
    Sts(StsOperation),
    /// One that only `usher dev` and the tests call.
    #[cfg(feature = "dev")]
    Sandbox(&'static (Service, &'static str)),
}

/// Names a call in its metrics and errors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) operation: Operation,
    /// The pool, app client, table or queue; never a user.
    pub(super) resource: &'a str,
}

macro_rules! operations {
    ($(#[$doc:meta])* $name:ident of $service:ident: $($operation:ident,)*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "the names are those of AWS")]
        pub enum $name {
            $($operation,)*
        }

        impl $name {
            const ALL: &[Self] = &[$(Self::$operation,)*];

            fn name(self) -> &'static str {
                match self {
                    $(Self::$operation => stringify!($operation),)*
                }
            }
        }

        impl From<$name> for Operation {
            fn from(operation: $name) -> Self {
                Self::$service(operation)
            }
        }
    };
}

operations! {
    /// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_Operations.html>
    SqsOperation of Sqs:
    CancelMessageMoveTask,
    ChangeMessageVisibilityBatch,
    DeleteMessageBatch,
    GetQueueAttributes,
    GetQueueUrl,
    ListMessageMoveTasks,
    ReceiveMessage,
    SendMessage,
    SendMessageBatch,
    StartMessageMoveTask,
}

operations! {
    /// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_Operations.html>
    CognitoOperation of Cognito:
    AdminAddUserToGroup,
    AdminCreateUser,
    AdminDeleteUser,
    AdminDisableUser,
    AdminEnableUser,
    AdminGetUser,
    AdminListGroupsForUser,
    AdminRemoveUserFromGroup,
    AdminUserGlobalSignOut,
    CreateGroup,
    DescribeUserPool,
    GetGroup,
    GetUserPoolMfaConfig,
    InitiateAuth,
    ListGroups,
    ListUsers,
    ListUsersInGroup,
    RespondToAuthChallenge,
    RevokeToken,
    SetUserPoolMfaConfig,
    UpdateUserPool,
}

operations! {
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations_Amazon_DynamoDB.html>
    DynamoDbOperation of DynamoDb:
    BatchGetItem,
    DeleteItem,
    DescribeTable,
    DescribeTimeToLive,
    PutItem,
    Query,
    Scan,
    UpdateItem,
}

operations! {
    /// <https://docs.aws.amazon.com/STS/latest/APIReference/API_Operations.html>
    StsOperation of Sts:
    GetCallerIdentity,
}

impl Operation {
    /// Every operation that the product calls.
    pub fn all() -> impl Iterator<Item = Self> {
        let sqs = SqsOperation::ALL.iter().copied().map(Self::from);
        let cognito = CognitoOperation::ALL.iter().copied().map(Self::from);
        let dynamodb = DynamoDbOperation::ALL.iter().copied().map(Self::from);
        let sts = StsOperation::ALL.iter().copied().map(Self::from);
        sqs.chain(cognito).chain(dynamodb).chain(sts)
    }

    /// The service that it belongs to.
    pub fn service(self) -> Service {
        match self {
            Self::Sqs(_) => Service::Sqs,
            Self::Cognito(_) => Service::Cognito,
            Self::DynamoDb(_) => Service::DynamoDb,
            Self::Sts(_) => Service::Sts,
            #[cfg(feature = "dev")]
            Self::Sandbox((service, _)) => *service,
        }
    }

    /// Its name in the API, such as `AdminGetUser`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqs(operation) => operation.name(),
            Self::Cognito(operation) => operation.name(),
            Self::DynamoDb(operation) => operation.name(),
            Self::Sts(operation) => operation.name(),
            #[cfg(feature = "dev")]
            Self::Sandbox((_, name)) => name,
        }
    }

    /// The IAM action that allows it; `None` for calls that need no permission. A batch
    /// needs the permission of the single call.
    ///
    /// <https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html>
    pub fn iam_action(self) -> Option<String> {
        let prefix = match self {
            Self::Cognito(
                CognitoOperation::InitiateAuth
                | CognitoOperation::RespondToAuthChallenge
                | CognitoOperation::RevokeToken,
            )
            | Self::Sts(StsOperation::GetCallerIdentity) => return None,
            _ => match self.service() {
                Service::Sqs => "sqs",
                Service::Cognito => "cognito-idp",
                Service::DynamoDb => "dynamodb",
                Service::Sts => "sts",
            },
        };
        let name = self.name();
        let single = name.strip_suffix("Batch").unwrap_or(name);
        Some(format!("{prefix}:{single}"))
    }
}

impl CognitoOperation {
    /// The category whose rate limits it.
    ///
    /// <https://docs.aws.amazon.com/cognito/latest/developerguide/quotas.html>
    pub(super) fn category(self) -> Category {
        match self {
            Self::AdminAddUserToGroup
            | Self::AdminDeleteUser
            | Self::AdminDisableUser
            | Self::AdminEnableUser
            | Self::AdminRemoveUserFromGroup
            | Self::AdminUserGlobalSignOut => Category::UserUpdate,
            Self::AdminCreateUser => Category::UserCreation,
            Self::AdminGetUser => Category::UserRead,
            Self::AdminListGroupsForUser => Category::UserResourceRead,
            Self::CreateGroup => Category::GroupCreate,
            Self::GetGroup | Self::ListGroups => Category::GroupRead,
            Self::InitiateAuth => Category::UserAuthentication,
            Self::ListUsers | Self::ListUsersInGroup => Category::UserList,
            Self::RespondToAuthChallenge => Category::AccountRecovery,
            Self::RevokeToken => Category::UserToken,
            Self::DescribeUserPool | Self::GetUserPoolMfaConfig => Category::PoolRead,
            Self::SetUserPoolMfaConfig | Self::UpdateUserPool => Category::PoolUpdate,
        }
    }
}
