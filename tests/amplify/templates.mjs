// The CloudFormation templates of a synthesized backend, nested ones and all.

import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

export class Backend {
  #templates;
  #folder;

  constructor(folder) {
    this.#folder = folder;
    const files = readdirSync(folder).filter((file) => file.endsWith('.template.json'));
    // The root stack's is the one that is not nested.
    files.sort((a, b) => a.includes('.nested.') - b.includes('.nested.'));
    this.#templates = files.map((file) => JSON.parse(readFileSync(join(folder, file), 'utf8')));
    this.outputs = this.#templates[0].Outputs;
  }

  /** Every resource of a type, as [name, properties]. */
  all(type) {
    return this.#templates.flatMap(({ Resources }) =>
      Object.entries(Resources)
        .filter(([, resource]) => resource.Type === type)
        .map(([name, { Properties }]) => [name, Properties]),
    );
  }

  /** The properties of a resource. */
  resource(name) {
    return this.#templates.map(({ Resources }) => Resources[name]).find(Boolean).Properties;
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
    return id && this.#templates.some(({ Resources }) => Resources[id]) ? this.resource(id) : {};
  }

  /** The GraphQL schema. */
  get schema() {
    const [[, { DefinitionS3Location }]] = this.all('AWS::AppSync::GraphQLSchema');
    return this.#text('', DefinitionS3Location);
  }

  /** What Amplify's client is told of the schema. */
  get introspection() {
    const file = readdirSync(this.#folder)
      .map((name) => join(this.#folder, name, 'modelIntrospectionSchema.json'))
      .find((path) => existsSync(path));
    return JSON.parse(readFileSync(file, 'utf8'));
  }

  /** Resources that wait for each other, which CloudFormation refuses to make. */
  cycle() {
    for (const { Resources } of this.#templates) {
      const names = new Set(Object.keys(Resources));
      const edges = new Map(
        Object.entries(Resources).map(([name, resource]) => [
          name,
          [...references(resource)].filter((other) => names.has(other)),
        ]),
      );
      const done = new Set();
      for (const name of names) {
        const found = walk(name, edges, done, []);
        if (found) return found;
      }
    }
    return undefined;
  }
}

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
  if (key === 'Ref' || (key === 'DependsOn' && typeof value === 'string')) {
    yield value;
  } else if (key === 'Fn::GetAtt') {
    yield Array.isArray(value) ? value[0] : value.split('.')[0];
  } else if (key === 'Fn::Sub') {
    const text = Array.isArray(value) ? value[0] : value;
    for (const [, name] of text.matchAll(/\$\{([^!.}]+)/g)) yield name;
    if (Array.isArray(value)) yield* references(value[1]);
  } else if (Array.isArray(value)) {
    for (const one of value) yield* references(one, key === 'DependsOn' ? key : undefined);
  } else if (value && typeof value === 'object') {
    for (const [name, one] of Object.entries(value)) yield* references(one, name);
  }
}
