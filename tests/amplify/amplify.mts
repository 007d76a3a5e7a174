// What the backend of deploy/amplify comes to, without an AWS account.

import assert from 'node:assert/strict';

import { check } from './checks.mjs';
import { checkClient } from './client.mts';
import { Backend } from './templates.mjs';

const [out] = process.argv.slice(2);

// The script has run it before; it is here to be counted.
await check('everything type-checks', () => {});

const backend = new Backend(`${out}/app`);
const [[, pool]] = backend.all('AWS::Cognito::UserPool');
const functions = backend
  .all('AWS::Lambda::Function')
  .filter(([, { Runtime }]) => Runtime === 'provided.al2023');
const [[name, lambda]] = functions;
const arn = { 'Fn::GetAtt': [name, 'Arn'] };

await check('there is one function, as the binary needs it', () => {
  assert.equal(functions.length, 1);
  assert.deepEqual(lambda.Architectures, ['arm64']);
  assert.equal(lambda.Handler, 'bootstrap');
  assert.equal(lambda.Timeout, 5);
  const { USHER_ADMIN__GROUPS, USHER_QUEUE__URL, ...rest } = lambda.Environment.Variables;
  assert.equal(USHER_ADMIN__GROUPS, 'ADMINS');
  assert.match(USHER_QUEUE__URL.Ref, /SignUps\w+Ref$/);
  assert.deepEqual(Object.keys(rest), ['AMPLIFY_SSM_ENV_CONFIG']);
});

await check('it is the trigger of the pool, and the pool may call it', () => {
  assert.deepEqual(pool.LambdaConfig, { PostConfirmation: arn });
  const permissions = backend.all('AWS::Lambda::Permission').map(([, permission]) => permission);
  assert.equal(permissions.length, 1);
  assert.deepEqual(permissions[0].FunctionName, arn);
  assert.equal(permissions[0].Principal, 'cognito-idp.amazonaws.com');
  assert.ok(permissions[0].SourceArn);
});

await check('it may send messages and write its log, and nothing else', () => {
  const role = lambda.Role['Fn::GetAtt'][0];
  const policies = backend
    .all('AWS::IAM::Policy')
    .filter(([, policy]) => policy.Roles.some(({ Ref }) => Ref === role));
  const statements = policies.flatMap(([, policy]) => policy.PolicyDocument.Statement);
  assert.equal(statements.length, 1);
  assert.equal(statements[0].Action, 'sqs:SendMessage');
  assert.match(statements[0].Resource.Ref, /SignUps\w+Arn$/);
  const { ManagedPolicyArns, Policies } = backend.resource(role);
  assert.equal(Policies, undefined);
  assert.equal(ManagedPolicyArns.length, 1);
  assert.match(JSON.stringify(ManagedPolicyArns), /AWSLambdaBasicExecutionRole/);
});

await check('the queue keeps what it is given, and usher is first to put it aside', () => {
  const queues = backend.all('AWS::SQS::Queue');
  const [, queue] = queues.find(([id]) => id.startsWith('SignUps'))!;
  const [letters, deadLetters] = queues.find(([id]) => id.startsWith('DeadLetters'))!;
  const day = 24 * 3600;
  assert.equal(queue.MessageRetentionPeriod, 4 * day);
  assert.equal(deadLetters.MessageRetentionPeriod, 14 * day);
  assert.ok(queue.SqsManagedSseEnabled && deadLetters.SqsManagedSseEnabled);
  assert.ok(!queue.FifoQueue);
  assert.deepEqual(queue.RedrivePolicy, {
    deadLetterTargetArn: { 'Fn::GetAtt': [letters, 'Arn'] },
    maxReceiveCount: 1000,
  });
});

const mutations = ['addUserToGroup', 'removeUserFromGroup', 'inviteUser'];
for (const field of mutations) {
  await check(`${field} asks for ADMINS, then calls the function and waits`, () => {
    const steps = backend.pipeline('Mutation', field);
    assert.equal(steps.length, 2);
    const [authorize, invoke] = steps;
    assert.match(authorize.request, /"claim":"cognito:groups","entity":"ADMINS"/);
    // What README.md warns of: an IAM principal is let through without a group.
    assert.match(
      authorize.request,
      /"IAM Authorization" && \$util.isNull\(\$ctx.identity.cognitoIdentityPoolId\)[^]*?\$isAuthorized = true/,
    );
    assert.match(invoke.request, /"invocationType": "RequestResponse"/);
    assert.match(invoke.request, /"identity": \$util.toJson\(\$ctx.identity\)/);
    assert.match(invoke.response, /\$util.error\(\$ctx.error.message, \$ctx.error.type\)/);
    assert.match(JSON.stringify(invoke.source.LambdaConfig), /ushertrigger\w+Arn/);
  });
}

await check('the schema has their arguments', () => {
  for (const line of [
    'addUserToGroup(userId: String!, groupName: String!): AWSJSON',
    'removeUserFromGroup(userId: String!, groupName: String!): AWSJSON',
    'inviteUser(email: AWSEmail!, givenName: String, familyName: String, username: String, ' +
      'groups: [String], attributes: AWSJSON, resend: Boolean): AWSJSON',
  ]) {
    assert.ok(backend.schema.includes(line), line);
  }
});

await check('a profile is made by usher alone, and its owner cannot give it away', () => {
  const owners = /cognito:username/;
  const rules = (type: string, field: string) =>
    backend
      .pipeline(type, field)
      .map(({ request, response }) => request + response)
      .filter((step) => step.includes('Authorization Steps'))
      .join();
  assert.match(rules('Query', 'getUserProfile'), owners);
  // Not profileOwner.
  assert.match(rules('Mutation', 'updateUserProfile'), /OwnerAllowedFields0 = \["email","id"\]/i);
  for (const field of ['createUserProfile', 'deleteUserProfile']) {
    assert.match(rules('Mutation', field), /util.unauthorized/);
    assert.doesNotMatch(rules('Mutation', field), owners);
  }
});

await check('usher makes EVERYONE: a group of Amplify has a role in place of the common one', () => {
  const groups = backend.all('AWS::Cognito::UserPoolGroup').map(([, group]) => group);
  assert.deepEqual(
    groups.map(({ GroupName }) => GroupName),
    ['ADMINS'],
  );
  assert.ok(groups[0].RoleArn);
  const [[, roles]] = backend.all('AWS::Cognito::IdentityPoolRoleAttachment');
  assert.match(JSON.stringify(roles.RoleMappings), /"Type":"Token"/);
});

await check('the outputs tell the worker all that it has to be told', () => {
  const { UsherQueueUrl, UsherUserPoolId, UsherProfilesTable } = backend.outputs;
  assert.match(JSON.stringify(UsherQueueUrl), /SignUps/);
  assert.match(JSON.stringify(UsherUserPoolId), /UserPool/);
  assert.match(JSON.stringify(UsherProfilesTable), /UserProfileTable/);
});

await check('nothing depends on itself', () => {
  assert.equal(backend.cycle(), undefined);
});

await check('the other triggers, and the id of the pool as a text', () => {
  const all = new Backend(`${out}/all-triggers`);
  const [[, { LambdaConfig }]] = all.all('AWS::Cognito::UserPool');
  assert.deepEqual(LambdaConfig, {
    CustomMessage: arn,
    PostConfirmation: arn,
    PreTokenGeneration: arn,
  });
  const { Environment } = all.resource(name);
  assert.equal(Environment.Variables.USHER_POOLS__ALLOWED, 'eu-west-1_AbCdEf123');
  assert.equal(all.cycle(), undefined);
});

await check('in the group "data" the function would close a circle', () => {
  assert.match(new Backend(`${out}/in-data`).cycle() ?? '', /auth.*data|data.*auth/);
});

await check('a reference to the pool would close a circle', () => {
  const cycle = new Backend(`${out}/pool-by-reference`).cycle() ?? '';
  assert.match(cycle, /UserPool.*ushertrigger|ushertrigger.*UserPool/);
});

await checkClient(backend.introspection);
