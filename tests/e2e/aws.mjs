// What the test does and sees through the AWS SDK. Endpoints, Region and
// credentials are in the environment, for usher and for this program alike.

import * as cognito from '@aws-sdk/client-cognito-identity-provider';
import * as dynamodb from '@aws-sdk/client-dynamodb';
import * as sqs from '@aws-sdk/client-sqs';

const pools = new cognito.CognitoIdentityProviderClient();
const tables = new dynamodb.DynamoDBClient();
const queues = new sqs.SQSClient();

const TableName = process.env.USHER_PROFILES__TABLE;
export const PASSWORD = 'Passw0rd!';

export async function createQueue(name, deadLetterUrl) {
  const Attributes = {};
  if (deadLetterUrl) {
    const { Attributes: facts } = await queues.send(
      new sqs.GetQueueAttributesCommand({ QueueUrl: deadLetterUrl, AttributeNames: ['QueueArn'] }),
    );
    Attributes.RedrivePolicy = JSON.stringify({
      deadLetterTargetArn: facts.QueueArn,
      maxReceiveCount: 20,
    });
  }
  const { QueueUrl } = await queues.send(new sqs.CreateQueueCommand({ QueueName: name, Attributes }));
  return QueueUrl;
}

// Messages in any state.
export async function depth(QueueUrl) {
  const { Attributes } = await queues.send(
    new sqs.GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['All'] }),
  );
  return ['', 'NotVisible', 'Delayed']
    .map((state) => Number(Attributes[`ApproximateNumberOfMessages${state}`]))
    .reduce((sum, count) => sum + count);
}

export const purge = (QueueUrl) => queues.send(new sqs.PurgeQueueCommand({ QueueUrl }));

export const send = (QueueUrl, MessageBody) =>
  queues.send(new sqs.SendMessageCommand({ QueueUrl, MessageBody }));

// Reads without hiding: the messages stay for the worker.
export async function peek(QueueUrl) {
  const { Messages = [] } = await queues.send(
    new sqs.ReceiveMessageCommand({
      QueueUrl,
      MaxNumberOfMessages: 10,
      VisibilityTimeout: 0,
      MessageAttributeNames: ['All'],
    }),
  );
  return Messages.map(({ Body, MessageAttributes = {} }) => ({
    body: Body,
    attributes: Object.fromEntries(
      Object.entries(MessageAttributes).map(([name, { StringValue }]) => [name, StringValue]),
    ),
  }));
}

export const createTable = (name = TableName) =>
  tables.send(
    new dynamodb.CreateTableCommand({
      TableName: name,
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }],
      KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
    }),
  );

export const putProfile = (Item) => tables.send(new dynamodb.PutItemCommand({ TableName, Item }));

export const deleteProfile = (id) =>
  tables.send(new dynamodb.DeleteItemCommand({ TableName, Key: { id: { S: id } } }));

export const createIndex = (IndexName, AttributeName) =>
  tables.send(
    new dynamodb.UpdateTableCommand({
      TableName,
      AttributeDefinitions: [{ AttributeName, AttributeType: 'S' }],
      GlobalSecondaryIndexUpdates: [
        {
          Create: {
            IndexName,
            KeySchema: [{ AttributeName, KeyType: 'HASH' }],
            Projection: { ProjectionType: 'KEYS_ONLY' },
          },
        },
      ],
    }),
  );

// Every record as DynamoDB types it, by its key.
export async function profiles() {
  const { Items } = await tables.send(
    new dynamodb.ScanCommand({ TableName, ConsistentRead: true }),
  );
  return Object.fromEntries(Items.map((item) => [item.id.S, item]));
}

export async function createPool(PoolName, UsernameAttributes) {
  const { UserPool } = await pools.send(
    new cognito.CreateUserPoolCommand({ PoolName, UsernameAttributes }),
  );
  return furnish(UserPool.Id);
}

// A pool with one client and one group, and the sign-ups through it. In a pool
// that never had a group, cognito-local answers 500 to any question for one.
export async function furnish(UserPoolId) {
  await pools.send(new cognito.CreateGroupCommand({ UserPoolId, GroupName: 'OTHER' }));
  const createClient = async (ClientName) => {
    const { UserPoolClient } = await pools.send(
      new cognito.CreateUserPoolClientCommand({ UserPoolId, ClientName }),
    );
    return UserPoolClient.ClientId;
  };
  const ClientId = await createClient('e2e');
  return {
    id: UserPoolId,
    clientId: ClientId,
    createClient,

    async signUp(Username, email) {
      const UserAttributes = email ? [{ Name: 'email', Value: email }] : [];
      const answer = await pools.send(
        new cognito.SignUpCommand({ ClientId, Username, Password: PASSWORD, UserAttributes }),
      );
      return answer.UserSub;
    },

    async confirm(Username) {
      const ConfirmationCode = process.env.CODE;
      const answer = await pools.send(
        new cognito.ConfirmSignUpCommand({ ClientId, Username, ConfirmationCode }),
      );
      return answer.$metadata.httpStatusCode;
    },

    // As someone does who has forgotten theirs, or was imported without one.
    // ForgotPassword would wait for the trigger of its mail. Without it cognito-local has no
    // code for the user, and takes a request without one.
    async choosePassword(Username) {
      const request = { ClientId, Username, Password: PASSWORD };
      await pools.send(new cognito.ConfirmForgotPasswordCommand(request));
    },

    async users() {
      const { Users } = await pools.send(new cognito.ListUsersCommand({ UserPoolId }));
      return Users.map((user) => user.Username).sort();
    },

    async groups() {
      const { Groups } = await pools.send(new cognito.ListGroupsCommand({ UserPoolId }));
      return Groups.map((group) => group.GroupName).sort();
    },

    async groupsOf(Username) {
      const { Groups } = await pools.send(
        new cognito.AdminListGroupsForUserCommand({ UserPoolId, Username }),
      );
      return Groups.map((group) => group.GroupName).sort();
    },

    async createGroup(GroupName) {
      await pools.send(new cognito.CreateGroupCommand({ UserPoolId, GroupName }));
    },

    async addToGroup(Username, GroupName) {
      await pools.send(
        new cognito.AdminAddUserToGroupCommand({ UserPoolId, Username, GroupName }),
      );
    },

    async removeFromGroup(Username, GroupName) {
      await pools.send(
        new cognito.AdminRemoveUserFromGroupCommand({ UserPoolId, Username, GroupName }),
      );
    },

    async statusOf(Username) {
      const user = await pools.send(new cognito.AdminGetUserCommand({ UserPoolId, Username }));
      return user.UserStatus;
    },

    async attributesOf(Username) {
      const user = await pools.send(new cognito.AdminGetUserCommand({ UserPoolId, Username }));
      return Object.fromEntries(user.UserAttributes.map(({ Name, Value }) => [Name, Value]));
    },

    // Access token and id token.
    async signIn(USERNAME, password = PASSWORD, client = ClientId) {
      const { AuthenticationResult } = await pools.send(
        new cognito.InitiateAuthCommand({
          ClientId: client,
          AuthFlow: 'USER_PASSWORD_AUTH',
          AuthParameters: { USERNAME, PASSWORD: password },
        }),
      );
      return { access: AuthenticationResult.AccessToken, id: AuthenticationResult.IdToken };
    },
  };
}
