import * as path from "node:path";
import { Aws } from "aws-cdk-lib";
import { CfnInclude } from "aws-cdk-lib/cloudformation-include";
import { IFunction } from "aws-cdk-lib/aws-lambda";
import { PolicyStatement } from "aws-cdk-lib/aws-iam";
import { Construct } from "constructs";
import { Outputs, UsherProps, parameters } from "./template";

export {
  Architecture,
  AssignPublicIp,
  ContainerInsights,
  TriggerTracing,
  UsherProps,
} from "./template";

/**
 * A nested stack with everything that usher's CloudFormation template creates. Its resources
 * have the names of the template.
 */
export class Usher extends Outputs {
  /**
   * The URL of the queue of a stack that is named so, without a reference to the stack: a
   * function that the stack must not depend on can have it.
   */
  public static queueUrlOf(name: string): string {
    return `https://sqs.${Aws.REGION}.${Aws.URL_SUFFIX}/${Aws.ACCOUNT_ID}/${name}`;
  }

  /**
   * Lets your own function send to the queue of a stack that is named so, without a reference
   * to the stack. Its variable USHER_QUEUE__URL must be `Usher.queueUrlOf(name)`.
   */
  public static allowForwarding(trigger: IFunction, name: string): void {
    trigger.addToRolePolicy(
      new PolicyStatement({
        actions: ["sqs:SendMessage"],
        resources: [`arn:${Aws.PARTITION}:sqs:${Aws.REGION}:${Aws.ACCOUNT_ID}:${name}`],
      }),
    );
  }

  /** The table of requests of a stack that is named so, without a reference to the stack. */
  public static requestsTableNameOf(name: string): string {
    return `${name}-requests`;
  }

  /**
   * Lets your own function write and read the requests of administrators, without a reference to
   * the stack. Its variable USHER_ADMIN__REQUESTS_TABLE must be `Usher.requestsTableNameOf(name)`.
   */
  public static allowRequests(trigger: IFunction, name: string): void {
    const table = Usher.requestsTableNameOf(name);
    trigger.addToRolePolicy(
      new PolicyStatement({
        actions: ["dynamodb:BatchGetItem", "dynamodb:UpdateItem"],
        resources: [`arn:${Aws.PARTITION}:dynamodb:${Aws.REGION}:${Aws.ACCOUNT_ID}:table/${table}`],
      }),
    );
  }

  /** The repository of an image in ECR; empty for another image, which is public. */
  public static repositoryArnOf(image: string): string {
    const ecr = /^(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?\/([^:@]+)/;
    const [, account, region, repository] = ecr.exec(image) ?? [];
    return repository
      ? `arn:${Aws.PARTITION}:ecr:${region}:${account}:repository/${repository}`
      : "";
  }

  /** The template. `getResource` gives a resource by its name in the template. */
  public readonly template: CfnInclude;

  public constructor(scope: Construct, id: string, props: UsherProps) {
    // Parameters of the stack, not of CfnInclude: that would write the values into the template
    // and drop the parameters, and the rules of what they may be with them.
    super(scope, id, { parameters: parameters(props) });
    this.template = new CfnInclude(this, "Template", {
      templateFile: path.join(__dirname, "..", "template.yaml"),
    });
  }

  /** @internal */
  protected _output(name: string): string {
    return this.nestedStackResource!.getAtt(`Outputs.${name}`).toString();
  }
}
