// Checks the synthesized app of app.ts, without an AWS account.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';

import { check } from './checks.mjs';
import { Backend, plain } from './templates.mjs';

const [, , work] = process.argv;
const app = new Backend(`${work}/out`);
// As another parser reads it.
const template = JSON.parse(readFileSync(`${work}/template.json`, 'utf8'));
// As CDK names the resource of a nested stack.
const [all, usher, ours] = ['all', 'usher', 'ours'].map((id) =>
  app.stack(`${id}NestedStack${id}NestedStackResource`),
);

await check('every property type-checks, and a wrong one does not', () => {
  // The script has run the compiler before; it is here to be counted.
});

await check('the package has code, types, the template and nothing else', () => {
  const files = readdirSync('node_modules/@cognito-usher/cdk', { recursive: true });
  assert.deepEqual(files.sort(), [
    '.jsii', 'LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'lib', 'lib/index.d.ts', 'lib/index.js',
    'lib/template.d.ts', 'lib/template.js', 'package.json', 'template.yaml',
  ]);
});

await check('jsii describes the construct for other languages', () => {
  const assembly = JSON.parse(readFileSync('node_modules/@cognito-usher/cdk/.jsii', 'utf8'));
  const names = Object.keys(assembly.types).map((name) => name.split('.')[1]);
  assert.deepEqual(names.sort(), [
    'Architecture', 'AssignPublicIp', 'ContainerInsights', 'TriggerTracing', 'Usher', 'UsherProps',
  ]);
});

await check('the synthesized template is deploy/template.yaml', () => {
  for (const stack of [usher, all, ours]) {
    const { Resources, Outputs, ...sections } = stack.template;
    const { Resources: resources, Outputs: outputs, ...others } = template;
    assert.deepEqual(plain(sections), plain(others));
    assert.deepEqual(Object.keys(Resources).sort(), Object.keys(resources).sort());
    for (const [id, resource] of Object.entries(resources)) {
      assert.deepEqual(plain(Resources[id]), plain(resource), id);
    }
    // References from outside are outputs as well.
    for (const [id, output] of Object.entries(outputs)) {
      assert.deepEqual(plain(Outputs[id]), plain(output), id);
    }
  }
});

await check('cfn-lint has no finding of any severity', () => {
  assert.equal(readFileSync(`${work}/log/cfn-lint`, 'utf8'), '');
});

await check('every parameter of the template has a property, which reaches it as text', () => {
  const names = Object.keys(template.Parameters);
  assert.deepEqual([...all.given].sort(), [...names].sort());
  for (const [name, value] of Object.entries({
    Name: 'everything',
    DefaultGroups: 'EVERYONE,MEMBERS',
    UserUpdateRate: '10',
    ReconcileFederated: 'false',
    Architecture: 'x86_64',
    AssignPublicIp: 'ENABLED',
    StopTimeout: '60',
    SubnetIds: ['subnet-1', 'subnet-2'],
    SecurityGroupIds: ['sg-1', 'sg-2'],
    AdminActions: 'true',
    TriggerTracing: 'Active',
    TriggerErrors: '10',
  })) {
    assert.deepEqual(all.parameter(name), value, name);
  }
});

await check('what is not given keeps the default, and no rule is broken', () => {
  assert.deepEqual([...usher.given].sort(), [
    'SubnetIds', 'TriggerCodeBucket', 'TriggerCodeKey', 'UserPoolId', 'VpcId', 'WorkerImage',
  ]);
  for (const stack of [usher, all, ours]) assert.deepEqual(stack.violations, [], stack.name);
});

await check('the attributes are the outputs of the template', () => {
  for (const name of Object.keys(template.Outputs)) {
    const [, output] = app.outputs[name].Value['Fn::GetAtt'];
    assert.equal(output, `Outputs.${name}`);
  }
  assert.ok(app.outputs.OneMoreQueue);
});

await check('the repository of an image in ECR is found by its name', () => {
  assert.equal(
    ours.parameter('ImageRepositoryArn'),
    'arn:aws:ecr:eu-west-1:123456789012:repository/our/usher',
  );
});

await check("an app's own function forwards to a queue that it does not depend on", () => {
  const [[, { Environment }]] = app.all('AWS::Lambda::Function').filter(([id]) => /^trigger/.test(id));
  const url = app.root.value(Environment.Variables.USHER_QUEUE__URL);
  assert.equal(url, ours.ref('Queue'));
  const [[, { PolicyDocument }]] = app.all('AWS::IAM::Policy');
  const [statement] = app.root.value(PolicyDocument.Statement);
  assert.equal(statement.Resource, ours.attribute('Queue.Arn'));
  assert.equal(app.cycle(), undefined);
});
