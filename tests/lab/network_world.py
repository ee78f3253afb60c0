"""A network of two ends for the diagnosis: what moto lets us make of VPCs and what joins them."""
from __future__ import annotations


def build(ec2, region: str, image: str) -> dict:
    """A bastion and three targets: `same` in its VPC, `peered` behind a peering, `transit` behind a gateway.

    Answers the ids of everything, so that a survey can be compared field by field.
    """
    near, far, beyond = (_vpc(ec2, block) for block in ("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"))
    ec2.associate_vpc_cidr_block(VpcId=near, CidrBlock="10.9.0.0/16")
    bastions, targets = _subnet(ec2, region, near, "10.1.1.0/24"), _subnet(ec2, region, near, "10.1.2.0/24")
    peered, gone = _subnet(ec2, region, far, "10.2.1.0/24"), _subnet(ec2, region, beyond, "10.3.1.0/24")

    offices = ec2.create_managed_prefix_list(
        PrefixListName="offices", AddressFamily="IPv4", MaxEntries=5,
        Entries=[{"Cidr": "192.0.2.0/24"}, {"Cidr": "198.51.100.0/24"}])["PrefixList"]["PrefixListId"]
    bastion_group, target_group = _group(ec2, near, "bastions"), _group(ec2, near, "targets")
    far_group, bare_group = _group(ec2, far, "far"), _group(ec2, beyond, "bare")
    from_bastion = _permit(ec2, target_group, UserIdGroupPairs=[{"GroupId": bastion_group}])
    from_offices = _permit(ec2, target_group, PrefixListIds=[{"PrefixListId": offices}])
    from_range = _permit(ec2, far_group, IpRanges=[{"CidrIp": "10.1.0.0/16"}])
    everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.revoke_security_group_egress(GroupId=bare_group, IpPermissions=[everything])

    acl = ec2.create_network_acl(VpcId=near)["NetworkAcl"]["NetworkAclId"]
    _entry(ec2, acl, 100, "6", False, "allow", "10.1.1.0/24", 22, 22)
    _entry(ec2, acl, 90, "-1", False, "deny", "10.1.1.66/32")
    _entry(ec2, acl, 100, "6", True, "allow", "10.1.0.0/16", 1024, 65535)
    _guard(ec2, acl, targets)

    peering = ec2.create_vpc_peering_connection(VpcId=near, PeerVpcId=far)
    peering = peering["VpcPeeringConnection"]["VpcPeeringConnectionId"]
    ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering)
    gateway = ec2.create_transit_gateway(Description="hub")["TransitGateway"]["TransitGatewayId"]
    for vpc, subnet in ((near, bastions), (beyond, gone)):
        ec2.create_transit_gateway_vpc_attachment(TransitGatewayId=gateway, VpcId=vpc, SubnetIds=[subnet])
    table = ec2.create_route_table(VpcId=near)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=bastions)
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="10.2.0.0/16", VpcPeeringConnectionId=peering)
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="10.3.0.0/16", TransitGatewayId=gateway)

    bastion = _instance(ec2, image, bastions, bastion_group, "10.1.1.10", "bastion")
    same = _instance(ec2, image, targets, target_group, "10.1.2.20", "same", {"HttpEndpoint": "disabled"})
    over = _instance(ec2, image, peered, far_group, "10.2.1.20", "peered")
    bare = _instance(ec2, image, gone, bare_group, "10.3.1.20", "transit")
    ec2.stop_instances(InstanceIds=[bare])
    return {
        "vpcs": {"near": near, "far": far, "beyond": beyond},
        "subnets": {"bastions": bastions, "targets": targets, "peered": peered, "gone": gone},
        "groups": {"bastion": bastion_group, "target": target_group, "far": far_group, "bare": bare_group},
        "rules": {"from_bastion": from_bastion, "from_offices": from_offices, "from_range": from_range},
        "prefix_list": offices, "acl": acl, "peering": peering, "gateway": gateway, "table": table,
        "main_tables": {vpc: _main_table(ec2, vpc) for vpc in (near, far, beyond)},
        "image_name": ec2.describe_images(ImageIds=[image])["Images"][0]["Name"],
        "instances": {"bastion": bastion, "same": same, "peered": over, "transit": bare},
    }


def _vpc(ec2, block: str) -> str:
    return ec2.create_vpc(CidrBlock=block)["Vpc"]["VpcId"]


def _subnet(ec2, region: str, vpc: str, block: str) -> str:
    made = ec2.create_subnet(VpcId=vpc, CidrBlock=block, AvailabilityZone=f"{region}a")
    return made["Subnet"]["SubnetId"]


def _group(ec2, vpc: str, name: str) -> str:
    return ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"]


def _permit(ec2, group: str, **source) -> str:
    permission = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, **source}
    made = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])
    return made["SecurityGroupRules"][0]["SecurityGroupRuleId"]


def _entry(ec2, acl: str, number: int, protocol: str, egress: bool, action: str, block: str, *ports: int) -> None:
    span = {"PortRange": {"From": ports[0], "To": ports[1]}} if ports else {}
    ec2.create_network_acl_entry(NetworkAclId=acl, RuleNumber=number, Protocol=protocol, Egress=egress,
                                 RuleAction=action, CidrBlock=block, **span)


def _guard(ec2, acl: str, subnet: str) -> None:
    of_subnet = [{"Name": "association.subnet-id", "Values": [subnet]}]
    for found in ec2.describe_network_acls(Filters=of_subnet)["NetworkAcls"]:
        for association in found["Associations"]:
            if association["SubnetId"] == subnet:
                ec2.replace_network_acl_association(
                    AssociationId=association["NetworkAclAssociationId"], NetworkAclId=acl)


def _main_table(ec2, vpc: str) -> str:
    filters = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "association.main", "Values": ["true"]}]
    return ec2.describe_route_tables(Filters=filters)["RouteTables"][0]["RouteTableId"]


def _instance(ec2, image: str, subnet: str, group: str, ip: str, name: str, metadata: dict | None = None) -> str:
    made = ec2.run_instances(
        ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1, SubnetId=subnet, PrivateIpAddress=ip,
        SecurityGroupIds=[group], **({"MetadataOptions": metadata} if metadata else {}),
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": name}]}])
    return made["Instances"][0]["InstanceId"]
