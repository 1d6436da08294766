"""`bootstrap/infrastructure.yaml`: what it promises, read from the template, and created in a mock of AWS.

The mock is moto, not AWS: it shows that the template's references, conditions and outputs fit together. It knows no
bucket policies, and leaves out a bucket's lifecycle, bucket key and block of public access, a log group's key, a role's
managed policies and a subnet's routes: for these the template is read.
"""

import ast
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from cfnlint.api import ManualArgs, lint_file
from cfnlint.decode.cfn_yaml import load
from moto import mock_aws

from tests.bootstrap.conftest import ROOT

pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse AWS..S3..BucketPolicy")

TEMPLATE = ROOT / "bootstrap" / "infrastructure.yaml"
REGION = "eu-west-3"
TAG = {"Key": "for-use-with-amazon-emr-managed-policies", "Value": "true"}
OUTPUTS = {
    *("Bucket", "KeyArn", "ServiceRole", "InstanceProfile", "SecurityConfiguration"),
    *("Subnet", "Subnets", "SecurityGroup", "JobRole", "LogGroup"),
}

Stack = dict[str, str]


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    """The template, its tags in their long form."""
    loaded: dict[str, Any] = load(str(TEMPLATE))
    return loaded


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A mock of AWS, and credentials for no other."""
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "mock")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")  # none is used, and to make them takes as long as a stack
    with mock_aws():
        yield


def create(region: str = REGION, **parameters: str) -> Stack:
    """Create the stack in the mock; returns its outputs."""
    client = boto3.client("cloudformation", region_name=region)
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    client.create_stack(
        StackName="lake", TemplateBody=TEMPLATE.read_text(), Parameters=given, Capabilities=["CAPABILITY_IAM"]
    )
    (stack,) = client.describe_stacks(StackName="lake")["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def statements(node: Any) -> Iterator[dict[str, Any]]:
    """Every statement of every policy below a node of the template."""
    if isinstance(node, dict):
        if "Effect" in node:
            yield node
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from statements(child)


def listed(value: Any) -> list[Any]:
    """A value that may stand alone, as a list."""
    return value if isinstance(value, list) else [value]


def allowed(node: Any) -> Iterator[tuple[str, str, bool]]:
    """Each action that is allowed below a node, the resource as text, and whether a condition limits it."""
    for statement in statements(node):
        if statement["Effect"] == "Allow":
            for action in listed(statement["Action"]):
                for resource in listed(statement.get("Resource", "")):
                    text = resource if isinstance(resource, str) else next(iter(resource.values()))
                    yield action, text if isinstance(text, str) else ".".join(map(str, text)), "Condition" in statement


def test_linter_finds_nothing() -> None:
    """`cfn-lint` has nothing to say, warnings included."""
    assert lint_file(TEMPLATE, ManualArgs(regions=[REGION, "us-east-1"])) == []


def test_no_action_is_a_wildcard(template: dict[str, Any]) -> None:
    """Each action that is allowed is named; only what is denied is denied whole."""
    actions = {action for action, *_ in allowed(template["Resources"])}
    assert actions
    assert not [action for action in actions if "*" in action]
    assert "NotAction" not in TEMPLATE.read_text()


def test_one_managed_policy_of_aws(template: dict[str, Any]) -> None:
    """Of AWS' own policies there is EMR's service policy alone, and none that gives full access."""
    text = TEMPLATE.read_text()
    assert text.count(":iam::aws:policy/") == text.count(":iam::aws:policy/service-role/AmazonEMRServicePolicy_v2") == 1
    assert "FullAccess" not in text
    job = {"Ref": "JobPolicy"}
    roles = {name: template["Resources"][name]["Properties"] for name in ("InstanceRole", "ServerlessRole")}
    (service,) = template["Resources"]["ServiceRole"]["Properties"]["ManagedPolicyArns"]
    assert service["Fn::Sub"].endswith(":iam::aws:policy/service-role/AmazonEMRServicePolicy_v2")
    assert {name: role["ManagedPolicyArns"] for name, role in roles.items()} == {name: [job] for name in roles}


def test_resources_are_named_too(template: dict[str, Any]) -> None:
    """What is allowed is allowed on this stack's own things; a key policy's `*` is its key."""
    everything = {
        (action, resource)
        for name, part in template["Resources"].items()
        for action, resource, _ in allowed(part)
        if name != "Key" and (resource == "*" or resource.endswith(":*"))
    }
    channels = {"CreateControlChannel", "CreateDataChannel", "OpenControlChannel", "OpenDataChannel"}
    seen = ("Instances", "NetworkInterfaces", "SecurityGroups", "Subnets", "Tags", "Vpcs")
    # Those that IAM knows no narrower resource of.
    assert {action for action, _ in everything} == {
        "logs:DescribeLogGroups",
        *(f"ssmmessages:{one}" for one in channels),
        *(f"ec2:Describe{one}" for one in seen),
    }


def test_people_come_to_nodes_where_that_is_asked_for_alone(aws: None, template: dict[str, Any]) -> None:
    """By default there is neither a studio nor what a session needs; with them no rule lets anybody in from outside."""
    of_people = {"ShellPolicy", "EngineGroup", "WorkspaceGroup", "WorkspaceToEngine", "StudioRole", "Studio"}
    conditions = {name: template["Resources"][name]["Condition"] for name in of_people}
    assert conditions == {**dict.fromkeys(of_people, "HasNotebooks"), "ShellPolicy": "HasShell"}
    assert {template["Parameters"][name]["Default"] for name in ("ShellAccess", "Notebooks")} == {"false"}
    outputs = create(ShellAccess="true")
    policies = boto3.client("iam").list_policies(Scope="Local")["Policies"]
    (policy,) = [policy for policy in policies if "ShellPolicy" in policy["PolicyName"]]
    assert {action for action, *_ in allowed(documents(policy))} == {
        "ssm:UpdateInstanceInformation",
        *(f"ssmmessages:{one}" for one in ("CreateControlChannel", "CreateDataChannel")),
        *(f"ssmmessages:{one}" for one in ("OpenControlChannel", "OpenDataChannel")),
    }
    (group,) = boto3.client("ec2").describe_security_groups(GroupIds=[outputs["SecurityGroup"]])["SecurityGroups"]
    assert group["IpPermissions"] == []
    (rule,) = template["Resources"]["EngineGroup"]["Properties"]["SecurityGroupIngress"]
    assert (rule["FromPort"], rule["ToPort"], rule["SourceSecurityGroupId"]) == (
        18888,
        18888,
        {"Ref": "WorkspaceGroup"},
    )


def test_notebooks_are_kept_under_their_own_prefix(template: dict[str, Any]) -> None:
    """The studio reads and writes there, and neither lake, photographs nor code."""
    objects = [
        one for one in allowed(template["Resources"]["StudioRole"]) if one[0].startswith("s3:") and "/" in one[1]
    ]
    assert {resource for _, resource, _ in objects} == {"${Bucket.Arn}/notebooks/*"}
    assert template["Resources"]["Studio"]["Properties"]["DefaultS3Location"] == {"Fn::Sub": "s3://${Bucket}/notebooks"}


def test_jobs_write_the_lake_and_the_logs_alone(template: dict[str, Any]) -> None:
    """Photographs and code are read; nothing is deleted or written there."""
    found: dict[str, set[str]] = {}
    for action, resource, _ in allowed(template["Resources"]["JobPolicy"]):
        if action.startswith("s3:") and "/" in resource:
            found.setdefault(resource.rpartition("}/")[2], set()).add(action.removeprefix("s3:"))
    written = {"AbortMultipartUpload", "DeleteObject", "GetObject", "ListMultipartUploadParts", "PutObject"}
    read = {"GetObject"}
    assert found == {"photographs/*": read, "code/*": read, "lake/*": written, "logs/*": written}


def test_catalog_is_written_for_the_layers_alone(template: dict[str, Any]) -> None:
    """Glue's catalog is written in the three layers' databases; of others Spark may ask whether they are there.

    It makes the database `default` where an account has none, as Spark and AWS's client do on their first opening.
    """
    resources: dict[str, set[str]] = {}
    for action, resource, _ in allowed(template["Resources"]["JobPolicy"]):
        if action.startswith("glue:"):
            resources.setdefault(resource.rpartition("}:")[2], set()).add(action)
    opened = ({"glue:GetDatabase"}, {"glue:GetDatabase", "glue:CreateDatabase"})
    only_asked = {name for name, actions in resources.items() if actions in opened}
    kinds = ("database/{}", "table/{}/*", "userDefinedFunction/{}/*")
    layers = {kind.format(layer) for kind in kinds for layer in ("bronze", "silver", "gold")}
    assert resources.keys() - only_asked == {"catalog", *layers}
    assert only_asked == {"database/default", "database/global_temp"}
    assert [name for name in only_asked if "glue:CreateDatabase" in resources[name]] == ["database/default"]


def test_bucket_is_private(template: dict[str, Any]) -> None:
    """Nothing in the bucket can be made public, and no access list of an object counts."""
    bucket = template["Resources"]["Bucket"]["Properties"]
    assert bucket["PublicAccessBlockConfiguration"] == dict.fromkeys(
        ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
    )
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"][0]["BucketKeyEnabled"]
    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}


def test_bucket_is_encrypted(aws: None) -> None:
    """Everything is under the key, and nothing has versions."""
    outputs = create()
    s3 = boto3.client("s3")
    (rule,) = s3.get_bucket_encryption(Bucket=outputs["Bucket"])["ServerSideEncryptionConfiguration"]["Rules"]
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": outputs["KeyArn"]}
    assert rule["ApplyServerSideEncryptionByDefault"] == default
    assert "Status" not in s3.get_bucket_versioning(Bucket=outputs["Bucket"])


def test_nothing_stays_that_nobody_needs(template: dict[str, Any]) -> None:
    """Parts of uploads that were given up go, and old logs; nothing else does."""
    uploads, logs = template["Resources"]["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    assert uploads["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert "ExpirationInDays" not in uploads
    assert (logs["Prefix"], logs["ExpirationInDays"]) == ("logs/", {"Ref": "LogDays"})


def test_roles_are_passed_to_whom_they_are_for_alone(template: dict[str, Any]) -> None:
    """EMR hands the instances' role to EC2, a scheduled run the jobs' role to EMR Serverless, and nobody another."""
    passed = [statement for statement in statements(template["Resources"]) if statement["Action"] == "iam:PassRole"]
    assert [(statement["Resource"], statement["Condition"]) for statement in passed] == [
        ({"Fn::GetAtt": ["InstanceRole", "Arn"]}, {"StringLike": {"iam:PassedToService": "ec2.amazonaws.com*"}}),
        (
            {"Fn::GetAtt": ["ServerlessRole", "Arn"]},
            {"StringEquals": {"iam:PassedToService": "emr-serverless.amazonaws.com"}},
        ),
    ]


def test_bucket_refuses_what_is_not_encrypted_on_its_way(template: dict[str, Any]) -> None:
    """Requests without TLS, or with one older than 1.2, are denied to everybody, for the bucket and all in it."""
    found = list(statements(template["Resources"]["BucketPolicy"]))
    assert [statement["Condition"] for statement in found] == [
        {"Bool": {"aws:SecureTransport": "false"}},
        {"NumericLessThan": {"s3:TlsVersion": "1.2"}},
    ]
    for statement in found:
        assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
        assert statement["Resource"] == [{"Fn::GetAtt": ["Bucket", "Arn"]}, {"Fn::Sub": "${Bucket.Arn}/*"}]


def test_lake_outlives_its_stack(template: dict[str, Any]) -> None:
    """Bucket, its policy and the key stay when the stack goes, or makes them anew."""
    for name in ("Bucket", "BucketPolicy", "Key"):
        resource = template["Resources"][name]
        assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_key_is_rotated_and_encrypts_the_logs(aws: None, template: dict[str, Any]) -> None:
    """The key is renewed every year, and the log group is under it and forgets."""
    outputs = create()
    assert boto3.client("kms").get_key_rotation_status(KeyId=outputs["KeyArn"])["KeyRotationEnabled"]
    (group,) = boto3.client("logs").describe_log_groups()["logGroups"]
    assert group["logGroupName"] == outputs["LogGroup"]
    assert template["Resources"]["LogGroup"]["Properties"]["KmsKeyId"] == {"Fn::GetAtt": ["Key", "Arn"]}
    assert group["retentionInDays"] == 30


@pytest.mark.parametrize("region", [REGION, "us-east-1"])
def test_outputs_are_what_starts_a_cluster(aws: None, region: str) -> None:
    """The outputs have these names, and roles, profile and network exist under them, in any region."""
    outputs = create(region)
    assert outputs.keys() == OUTPUTS
    iam = boto3.client("iam")
    assert iam.get_role(RoleName=outputs["ServiceRole"])
    (role,) = iam.get_instance_profile(InstanceProfileName=outputs["InstanceProfile"])["InstanceProfile"]["Roles"]
    assert role["RoleName"].startswith("lake-InstanceRole-")
    assert outputs["JobRole"].startswith("arn:aws:iam::")
    ec2 = boto3.client("ec2", region_name=region)
    (subnet,) = ec2.describe_subnets(SubnetIds=[outputs["Subnet"]])["Subnets"]
    (group,) = ec2.describe_security_groups(GroupIds=[outputs["SecurityGroup"]])["SecurityGroups"]
    assert group["VpcId"] == subnet["VpcId"]
    assert TAG in subnet["Tags"]
    assert TAG in group["Tags"]


def test_nobody_comes_in(aws: None, template: dict[str, Any]) -> None:
    """The security group has no rule for what comes in, and there is no other."""
    outputs = create()
    (group,) = boto3.client("ec2").describe_security_groups(GroupIds=[outputs["SecurityGroup"]])["SecurityGroups"]
    assert group["IpPermissions"] == []
    assert (
        len(
            boto3.client("ec2").describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [group["VpcId"]]}])[
                "SecurityGroups"
            ]
        )
        == 2
    )  # with the VPC's default
    types = [resource["Type"] for resource in template["Resources"].values()]
    assert "AWS::EC2::SecurityGroupIngress" not in types


def test_private_subnet_gets_a_group_for_emrs_own_service(aws: None, template: dict[str, Any]) -> None:
    """Without it, and the nodes' way to its port 9443, EMR refuses a cluster with groups of one's own there."""
    ec2 = boto3.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    outputs = create(VpcId=vpc, SubnetId=subnet, SubnetIsPrivate="true")
    (group,) = ec2.describe_security_groups(GroupIds=[outputs["ServiceAccessSecurityGroup"]])["SecurityGroups"]
    assert TAG in group["Tags"]
    (rule,) = group["IpPermissions"]
    assert (rule["FromPort"], rule["ToPort"], rule["IpRanges"]) == (9443, 9443, [])
    assert [pair["GroupId"] for pair in rule["UserIdGroupPairs"]] == [outputs["SecurityGroup"]]
    # moto does not make a rule for what goes out to a group
    (out,) = template["Resources"]["ServiceAccessSecurityGroup"]["Properties"]["SecurityGroupEgress"]
    assert (out["FromPort"], out["ToPort"], out["DestinationSecurityGroupId"]) == (8443, 8443, {"Ref": "SecurityGroup"})


def test_there_are_subnets_in_two_zones(aws: None) -> None:
    """Where one has no machine of a type, an instance fleet finds one in the other; both lead out."""
    outputs = create()
    ec2 = boto3.client("ec2")
    subnets = ec2.describe_subnets(SubnetIds=outputs["Subnets"].split(","))["Subnets"]
    assert len({one["AvailabilityZone"] for one in subnets}) == 2
    assert outputs["Subnet"] in outputs["Subnets"]
    assert all(TAG in one["Tags"] and one["MapPublicIpOnLaunch"] for one in subnets)


def test_s3_is_reached_within_the_network(aws: None, template: dict[str, Any]) -> None:
    """The network that is made has an endpoint for S3 and a way out."""
    outputs = create()
    ec2 = boto3.client("ec2")
    (subnet,) = ec2.describe_subnets(SubnetIds=[outputs["Subnet"]])["Subnets"]
    (endpoint,) = ec2.describe_vpc_endpoints()["VpcEndpoints"]
    assert (endpoint["VpcId"], endpoint["ServiceName"]) == (subnet["VpcId"], f"com.amazonaws.{REGION}.s3")
    tables = ec2.describe_route_tables(RouteTableIds=endpoint["RouteTableIds"])["RouteTables"]
    assert template["Resources"]["SubnetRoutes"]["Properties"] == {
        "SubnetId": {"Ref": "PublicSubnet"},
        "RouteTableId": {"Ref": "RouteTable"},
    }
    assert "0.0.0.0/0" in [route.get("DestinationCidrBlock") for route in tables[0]["Routes"]]


def test_a_network_of_ones_own_is_taken(aws: None) -> None:
    """With a VPC and a subnet named no network is made, and the security group is in that VPC."""
    ec2 = boto3.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    before = len(ec2.describe_vpcs()["Vpcs"])
    outputs = create(VpcId=vpc, SubnetId=subnet)
    (group,) = ec2.describe_security_groups(GroupIds=[outputs["SecurityGroup"]])["SecurityGroups"]
    assert (outputs["Subnet"], outputs["Subnets"], group["VpcId"]) == (subnet, subnet, vpc)
    assert "ServiceAccessSecurityGroup" not in outputs
    assert len(ec2.describe_vpcs()["Vpcs"]) == before


def security(outputs: Stack) -> Any:
    """The security configuration that the stack has made."""
    found = boto3.client("emr").describe_security_configuration(Name=outputs["SecurityConfiguration"])
    return ast.literal_eval(found["SecurityConfiguration"])  # moto keeps Python's way of writing it


def test_disks_are_encrypted_and_metadata_guarded(aws: None) -> None:
    """Disks and S3 are under the key, and instance metadata is of version 2, one hop away."""
    outputs = create()
    found = security(outputs)
    rest = found["EncryptionConfiguration"]["AtRestEncryptionConfiguration"]
    assert rest["S3EncryptionConfiguration"] == {"EncryptionMode": "SSE-KMS", "AwsKmsKey": outputs["KeyArn"]}
    assert rest["LocalDiskEncryptionConfiguration"]["AwsKmsKey"] == outputs["KeyArn"]
    metadata = found["InstanceMetadataServiceConfiguration"]
    assert {name: int(value) for name, value in metadata.items()} == {
        "MinimumInstanceMetadataServiceVersion": 2,
        "HttpPutResponseHopLimit": 1,
    }


def test_certificates_turn_on_encryption_between_nodes(aws: None) -> None:
    """With certificates given traffic between nodes is encrypted, and the nodes may read them and nothing beside."""
    found = security(create(CertificatesZip="s3://safe/emr/certificates.zip"))["EncryptionConfiguration"]
    assert found["InTransitEncryptionConfiguration"]["TLSCertificateConfiguration"] == {
        "CertificateProviderType": "PEM",
        "S3Object": "s3://safe/emr/certificates.zip",
    }
    policies = boto3.client("iam").list_policies(Scope="Local")["Policies"]
    (policy,) = [policy for policy in policies if "CertificatesPolicy" in policy["PolicyName"]]
    assert documents(policy) == [
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::safe/emr/certificates.zip"}
    ]


def documents(policy: dict[str, Any]) -> Any:
    """The statements of a managed policy."""
    version = boto3.client("iam").get_policy_version(PolicyArn=policy["Arn"], VersionId=policy["DefaultVersionId"])
    return version["PolicyVersion"]["Document"]["Statement"]


def test_another_bucket_is_read_only(aws: None) -> None:
    """Photographs of another bucket are listed and read, by clusters and by EMR Serverless."""
    key = f"arn:aws:kms:{REGION}:123456789012:key/1"
    outputs = create(PhotographsBucket="photographs-of-others", PhotographsKeyArn=key)
    assert outputs["PhotographsBucketName"] == "photographs-of-others"
    iam = boto3.client("iam")
    role = outputs["JobRole"].rpartition("/")[2]
    attached = [policy["PolicyArn"] for policy in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]]
    policies = [policy for policy in iam.list_policies(Scope="Local")["Policies"] if policy["Arn"] in attached]
    assert {(action, resource) for policy in policies for action, resource, _ in allowed(documents(policy))} == {
        ("s3:GetBucketLocation", "arn:aws:s3:::photographs-of-others"),
        ("s3:ListBucket", "arn:aws:s3:::photographs-of-others"),
        ("s3:GetObject", "arn:aws:s3:::photographs-of-others/*"),
        ("kms:Decrypt", key),
    }
