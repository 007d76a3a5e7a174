import { createHash } from "node:crypto";
import type { defineBackend } from "@aws-amplify/backend";
import { AssignPublicIp, Usher, type UsherProps } from "@cognito-usher/cdk";
import { CfnOutput } from "aws-cdk-lib";
import type { IUserPool } from "aws-cdk-lib/aws-cognito";
import type { ITable } from "aws-cdk-lib/aws-dynamodb";
import { SubnetType, Vpc } from "aws-cdk-lib/aws-ec2";
import type { IFunction } from "aws-cdk-lib/aws-lambda";

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
 * The queue, the worker and their other resources.
 *
 * References go one way: usher's stack knows the pool, the table and the function, and none
 * of them knows this stack. The function still needs the queue's URL and the name of the table
 * of requests. It gets them as text, since both names are known before queue and table exist.
 */
export function addUsher(backend: Backend, { trigger, userPool, profiles }: Parts): void {
  const { name, type } = identify(backend);
  const { lambda } = trigger.resources;
  const workerImage = needed("WORKER_IMAGE", "the worker's container image");

  const requests = Usher.requestsTableNameOf(name);
  trigger.addEnvironment("USHER_QUEUE__URL", Usher.queueUrlOf(name));
  trigger.addEnvironment("USHER_ADMIN__REQUESTS_TABLE", requests);
  Usher.allowForwarding(lambda, name);
  Usher.allowRequests(lambda, name);
  const usher = new Usher(backend.stack, "usher", {
    name,
    userPoolId: userPool.userPoolId,
    createProfileTable: false,
    profileTableName: profiles.tableName,
    triggerFunctionName: lambda.functionName,
    triggerRoleArn: lambda.role!.roleArn,
    // Mutations that are refused are errors of the function, too.
    triggerErrors: 10,
    // Without it, mutations are queued but not performed.
    adminActions: true,
    workerImage,
    imageRepositoryArn: Usher.repositoryArnOf(workerImage),
    ...network(backend),
    // All branches and sandboxes of the account share 25 calls a second.
    ...(type === "sandbox" ? { desiredCount: 1, userUpdateRate: 2 } : {}),
    // For records that another function wrote: docs/guide/amplify-migration.md.
    // withoutSignUp: false,
    // profileOwnerIndex: "userProfilesByProfileOwner",
    // alarmEmail: "ops@example.com",
    // acceptUrl: "https://app.example.com/accept",
    // invitationBrand: "Example Library",
    // operatorRoleArns: ["arn:aws:iam::123456789012:role/operator"],
  });

  const outputs = {
    UsherName: name,
    UsherQueueUrl: usher.queueUrl,
    UsherDeadLetterQueueUrl: usher.deadLetterQueueUrl,
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
function network(
  backend: Backend,
): Pick<UsherProps, "assignPublicIp" | "subnetIds" | "vpcId"> {
  const { WORKER_PUBLIC_IP: publicIp, WORKER_SUBNET_IDS: subnetIds, WORKER_VPC_ID: vpcId } =
    process.env;
  if (vpcId || subnetIds) {
    return {
      vpcId: needed("WORKER_VPC_ID", "the VPC of WORKER_SUBNET_IDS"),
      subnetIds: needed(
        "WORKER_SUBNET_IDS",
        "subnets of WORKER_VPC_ID, comma-separated",
      ).split(","),
      // ENABLED for public subnets, such as those of a default VPC.
      assignPublicIp: (publicIp || AssignPublicIp.DISABLED) as AssignPublicIp,
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
    vpcId: vpc.vpcId,
    subnetIds: vpc.publicSubnets.map((subnet) => subnet.subnetId),
    // Without a NAT gateway this is the way to AWS. The security group lets nothing in.
    assignPublicIp: AssignPublicIp.ENABLED,
  };
}

function needed(variable: string, what: string): string {
  const value = process.env[variable];
  if (!value) {
    throw new Error(`${variable} is not set: ${what}`);
  }
  return value;
}
