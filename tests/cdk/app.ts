// An app with usher. The compiler checks the types of all properties.

import { App, CfnOutput, Stack } from "aws-cdk-lib";
import { Code, Function as Lambda, Runtime } from "aws-cdk-lib/aws-lambda";
import { Bucket } from "aws-cdk-lib/aws-s3";
import {
  Architecture,
  AssignPublicIp,
  ContainerInsights,
  TriggerTracing,
  Usher,
  type UsherProps,
} from "@cognito-usher/cdk";

const needed = {
  userPoolId: "eu-west-1_AbCdEf123",
  workerImage: "public.ecr.aws/someone/usher:0.1.0",
  subnetIds: ["subnet-1", "subnet-2"],
};
// With each property, so that one that a new parameter brings is missed here.
const all: Required<UsherProps> = {
  ...needed,
  name: "everything",
  defaultGroups: ["EVERYONE", "MEMBERS"],
  tokenGroups: ["MEMBERS"],
  userUpdateRate: 10,
  reconcileSchedule: "cron(0 4 * * ? *)",
  reconcileFederated: false,
  createProfileTable: false,
  profileTableName: "Profiles",
  profileKey: "sub",
  profileOwnerIndex: "byOwner",
  withoutSignUp: false,
  profileTableKeyArn: "arn:aws:kms:eu-west-1:123456789012:key/1",
  triggerCodeBucket: "releases",
  triggerCodeKey: "usher-trigger-0.1.0.zip",
  triggerCodeVersion: "1",
  triggerMemory: 512,
  triggerReservedConcurrency: 5,
  triggerTracing: TriggerTracing.ACTIVE,
  triggerFunctionName: "",
  triggerRoleArn: "",
  imageRepositoryArn: "arn:aws:ecr:eu-west-1:123456789012:repository/usher",
  architecture: Architecture.X86_64,
  desiredCount: 3,
  workerCpu: 512,
  workerMemory: 1024,
  stopTimeout: 60,
  clusterName: "ours",
  containerInsights: ContainerInsights.ENHANCED,
  minimumHealthyPercent: 50,
  maximumPercent: 150,
  logRetentionDays: 30,
  configTextArn: "arn:aws:ssm:eu-west-1:123456789012:parameter/usher",
  configFile: "",
  assignPublicIp: AssignPublicIp.ENABLED,
  vpcId: "",
  securityGroupIds: ["sg-1", "sg-2"],
  targetGroupArn: "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/usher/1",
  loadBalancerSecurityGroupId: "sg-3",
  adminActions: true,
  adminGroups: ["OWNERS"],
  adminGrantableGroups: ["STAFF", "TEAM-*"],
  adminClientIds: ["app"],
  adminCorsOrigins: ["https://app.example.com"],
  acceptUrl: "https://usher.example.com/accept",
  invitationBrand: "Example Library",
  invitationClientId: "app",
  invitationClientSecretArn: "arn:aws:secretsmanager:eu-west-1:123456789012:secret:a",
  consoleClientId: "console",
  consoleClientSecretArn: "arn:aws:secretsmanager:eu-west-1:123456789012:secret:b",
  operatorRoleArns: ["arn:aws:iam::123456789012:role/operator"],
  alarmTopicArn: "arn:aws:sns:eu-west-1:123456789012:ours",
  alarmEmail: "",
  oldestMessageSeconds: 600,
  throttledCalls: 200,
  triggerErrors: 10,
};

const app = new App({ outdir: process.argv[2], analyticsReporting: false });
const stack = new Stack(app, "app", { env: { region: "eu-west-1" } });
new Usher(stack, "all", all);

const code = { triggerCodeBucket: "releases", triggerCodeKey: "usher-trigger-0.1.0.zip" };
const usher = new Usher(stack, "usher", { ...needed, ...code, vpcId: "vpc-0123" });
for (const [name, value] of Object.entries({
  QueueUrl: usher.queueUrl,
  QueueArn: usher.queueArn,
  DeadLetterQueueUrl: usher.deadLetterQueueUrl,
  DeadLetterQueueArn: usher.deadLetterQueueArn,
  TriggerArn: usher.triggerArn,
  ProfileTableName: usher.profileTableName,
  RequestTableName: usher.requestTableName,
  ClusterName: usher.clusterName,
  ServiceName: usher.serviceName,
  TaskRoleArn: usher.taskRoleArn,
  WorkerLogGroup: usher.workerLogGroup,
  TriggerLogGroup: usher.triggerLogGroup,
  AlarmTopicArn: usher.alarmTopicArn,
  DashboardUrl: usher.dashboardUrl,
  // A resource of the template.
  OneMoreQueue: usher.template.getResource("DeadLetterQueue").ref,
})) {
  new CfnOutput(stack, name, { value });
}

// A function of the app, which usher must not come before.
const lambda = new Lambda(stack, "trigger", {
  runtime: Runtime.PROVIDED_AL2023,
  handler: "bootstrap",
  code: Code.fromBucketV2(Bucket.fromBucketName(stack, "releases", "releases"), "trigger.zip"),
  environment: { USHER_QUEUE__URL: Usher.queueUrlOf("ours") },
});
Usher.allowForwarding(lambda, "ours");
Usher.allowRequests(lambda, "ours");
const ecr = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/our/usher:0.1.0";
new Usher(stack, "ours", {
  ...needed,
  name: "ours",
  vpcId: "vpc-0123",
  workerImage: ecr,
  imageRepositoryArn: Usher.repositoryArnOf(ecr),
  triggerFunctionName: lambda.functionName,
  triggerRoleArn: lambda.role!.roleArn,
});

// @ts-expect-error A parameter without a default is required.
const missing: UsherProps = { userPoolId: "eu-west-1_AbCdEf123", subnetIds: [] };
// @ts-expect-error There is no such parameter.
const unknown: UsherProps = { ...needed, workerImages: "usher" };
// @ts-expect-error A number is no text.
const mistyped: UsherProps = { ...needed, desiredCount: "2" };

app.synth();
export { missing, mistyped, unknown };
