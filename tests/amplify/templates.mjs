// The CloudFormation templates of a synthesized backend, with nested ones, and their values
// once CloudFormation has resolved the references.

import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const PSEUDO = {
  'AWS::AccountId': '123456789012',
  'AWS::NoValue': undefined,
  'AWS::Partition': 'aws',
  'AWS::Region': 'eu-west-1',
  'AWS::URLSuffix': 'amazonaws.com',
};
const HERE = `${PSEUDO['AWS::Region']}:${PSEUDO['AWS::AccountId']}`;

// What AWS would give to a resource, as far as the tests look at it. The logical name is
// in it, so that a value tells where it came from.
const REF = {
  'AWS::Cognito::UserPool': ({ id }) => `eu-west-1_${id}`,
  'AWS::DynamoDB::Table': ({ name }) => name,
  'AWS::EC2::Subnet': ({ id }) => `subnet-${hex(id)}`,
  'AWS::EC2::VPC': ({ id }) => `vpc-${hex(id)}`,
  'AWS::SQS::Queue': ({ name }) =>
    `https://sqs.${PSEUDO['AWS::Region']}.${PSEUDO['AWS::URLSuffix']}/${PSEUDO['AWS::AccountId']}/${name}`,
};
const ARN = {
  'AWS::DynamoDB::Table': ({ name }) => `arn:aws:dynamodb:${HERE}:table/${name}`,
  'AWS::IAM::Role': ({ id }) => `arn:aws:iam::${PSEUDO['AWS::AccountId']}:role/${id}`,
  'AWS::Lambda::Function': ({ id }) => `arn:aws:lambda:${HERE}:function:${id}`,
  'AWS::SQS::Queue': ({ name }) => `arn:aws:sqs:${HERE}:${name}`,
  'Custom::AmplifyDynamoDBTable': ({ id }) => `arn:aws:dynamodb:${HERE}:table/${id}`,
};
const hex = (text) => Buffer.from(text).toString('hex');

export class Backend {
  #folder;

  constructor(folder) {
    this.#folder = folder;
    const files = readdirSync(folder);
    const root = files.find((file) => /(?<!nested)\.template\.json$/.test(file));
    const { files: assets } = this.#json(files.find((file) => file.endsWith('.assets.json')));
    // A nested template is named by the hash of its file.
    const nested = (url) => assets[/([0-9a-f]{64})\.json/.exec(JSON.stringify(url))[1]].source.path;
    this.root = new Stack('root', root, (file) => this.#json(file), nested);
    this.outputs = this.root.template.Outputs;
  }

  #json(file) {
    return JSON.parse(readFileSync(join(this.#folder, file), 'utf8'));
  }

  /** Every stack, the root first. */
  get stacks() {
    return this.root.tree;
  }

  /** The stack that `createStack` or a resource group made. */
  stack(name) {
    const found = this.stacks.filter((stack) => stack.name === name);
    if (found.length !== 1) throw new Error(`${found.length} stacks are called ${name}`);
    return found[0];
  }

  /** The stack that a resource is in. */
  home(resource) {
    return this.stacks.find(({ template }) => template.Resources[resource]);
  }

  /** Every resource of a type that is made, as [name, properties]. */
  all(type) {
    return this.stacks.flatMap((stack) =>
      Object.entries(stack.template.Resources)
        .filter(([name, resource]) => resource.Type === type && stack.makes(name))
        .map(([name, { Properties }]) => [name, Properties]),
    );
  }

  /** The properties of a resource. */
  resource(name) {
    return this.home(name).template.Resources[name].Properties;
  }

  /** The steps of a resolver: their templates and data source. */
  pipeline(type, field) {
    const [, resolver] = this.all('AWS::AppSync::Resolver').find(
      ([, { TypeName, FieldName }]) => TypeName === type && FieldName === field,
    );
    return resolver.PipelineConfig.Functions.map((step) => {
      const one = this.resource(step['Fn::GetAtt'][0]);
      return {
        request: this.#text(one.RequestMappingTemplate, one.RequestMappingTemplateS3Location),
        response: this.#text(one.ResponseMappingTemplate, one.ResponseMappingTemplateS3Location),
        source: this.#source(one.DataSourceName),
      };
    });
  }

  #text(here, there) {
    if (!there) return JSON.stringify(here ?? '');
    const file = there['Fn::Sub'].split('/').at(-1);
    return readFileSync(join(this.#folder, `asset.${file}`), 'utf8');
  }

  #source(name) {
    const [id] = name?.['Fn::GetAtt'] ?? [];
    return id && this.home(id) ? this.resource(id) : {};
  }

  /** The GraphQL schema. */
  get schema() {
    const [[, { DefinitionS3Location }]] = this.all('AWS::AppSync::GraphQLSchema');
    return this.#text('', DefinitionS3Location);
  }

  /** The schema as Amplify's client reads it. */
  get introspection() {
    const file = readdirSync(this.#folder)
      .map((name) => join(this.#folder, name, 'modelIntrospectionSchema.json'))
      .find((path) => existsSync(path));
    return JSON.parse(readFileSync(file, 'utf8'));
  }

  /**
   * Resources that wait for each other, which CloudFormation refuses to make. A nested
   * stack is a resource of the one that it is in, and waits for what its parameters name.
   */
  cycle() {
    for (const { template } of this.stacks) {
      const { Resources } = template;
      const edges = new Map(
        Object.entries(Resources).map(([name, resource]) => [
          name,
          [...references(resource)].filter((other) => other in Resources),
        ]),
      );
      const done = new Set();
      for (const name of edges.keys()) {
        const found = walk(name, edges, done, []);
        if (found) return found;
      }
    }
    return undefined;
  }

  /** References to what is not there, or is not there yet when they are looked at. */
  dangling() {
    return this.stacks.flatMap(({ name, template }) => {
      const { Parameters = {}, Resources, Outputs, Conditions, Rules } = template;
      const missing = (part, known) =>
        [...references(part)]
          .filter((other) => !(other in known) && !other.startsWith('AWS::'))
          .map((other) => `${name}: ${other}`);
      return [
        ...missing([Resources, Outputs], { ...Parameters, ...Resources }),
        // CloudFormation decides on these before it makes anything.
        ...missing([Conditions, Rules], Parameters),
      ];
    });
  }
}

/** A template with the values of its parameters. */
class Stack {
  #parent;
  #given;

  constructor(name, file, read, nested, parent, given = {}) {
    this.name = name;
    this.file = file;
    this.template = read(file);
    this.#parent = parent;
    this.#given = given;
    this.children = new Map(
      Object.entries(this.template.Resources)
        .filter(([, { Type }]) => Type === 'AWS::CloudFormation::Stack')
        .map(([id, { Properties }]) => [
          id,
          new Stack(
            // Without CDK's hash.
            id.slice(0, -8),
            nested(Properties.TemplateURL),
            read,
            nested,
            this,
            Properties.Parameters,
          ),
        ]),
    );
  }

  get tree() {
    return [this, ...[...this.children.values()].flatMap((child) => child.tree)];
  }

  /** The values of all parameters. */
  get parameters() {
    return Object.fromEntries(
      Object.keys(this.template.Parameters ?? {}).map((name) => [name, this.parameter(name)]),
    );
  }

  /** The names of parameters that were given, in place of their defaults. */
  get given() {
    return Object.keys(this.#given);
  }

  parameter(name) {
    const { Type, Default } = this.template.Parameters[name];
    const value = name in this.#given ? this.#parent.value(this.#given[name]) : Default;
    if (value === undefined) throw new Error(`${this.name}: nothing is given for ${name}`);
    return /List/.test(Type) ? value.split(',') : value;
  }

  /** Whether a resource is made. */
  makes(id) {
    const { Condition } = this.template.Resources[id];
    return Condition === undefined || this.condition(Condition);
  }

  /** The assertions of rules that do not hold. */
  get violations() {
    return Object.values(this.template.Rules ?? {})
      .filter(({ RuleCondition }) => RuleCondition === undefined || this.value(RuleCondition))
      .flatMap(({ Assertions }) => Assertions.filter(({ Assert }) => !this.value(Assert)))
      .map(({ AssertDescription }) => AssertDescription);
  }

  /** What CloudFormation makes of an expression. */
  value(what) {
    if (Array.isArray(what)) {
      return what.map((one) => this.value(one)).filter((one) => one !== undefined);
    }
    if (typeof what !== 'object' || what === null) return what;
    const [[name, argument] = [], ...more] = Object.entries(what);
    const known = FUNCTIONS[name];
    if (known && more.length === 0 && (name !== 'Condition' || typeof argument === 'string')) {
      return known(this, argument);
    }
    return Object.fromEntries(
      Object.entries(what)
        .map(([key, one]) => [key, this.value(one)])
        .filter(([, one]) => one !== undefined),
    );
  }

  ref(name) {
    if (name in PSEUDO) return PSEUDO[name];
    if (name in (this.template.Parameters ?? {})) return this.parameter(name);
    return this.#made(name, REF, name);
  }

  attribute(path) {
    const [id, name] = Array.isArray(path) ? path : path.split(/\.(.*)/);
    const child = this.children.get(id);
    if (child) return child.value(child.template.Outputs[name.replace(/^Outputs\./, '')].Value);
    return this.#made(id, name.endsWith('Arn') ? ARN : {}, `${id}.${name}`);
  }

  #made(id, kinds, otherwise) {
    const { Type, Properties } = this.template.Resources[id];
    if (!(Type in kinds)) return otherwise;
    return kinds[Type]({ id, name: this.value(Properties?.QueueName ?? Properties?.TableName) });
  }

  condition(name) {
    return this.value(this.template.Conditions[name]);
  }
}

const FUNCTIONS = {
  Ref: (stack, name) => stack.ref(name),
  Condition: (stack, name) => stack.condition(name),
  'Fn::GetAtt': (stack, path) => stack.attribute(path),
  'Fn::Join': (stack, [separator, list]) => stack.value(list).join(separator),
  'Fn::Split': (stack, [separator, text]) => stack.value(text).split(separator),
  'Fn::Select': (stack, [index, list]) => stack.value(list)[index],
  'Fn::Sub': (stack, argument) => {
    const [text, own = {}] = [argument].flat();
    return text.replace(/\$\{([^!}]+)\}/g, (_, name) => {
      if (name in own) return stack.value(own[name]);
      return name.includes('.') ? stack.attribute(name) : stack.ref(name);
    });
  },
  'Fn::FindInMap': (stack, [map, first, second]) =>
    stack.template.Mappings[map][stack.value(first)][stack.value(second)],
  'Fn::If': (stack, [condition, yes, no]) => stack.value(stack.condition(condition) ? yes : no),
  // Everything is text to CloudFormation.
  'Fn::Equals': (stack, [one, other]) => `${stack.value(one)}` === `${stack.value(other)}`,
  'Fn::Not': (stack, [one]) => !stack.value(one),
  'Fn::And': (stack, all) => all.every((one) => stack.value(one)),
  'Fn::Or': (stack, all) => all.some((one) => stack.value(one)),
  'Fn::EachMemberEquals': (stack, [list, text]) =>
    stack.value(list).every((one) => `${one}` === stack.value(text)),
};

// GetAtt may be written in two ways, which are the same.
export const plain = (what) => {
  if (Array.isArray(what)) return what.map(plain);
  if (typeof what !== 'object' || what === null) return what;
  return Object.fromEntries(
    Object.entries(what).map(([key, one]) => [
      key,
      key === 'Fn::GetAtt' && typeof one === 'string' ? one.split(/\.(.*)/, 2) : plain(one),
    ]),
  );
};

function walk(name, edges, done, path) {
  if (path.includes(name)) return [...path.slice(path.indexOf(name)), name].join(' -> ');
  if (done.has(name)) return undefined;
  for (const next of edges.get(name)) {
    const found = walk(next, edges, done, [...path, name]);
    if (found) return found;
  }
  done.add(name);
  return undefined;
}

function* references(value, key) {
  if ((key === 'Ref' || key === 'DependsOn') && typeof value === 'string') {
    yield value;
  } else if (key === 'Fn::GetAtt') {
    yield Array.isArray(value) ? value[0] : value.split('.')[0];
  } else if (key === 'Fn::Sub') {
    const [text, own = {}] = [value].flat();
    for (const [, name] of text.matchAll(/\$\{([^!.}]+)/g)) if (!(name in own)) yield name;
    yield* references(own);
  } else if (Array.isArray(value)) {
    for (const one of value) yield* references(one, key === 'DependsOn' ? key : undefined);
  } else if (value && typeof value === 'object') {
    for (const [name, one] of Object.entries(value)) yield* references(one, name);
  }
}
