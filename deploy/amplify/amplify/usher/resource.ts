import { createHash } from "node:crypto";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { defineBackend } from "@aws-amplify/backend";
import { Aws, CfnOutput, Fn, NestedStack } from "aws-cdk-lib";
import { CfnInclude } from "aws-cdk-lib/cloudformation-include";
import type { IUserPool } from "aws-cdk-lib/aws-cognito";
import type { ITable } from "aws-cdk-lib/aws-dynamodb";
import { SubnetType, Vpc } from "aws-cdk-lib/aws-ec2";
import { PolicyStatement } from "aws-cdk-lib/aws-iam";
import type { IFunction } from "aws-cdk-lib/aws-lambda";

const here = path.dirname(fileURLToPath(import.meta.url));

type Backend = Pick<ReturnType<typeof defineBackend>, "createStack" | "stack">;

interface Parts {
  trigger: {
    resources: { lambda: IFunction };
    addEnvironment(name: string, value: string): void;
  };
  userPool: IUserPool;
  profiles: ITable;
}

/**
 * The queue, the worker and their other resources, from usher's own template.
 *
 * References go one way: this stack knows the pool, the table and the function, and none
 * of them knows this stack. The function still needs the queue's URL and the name of the table
 * of requests. It gets them as text, since both names are known before queue and table exist.
 */
export function addUsher(backend: Backend, { trigger, userPool, profiles }: Parts): void {
  const { name, type } = identify(backend);
  const { lambda } = trigger.resources;

  trigger.addEnvironment(
    "USHER_QUEUE__URL",
    `https://sqs.${Aws.REGION}.${Aws.URL_SUFFIX}/${Aws.ACCOUNT_ID}/${name}`,
  );
  lambda.addToRolePolicy(
    new PolicyStatement({
      actions: ["sqs:SendMessage"],
      resources: [`arn:${Aws.PARTITION}:sqs:${Aws.REGION}:${Aws.ACCOUNT_ID}:${name}`],
    }),
  );
  const requests = `${name}-requests`;
  trigger.addEnvironment("USHER_ADMIN__REQUESTS_TABLE", requests);
  lambda.addToRolePolicy(
    new PolicyStatement({
      actions: ["dynamodb:BatchGetItem", "dynamodb:UpdateItem"],
      resources: [
        `arn:${Aws.PARTITION}:dynamodb:${Aws.REGION}:${Aws.ACCOUNT_ID}:table/${requests}`,
      ],
    }),
  );

  const image = needed("WORKER_IMAGE", "the worker's container image");
  const parameters: Record<string, string> = {
    Name: name,
    UserPoolId: userPool.userPoolId,
    CreateProfileTable: "false",
    ProfileTableName: profiles.tableName,
    TriggerFunctionName: lambda.functionName,
    TriggerRoleArn: lambda.role!.roleArn,
    // Mutations that are refused are errors of the function, too.
    TriggerErrors: "10",
    // Without it, mutations are queued but not performed.
    AdminActions: "true",
    WorkerImage: image,
    ImageRepositoryArn: repositoryOf(image),
    ...network(backend),
    // All branches and sandboxes of the account share 25 calls a second.
    ...(type === "sandbox" ? { DesiredCount: "1", UserUpdateRate: "2" } : {}),
    // For records that another function wrote: docs/guide/amplify-migration.md.
    // WithoutSignUp: "false",
    // ProfileOwnerIndex: "userProfilesByProfileOwner",
    // AlarmEmail: "ops@example.com",
    // AcceptUrl: "https://app.example.com/accept",
    // InvitationBrand: "Example Library",
    // OperatorRoleArns: "arn:aws:iam::123456789012:role/operator",
  };

  const stack = backend.createStack("usher");
  if (!NestedStack.isNestedStack(stack)) {
    throw new Error("createStack made a stack that takes no parameters");
  }
  const template = new CfnInclude(stack, "Template", {
    templateFile: path.join(here, "template.yaml"),
  });
  for (const [parameter, value] of Object.entries(parameters)) {
    template.getParameter(parameter); // throws for a name that the template does not have
    // Parameters of the stack, not of CfnInclude: that would write the values into the
    // template and drop the parameters, and the rules of what they may be with them.
    stack.setParameter(parameter, value);
  }

  const outputs = {
    UsherName: name,
    UsherQueueUrl: template.getResource("Queue").ref,
    UsherDeadLetterQueueUrl: template.getResource("DeadLetterQueue").ref,
    UsherUserPoolId: userPool.userPoolId,
    UsherProfilesTable: profiles.tableName,
    UsherRequestsTable: requests,
  };
  for (const [output, value] of Object.entries(outputs)) {
    new CfnOutput(backend.stack, output, { value });
  }
}

/** A queue's name that no other branch or sandbox of the account has. */
function identify({ stack }: Backend): { name: string; type: string } {
  const [type, namespace, name] = ["type", "namespace", "name"].map((key): string =>
    stack.node.getContext(`amplify-backend-${key}`),
  );
  const hash = createHash("sha256")
    .update(JSON.stringify([type, namespace, name]))
    .digest("hex");
  const readable = name
    .replaceAll(/[^A-Za-z0-9]+/g, "-")
    .slice(0, 20)
    .replace(/-$/, "");
  return { name: `usher-${readable}-${hash.slice(0, 10)}`, type };
}

/** The VPC that is named, or one of two public subnets, which costs nothing by itself. */
function network(backend: Backend): Record<string, string> {
  const { WORKER_VPC_ID: vpcId, WORKER_SUBNET_IDS: subnetIds } = process.env;
  if (vpcId || subnetIds) {
    return {
      VpcId: needed("WORKER_VPC_ID", "the VPC of WORKER_SUBNET_IDS"),
      SubnetIds: needed("WORKER_SUBNET_IDS", "subnets of WORKER_VPC_ID, comma-separated"),
      // ENABLED for public subnets, such as those of a default VPC.
      AssignPublicIp: process.env.WORKER_PUBLIC_IP || "DISABLED",
    };
  }
  // Its own stack: the values of parameters of the stack "usher" must exist before that
  // stack.
  const vpc = new Vpc(backend.createStack("usher-network"), "Vpc", {
    maxAzs: 2,
    natGateways: 0,
    subnetConfiguration: [
      // The service itself requests addresses.
      { name: "worker", subnetType: SubnetType.PUBLIC, mapPublicIpOnLaunch: false },
    ],
    // The default group has no member, and removing its rules would need a function.
    restrictDefaultSecurityGroup: false,
  });
  return {
    VpcId: vpc.vpcId,
    SubnetIds: Fn.join(",", vpc.publicSubnets.map((subnet) => subnet.subnetId)),
    // Without a NAT gateway this is the way to AWS. The security group lets nothing in.
    AssignPublicIp: "ENABLED",
  };
}

/** The repository of the task's image; empty for an image that is not in ECR. */
function repositoryOf(image: string): string {
  const ecr = /^(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?\/([^:@]+)/;
  const [, account, region, repository] = ecr.exec(image) ?? [];
  return repository
    ? `arn:${Aws.PARTITION}:ecr:${region}:${account}:repository/${repository}`
    : "";
}

function needed(variable: string, what: string): string {
  const value = process.env[variable];
  if (!value) {
    throw new Error(`${variable} is not set: ${what}`);
  }
  return value;
}
