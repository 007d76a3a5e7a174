// Provisions the user of an event in both workers: the group and the profile, concurrently.

import {
  AdminAddUserToGroupCommand,
  CognitoIdentityProviderClient,
} from '@aws-sdk/client-cognito-identity-provider';
import {
  ConditionalCheckFailedException,
  DynamoDBClient,
  PutItemCommand,
} from '@aws-sdk/client-dynamodb';

import { settings } from './settings.mjs';

const { table, group, concurrency } = settings();

// Two calls for each message, and by default an agent stops at 50 sockets.
export const requestHandler = {
  httpAgent: { maxSockets: concurrency * 2 },
  httpsAgent: { maxSockets: concurrency * 2 },
};
// Builds the middleware stack of a command once, and not for each call.
const cacheMiddleware = true;

const pools = new CognitoIdentityProviderClient({ requestHandler, cacheMiddleware });
const tables = new DynamoDBClient({ requestHandler, cacheMiddleware });

async function addToGroup({ userPoolId, userName }) {
  await pools.send(
    new AdminAddUserToGroupCommand({
      UserPoolId: userPoolId,
      Username: userName,
      GroupName: group,
    }),
  );
}

// Attributes as DynamoDB types them: the document client would convert each way.
async function writeProfile({ userName, request }) {
  const { sub, email } = request.userAttributes;
  const now = new Date().toISOString();
  try {
    await tables.send(
      new PutItemCommand({
        TableName: table,
        Item: {
          id: { S: sub },
          __typename: { S: 'UserProfile' },
          email: { S: email },
          profileOwner: { S: `${sub}::${userName}` },
          createdAt: { S: now },
          updatedAt: { S: now },
        },
        ConditionExpression: 'attribute_not_exists(id)',
      }),
    );
  } catch (error) {
    // Exists already: the message came twice.
    if (!(error instanceof ConditionalCheckFailedException)) throw error;
  }
}

export async function provision(event) {
  await addToGroup(event);
  await writeProfile(event);
}
