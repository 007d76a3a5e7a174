// Makes lib/template.ts from deploy/template.yaml: its parameters as typed properties, and
// its outputs as typed attributes. The package gets a copy of the template and of the licences.

import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { parse } from 'yaml';

const here = new URL('.', import.meta.url);
const root = new URL('../../', here);
for (const [file, source] of [
  ['template.yaml', 'deploy/template.yaml'],
  ['LICENSE-MIT', 'LICENSE-MIT'],
  ['LICENSE-APACHE', 'LICENSE-APACHE'],
]) {
  copyFileSync(new URL(source, root), new URL(file, here));
}
// The functions of CloudFormation are tags that the parser does not know, and of no use here.
const { Parameters, Outputs } = parse(readFileSync(new URL('template.yaml', here), 'utf8'), {
  logLevel: 'error',
});

const camel = (name) => name[0].toLowerCase() + name.slice(1);
const constant = (value) =>
  value.replace(/([a-z])([A-Z])/g, '$1_$2').replace(/\W/g, '_').toUpperCase();
const comment = (indent, ...lines) =>
  [`/**`, ...lines.filter(Boolean).map((line) => ` * ${line}`), ` */`]
    .map((line) => indent + line)
    .join('\n');
const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

// The type of a property, and the text that CloudFormation takes for its value.
function typed(name, { Type, AllowedValues, Description }) {
  if (/List/.test(Type) || /comma-separated/.test(Description)) {
    return { type: 'string[]', text: (value) => `${value}.length > 0 ? Fn.join(",", ${value}) : ""` };
  }
  if (Type === 'Number' || AllowedValues?.every((value) => /^\d+$/.test(value))) {
    return { type: 'number', text: (value) => `Tokenization.stringifyNumber(${value})` };
  }
  if (same(AllowedValues, ['true', 'false'])) {
    return { type: 'boolean', text: (value) => `String(${value})` };
  }
  return { type: AllowedValues ? name : 'string', text: (value) => value };
}

const enums = [];
const properties = [];
const parameters = [];
for (const [name, parameter] of Object.entries(Parameters)) {
  const { AllowedValues, ConstraintDescription, Default, Description = name } = parameter;
  const { type, text } = typed(name, { ...parameter, Description });
  if (type === name) {
    const members = AllowedValues.map(
      (value) => `${comment('  ', `The value \`${value}\`.`)}\n  ${constant(value)} = "${value}",`,
    );
    enums.push(`${comment('', Description)}\nexport enum ${name} {\n${members.join('\n')}\n}`);
  }
  const optional = Default === undefined ? '' : '?';
  properties.push(
    [
      comment(
        '  ',
        Description,
        ConstraintDescription && `Must be ${ConstraintDescription}.`,
        type === 'number' && AllowedValues && `One of ${AllowedValues.join(', ')}.`,
        optional && `@default ${Default === '' ? '- empty' : JSON.stringify(Default)}`,
      ),
      `  readonly ${camel(name)}${optional}: ${type};`,
    ].join('\n'),
  );
  const value = `props.${camel(name)}`;
  parameters.push(
    optional
      ? `    ${name}: ${value} === undefined ? undefined : ${text(value)},`
      : `    ${name}: ${text(value)},`,
  );
}

const attributes = Object.entries(Outputs).map(([name, { Condition, Description }]) =>
  [
    comment(
      '  ',
      `${Description}.`,
      Condition && `The template has it only under the condition ${Condition}.`,
    ),
    `  public get ${camel(name)}(): string {\n    return this._output("${name}");\n  }`,
  ].join('\n'),
);

writeFileSync(
  new URL('lib/template.ts', here),
  `// Written by generate.mjs from template.yaml.

import { Fn, NestedStack, Tokenization } from "aws-cdk-lib";

${enums.join('\n\n')}

${comment('', 'The parameters of the template.')}
export interface UsherProps {
${properties.join('\n\n')}
}

/** The parameters as CloudFormation takes them, without those that keep their default. */
export function parameters(props: UsherProps): { [name: string]: string } {
  const all: { [name: string]: string | undefined } = {
${parameters.join('\n')}
  };
  const given = Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return Object.fromEntries(given);
}

/**
 * The outputs of the template.
 * @internal
 */
export abstract class Outputs extends NestedStack {
${attributes.join('\n\n')}

  /** @internal */
  protected abstract _output(name: string): string;
}
`,
);
