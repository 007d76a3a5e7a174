// Checks the templates of the backend of deploy/amplify, without an AWS account.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import { check } from './checks.mjs';
import { checkClient } from './client.mts';
import { Backend, plain } from './templates.mjs';

const [work, project] = process.argv.slice(2);
const out = `${work}/out`;

// The script has run it before; it is here to be counted.
await check('everything type-checks', () => {});

const backend = new Backend(`${out}/app`);
const usher = backend.stack('usher');
// usher's own template, as another parser reads it.
const template = JSON.parse(readFileSync(`${work}/template.json`, 'utf8'));
const made = (id: string) => usher.value(usher.template.Resources[id].Properties);
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
  const { USHER_ADMIN__GROUPS, ...rest } = lambda.Environment.Variables;
  assert.equal(USHER_ADMIN__GROUPS, 'ADMINS');
  assert.deepEqual(Object.keys(rest).sort(), [
    'AMPLIFY_SSM_ENV_CONFIG',
    'USHER_ADMIN__REQUESTS_TABLE',
    'USHER_QUEUE__URL',
  ]);
});

await check('it is the trigger of the pool, and the pool may call it', () => {
  assert.deepEqual(pool.LambdaConfig, { PostConfirmation: arn });
  const permissions = backend.all('AWS::Lambda::Permission').map(([, permission]) => permission);
  assert.equal(permissions.length, 1);
  assert.deepEqual(permissions[0].FunctionName, arn);
  assert.equal(permissions[0].Principal, 'cognito-idp.amazonaws.com');
  assert.ok(permissions[0].SourceArn);
});

// What the function may do, as text.
const auth = backend.stack('auth');
const role = lambda.Role['Fn::GetAtt'][0];
const rights = backend
  .all('AWS::IAM::Policy')
  .filter(([, policy]) => policy.Roles.some(({ Ref }) => Ref === role))
  .flatMap(([, policy]) => auth.value(policy.PolicyDocument.Statement));

await check('it may send to the queue, use the table of requests and write its log, and nothing else', () => {
  assert.deepEqual(rights, [
    { Action: 'sqs:SendMessage', Effect: 'Allow', Resource: usher.attribute('Queue.Arn') },
    {
      Action: ['dynamodb:BatchGetItem', 'dynamodb:UpdateItem'],
      Effect: 'Allow',
      Resource: usher.attribute('RequestTable.Arn'),
    },
  ]);
  const { ManagedPolicyArns, Policies } = backend.resource(role);
  assert.equal(Policies, undefined);
  assert.deepEqual(auth.value(ManagedPolicyArns), [
    'arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole',
  ]);
});

await check('it gets queue and table of this backend as text, not by reference', () => {
  const { USHER_ADMIN__REQUESTS_TABLE, USHER_QUEUE__URL } = lambda.Environment.Variables;
  assert.equal(USHER_ADMIN__REQUESTS_TABLE, usher.ref('RequestTable'));
  assert.equal(auth.value(USHER_QUEUE__URL), usher.ref('Queue'));
  assert.match(usher.ref('Queue'), /^https:\/\/sqs\.eu-west-1\.amazonaws\.com\/\d{12}\/usher-main-/);
  const other = ({ Ref }: { Ref?: string }) => Ref !== undefined && !Ref.startsWith('AWS::');
  assert.ok(!USHER_QUEUE__URL['Fn::Join'][1].some(other));
});

await check("the queue's policy lets it send", () => {
  for (const { Condition, Sid } of made('QueuePolicy').PolicyDocument.Statement) {
    if (Sid === 'TlsOnly') continue;
    assert.equal(Sid, 'SendersOnly');
    // The Deny is for those who are like none of these.
    const senders = Condition.ArnNotLike['aws:PrincipalArn'];
    assert.equal(senders.length, 3);
    assert.equal(senders[0], auth.attribute([role, 'Arn']));
    assert.equal(senders[0], usher.parameter('TriggerRoleArn'));
  }
  assert.deepEqual(made('QueuePolicy').Queues, [usher.ref('Queue')]);
});

await check("usher's template is in it, complete and unchanged", () => {
  const { Resources, Outputs, ...rest } = usher.template;
  const { Resources: resources, Outputs: outputs, ...sections } = template;
  assert.deepEqual(plain(rest), plain(sections));
  assert.deepEqual(Object.keys(Resources).sort(), Object.keys(resources).sort());
  let tagged = 0;
  for (const [id, { Properties, ...resource }] of Object.entries<any>(Resources)) {
    const { Tags, ...properties } = Properties;
    // Amplify writes its own tags on everything.
    tagged += Tags ? 1 : 0;
    const { Properties: expected, ...others } = resources[id];
    assert.equal(expected.Tags, undefined);
    assert.deepEqual([plain(properties), plain(resource)], [plain(expected), plain(others)], id);
  }
  assert.ok(tagged > 10);
  for (const [id, output] of Object.entries(outputs)) {
    assert.deepEqual(plain(Outputs[id]), plain(output), id);
  }
});

await check('cfn-lint has no finding of any severity', () => {
  assert.equal(readFileSync(`${work}/log/cfn-lint`, 'utf8'), '');
});

await check('its parameters keep their rules', () => {
  assert.deepEqual(usher.violations, []);
  for (const [id, { AllowedPattern, AllowedValues }] of Object.entries<any>(template.Parameters)) {
    // A list has a value for each of its members.
    for (const value of [usher.parameter(id)].flat()) {
      if (AllowedPattern) assert.match(value, new RegExp(`^(?:${AllowedPattern})$`), id);
      if (AllowedValues) assert.ok(AllowedValues.map(String).includes(String(value)), id);
    }
  }
});

await check('the worker gets the pool and the table of this backend by reference', () => {
  const [table] = backend.all('Custom::AmplifyDynamoDBTable').map(([id]) => id);
  assert.match(table, /^UserProfile/);
  const [userPool] = backend.all('AWS::Cognito::UserPool').map(([id]) => id);
  const [container] = made('TaskDefinition').ContainerDefinitions;
  const variables = Object.fromEntries(
    container.Environment.map(({ Name, Value }: any) => [Name, Value]),
  );
  assert.equal(container.Image, '123456789012.dkr.ecr.eu-west-1.amazonaws.com/usher:0.1.0');
  assert.equal(variables.USHER_POOLS__ALLOWED, `eu-west-1_${userPool}`);
  assert.equal(variables.USHER_PROFILES__TABLE, table);
  assert.equal(variables.USHER_PROFILES__KEY, 'id');
  assert.equal(variables.USHER_QUEUE__URL, usher.ref('Queue'));
  const policies = made('TaskRole').Policies;
  assert.deepEqual(
    policies.map(({ PolicyName }: any) => PolicyName),
    ['usher', 'usher-admin'],
  );
  const text = JSON.stringify(policies);
  assert.ok(text.includes(`:table/${table}"`));
  assert.ok(text.includes(`:userpool/eu-west-1_${userPool}"`));
  const image = made('ExecutionRole').Policies[0].PolicyDocument.Statement[1];
  assert.equal(image.Resource, 'arn:aws:ecr:eu-west-1:123456789012:repository/usher');
});

await check('queues, service, schedule, alarms are made; function and table are those of the backend', () => {
  const not = Object.keys(template.Resources).filter((id) => !usher.makes(id));
  assert.deepEqual(not, [
    'TriggerLogs',
    'TriggerRole',
    'Trigger',
    'TriggerPermission',
    'ProfileTable',
    'SecurityGroupFromBalancer',
    'SecurityGroupHealthCheck',
  ]);
  assert.ok(!usher.given.includes('TriggerCodeBucket'));
  for (const id of ['TriggerErrorsAlarm', 'TriggerThrottledAlarm']) {
    assert.deepEqual(made(id).Dimensions, [{ Name: 'FunctionName', Value: auth.ref(name) }]);
  }
  assert.equal(made('TriggerErrorsAlarm').Threshold, '10');
  const { widgets } = JSON.parse(made('Dashboard').DashboardBody);
  const looks = JSON.stringify(widgets);
  assert.equal(looks.split(`"FunctionName","${name}"`).length - 1, 6);
  assert.ok(looks.includes(`SOURCE '/aws/lambda/${name}'`));
  assert.equal(made('Worker').DesiredCount, 2);
});

await check('tasks are in public subnets of two zones, where nothing reaches them', () => {
  const network = backend.stack('ushernetwork');
  const of = (type: string) => backend.all(type).map(([id]) => id);
  const { Subnets, SecurityGroups, AssignPublicIp } =
    made('Worker').NetworkConfiguration.AwsvpcConfiguration;
  assert.equal(AssignPublicIp, 'ENABLED');
  assert.deepEqual(
    Subnets,
    of('AWS::EC2::Subnet').map((id) => network.ref(id)),
  );
  const zones = backend
    .all('AWS::EC2::Subnet')
    .map(([, { AvailabilityZone }]) => JSON.stringify(AvailabilityZone));
  assert.equal(new Set(zones).size, 2);
  assert.deepEqual(of('AWS::EC2::NatGateway'), []);
  // Each subnet has its way out.
  assert.equal(
    backend.all('AWS::EC2::Route').filter(([, route]) => route.GatewayId).length,
    Subnets.length,
  );
  assert.deepEqual(SecurityGroups, ['SecurityGroup.GroupId']);
  assert.equal(made('SecurityGroup').VpcId, network.ref(of('AWS::EC2::VPC')[0]));
  assert.equal(made('SecurityGroup').SecurityGroupIngress, undefined);
  // Nothing but the network: no function that empties the default group.
  const types = Object.values<any>(network.template.Resources).map(({ Type }) => Type);
  assert.ok(types.every((type) => type.startsWith('AWS::EC2::')), types.join());
});

const fields = [
  ['Mutation', 'addUserToGroup'],
  ['Mutation', 'removeUserFromGroup'],
  ['Mutation', 'inviteUser'],
  ['Query', 'requestStatus'],
];
for (const [type, field] of fields) {
  await check(`${field} asks for ADMINS, then calls the function and waits`, () => {
    const steps = backend.pipeline(type, field);
    assert.equal(steps.length, 2);
    const [authorize, invoke] = steps;
    assert.match(authorize.request, /"claim":"cognito:groups","entity":"ADMINS"/);
    // docs/guide/amplify.md warns of this: an IAM principal is let through without a group.
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
    'requestStatus(requestId: String!): AWSJSON',
    'inviteUser(email: AWSEmail!, givenName: String, familyName: String, username: String, ' +
      'groups: [String], attributes: AWSJSON, resend: Boolean): AWSJSON',
  ]) {
    assert.ok(backend.schema.includes(line), line);
  }
});

await check('only usher creates a profile, and its owner cannot give it away', () => {
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

await check('the outputs hold all that the tools of an operator need', () => {
  const value = (output: string) => backend.root.value(backend.outputs[output].Value);
  const worker = (variable: string) =>
    made('TaskDefinition').ContainerDefinitions[0].Environment.find(
      ({ Name }: any) => Name === variable,
    ).Value;
  assert.equal(value('UsherName'), usher.parameter('Name'));
  assert.equal(value('UsherQueueUrl'), worker('USHER_QUEUE__URL'));
  assert.equal(value('UsherDeadLetterQueueUrl'), worker('USHER_QUEUE__DEAD_LETTER_URL'));
  assert.equal(value('UsherUserPoolId'), worker('USHER_POOLS__ALLOWED'));
  assert.equal(value('UsherProfilesTable'), worker('USHER_PROFILES__TABLE'));
  assert.equal(value('UsherRequestsTable'), worker('USHER_ADMIN__REQUESTS_TABLE'));
});

await check('nothing depends on itself, or on a missing resource', () => {
  assert.equal(backend.cycle(), undefined);
  assert.deepEqual(backend.dangling(), []);
});

await check('references go one way: nothing waits for the stack of usher', () => {
  const stacks = [...backend.root.children];
  const [id] = stacks.find(([, { name }]) => name === 'usher')!;
  const text = ([other]: any) => JSON.stringify(backend.root.template.Resources[other]);
  assert.deepEqual(
    stacks.filter((one) => one[0] !== id && text(one).includes(id)).map(([other]) => other),
    [],
  );
  for (const before of ['auth', 'data', 'ushernetwork']) {
    const [needed] = stacks.find(([, { name }]) => name === before)!;
    assert.ok(text([id]).includes(needed), before);
  }
});

const all = new Backend(`${out}/all-triggers`);

await check('the other triggers, and the id of the pool as a text', () => {
  const [[, { LambdaConfig }]] = all.all('AWS::Cognito::UserPool');
  assert.deepEqual(LambdaConfig, {
    CustomMessage: arn,
    PostConfirmation: arn,
    PreTokenGeneration: arn,
  });
  const { Environment } = all.resource(name);
  assert.equal(Environment.Variables.USHER_POOLS__ALLOWED, 'eu-west-1_AbCdEf123');
  assert.equal(all.cycle(), undefined);
  assert.deepEqual(all.dangling(), []);
});

await check('a sandbox has its own queue, its given network, and a small part of the rate', () => {
  const own = all.stack('usher');
  assert.deepEqual(own.violations, []);
  assert.match(own.parameter('Name'), /^usher-ada-lovelace-of-the-[0-9a-f]{10}$/);
  assert.match(own.parameter('Name'), new RegExp(`^${template.Parameters.Name.AllowedPattern}$`));
  assert.equal(
    all.stack('auth').value(all.resource(name).Environment.Variables.USHER_QUEUE__URL),
    own.ref('Queue'),
  );
  assert.deepEqual(all.all('AWS::EC2::VPC'), []);
  assert.equal(own.parameter('VpcId'), 'vpc-0123');
  assert.deepEqual(own.parameter('SubnetIds'), ['subnet-1', 'subnet-2']);
  assert.equal(own.parameter('AssignPublicIp'), 'DISABLED');
  assert.equal(own.parameter('DesiredCount'), '1');
  assert.equal(own.parameter('UserUpdateRate'), '2');
  // Not an image of ECR in an account.
  assert.equal(own.parameter('ImageRepositoryArn'), '');
});

await check('the index by the owner of a record has the name that the guide gives', () => {
  const [[, table]] = new Backend(`${out}/owner-index`).all('Custom::AmplifyDynamoDBTable');
  const [{ indexName, keySchema }, ...others] = table.globalSecondaryIndexes;
  assert.deepEqual(keySchema, [{ attributeName: 'profileOwner', keyType: 'HASH' }]);
  assert.deepEqual(others, []);
  const guide = readFileSync(`${project}/docs/guide/amplify-migration.md`, 'utf8');
  assert.ok(guide.includes(indexName));
});

await check('without an image there is no backend, and the message says so', () => {
  const log = readFileSync(`${work}/log/no-image.log`, 'utf8');
  assert.match(log, /WORKER_IMAGE is not set: the worker's container image/);
});

await check('in the group "data" the function makes a circular dependency', () => {
  assert.match(new Backend(`${out}/in-data`).cycle() ?? '', /auth.*data|data.*auth/);
});

await check('a reference to the pool makes a circular dependency', () => {
  const cycle = new Backend(`${out}/pool-by-reference`).cycle() ?? '';
  assert.match(cycle, /UserPool.*ushertrigger|ushertrigger.*UserPool/);
});

await check('a reference to the queue makes the stacks depend on each other', () => {
  const cycle = new Backend(`${out}/queue-by-reference`).cycle() ?? '';
  assert.match(cycle, /usher.*auth|auth.*usher/);
});

// It reads only the root template.
await check("CDK's own validation agrees on circles between stacks", () => {
  const report = (name: string) => readFileSync(`${out}/${name}/validation-report.json`, 'utf8');
  for (const good of ['app', 'all-triggers']) {
    assert.deepEqual(JSON.parse(report(good)).pluginReports, [], good);
  }
  for (const circle of ['in-data', 'queue-by-reference']) {
    assert.match(report(circle), /circular/i, circle);
  }
});

await checkClient(backend.introspection);
