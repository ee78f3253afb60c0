"""An AWS on loopback that we did not write: moto, with a stricter EC2 Instance Connect.

moto answers EC2, STS and IAM. Its SendSSHPublicKey accepts everything and forgets it; the handler
here validates what the service model says, answers the modelled errors, and appends
`EXPIRY REQUEST-ID KEY` to `KEYS/<instance>/<login>`, which the target's AuthorizedKeysCommand reads.

Faults (throttling, 5xx, stalls, nonsense) can be switched on per account and service.
"""
from __future__ import annotations

import base64
import json
import logging
import re
import threading
import time
import uuid
from collections import Counter
from pathlib import Path

import boto3
import network_world
from moto.core.responses import BaseResponse
from moto.ec2.models import ec2_backends
from moto.ec2.responses.general import General
from moto.ec2instanceconnect.responses import Ec2InstanceConnectResponse
from moto.iam.models import get_account_id_from, iam_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

KEY_SECONDS = 60
INSTANCE_ID = re.compile(r"i-[a-f0-9]{8,30}")
LOGIN = re.compile(r"[A-Za-z_][A-Za-z0-9@._-]{0,30}[A-Za-z0-9$_-]?")
ZONE = re.compile(r"(\w+-){2,3}\d+\w+")
KEY_TYPES = ("ssh-ed25519", "ssh-rsa")


class Refused(Exception):
    """A modelled error of Instance Connect."""

    def __init__(self, kind: str, message: str, status: int = 400):
        super().__init__(message)
        self.kind, self.status = kind, status


class InstanceConnect:
    """SendSSHPublicKey as the service model and the user guide describe it."""

    def __init__(self, keys: Path):
        self.keys = keys
        self.lock = threading.Lock()
        self.pushes: list[dict] = []

    def send(self, account: str, region: str, p: dict) -> dict:
        instance_id, login, key = p.get("InstanceId", ""), p.get("InstanceOSUser", ""), p.get("SSHPublicKey", "")
        if not INSTANCE_ID.fullmatch(instance_id):
            raise Refused("InvalidArgsException", "InstanceId has the wrong form")
        if not LOGIN.fullmatch(login) or len(login) > 32:
            raise Refused("InvalidArgsException", "InstanceOSUser has the wrong form")
        self._check_key(key)
        zone = p.get("AvailabilityZone")
        if zone is not None and not ZONE.fullmatch(zone):
            raise Refused("InvalidArgsException", "AvailabilityZone has the wrong form")
        self._check_instance(account, region, instance_id, zone)
        request_id = str(uuid.uuid4())
        self._store(instance_id, login, key, request_id)
        return {"RequestId": request_id, "Success": True}

    @staticmethod
    def _check_key(key: str) -> None:
        if not 80 <= len(key) <= 4096:
            raise Refused("InvalidArgsException", "SSHPublicKey has the wrong length")
        kind, _, rest = key.strip().partition(" ")
        try:
            blob = base64.b64decode(rest.split(" ")[0], validate=True)
        except ValueError:
            blob = b""
        if kind not in KEY_TYPES or blob[4:].split(b"\0")[0][: len(kind)] != kind.encode():
            raise Refused("InvalidArgsException", "SSHPublicKey is not an RSA or ED25519 key")

    @staticmethod
    def _check_instance(account: str, region: str, instance_id: str, zone: str | None) -> None:
        found = next((i for i in ec2_backends[account][region].all_instances() if i.id == instance_id), None)
        if found is None or zone not in (None, found.placement.zone):
            raise Refused("EC2InstanceNotFoundException", "the instance does not exist here")
        if found.state != "running":
            raise Refused("EC2InstanceStateInvalidException", f"the instance is {found.state}")

    def _store(self, instance_id: str, login: str, key: str, request_id: str) -> None:
        with self.lock:
            folder = self.keys / instance_id
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)
            with (folder / login).open("a") as f:
                f.write(f"{int(time.time()) + KEY_SECONDS} {request_id} {key.strip()}\n")
            self.pushes.append({"instance": instance_id, "login": login, "request_id": request_id, "key": key.strip()})


class Faults:
    """WSGI middleware: answers in AWS's place while a fault is on for that account and service."""

    def __init__(self, app):
        self.app = app
        self.active: dict[tuple[str, str], str] = {}
        self.calls: list[tuple[str, str]] = []

    def __call__(self, environ, start_response):
        scope = re.search(r"Credential=(\w+)/\d+/[\w-]+/([\w-]+)/", environ.get("HTTP_AUTHORIZATION", ""))
        account, service = (get_account_id_from(scope[1]), scope[2]) if scope else ("?", "?")
        fault = self.active.get((account, service))
        self.calls.append((account, service))
        if fault is None:
            return self.app(environ, start_response)
        if fault == "stall":
            deadline = time.monotonic() + 120
            while self.active.get((account, service)) == "stall" and time.monotonic() < deadline:
                time.sleep(0.1)
        Request(environ).get_data()
        return self.answer(service, fault)(environ, start_response)

    @staticmethod
    def answer(service: str, fault: str) -> Response:
        if fault == "garbage":
            return Response("this is not an answer <", status=200, content_type="text/plain")
        throttled = fault == "throttle"
        if service == "ec2-instance-connect":
            kind = "ThrottlingException" if throttled else "ServiceException"
            kind = "AccessDeniedException" if fault == "deny" else kind
            return refusal(Refused(kind, "a fault was switched on", 400 if throttled or fault == "deny" else 500))
        code = "RequestLimitExceeded" if throttled else "InternalError"
        code = "UnauthorizedOperation" if fault == "deny" else code
        body = f"<Response><Errors><Error><Code>{code}</Code><Message>a fault was switched on</Message></Error></Errors><RequestID>{uuid.uuid4()}</RequestID></Response>"
        return Response(body, status=503 if throttled else 403 if fault == "deny" else 500, content_type="text/xml")


def refusal(e: Refused) -> Response:
    body = json.dumps({"__type": e.kind, "message": str(e)})
    return Response(body, status=e.status, content_type="application/x-amz-json-1.1")


class AwsLab:
    """The server, and what the tests ask of it."""

    REGION = "eu-west-1"

    def __init__(self, keys: Path):
        self.connect = InstanceConnect(keys)
        connect = self.connect
        logging.getLogger("werkzeug").setLevel(logging.ERROR)

        def send_ssh_public_key(response: BaseResponse):
            try:
                answer = connect.send(response.current_account, response.region, json.loads(response.body or "{}"))
            except Refused as e:
                return e.status, {"status": e.status}, json.dumps({"__type": e.kind, "message": str(e)})
            return json.dumps(answer)

        Ec2InstanceConnectResponse.send_ssh_public_key = send_ssh_public_key
        # moto's consoles all show the same old boot, without host keys.
        self.consoles: dict[str, str] = {}
        self.console_reads: list[str] = []
        consoles, reads, moto_s = self.consoles, self.console_reads, General.get_console_output

        def get_console_output(response: General):
            result = moto_s(response)
            instance = response._get_param("InstanceId")
            reads.append(instance)
            if instance in consoles:
                result.result["Output"] = base64.b64encode(consoles[instance].encode()).decode()
            return result

        General.get_console_output = get_console_output
        self.faults = Faults(DomainDispatcherApplication(create_backend_app))
        self.server = make_server("127.0.0.1", 0, self.faults, threaded=True, request_handler=MotoRequestHandler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.accounts: dict[str, tuple] = {}

    def _client(self, service: str, key, region: str):
        return boto3.client(service, region_name=region, endpoint_url=self.url,
                            aws_access_key_id=key.access_key_id, aws_secret_access_key=key.secret_access_key)

    def account(self, region: str | None = None) -> dict:
        """A fresh account with a VPC and a subnet, and credentials that see nothing else."""
        region = region or self.REGION
        number = f"{100000000001 + len(self.accounts)}"
        iam = iam_backends[number]["aws"]
        iam.create_user(region_name=region, user_name="drawbridge")
        key = iam.create_access_key("drawbridge")
        ec2 = self._client("ec2", key, region)
        vpc = ec2.create_vpc(CidrBlock="127.0.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="127.0.0.0/16", AvailabilityZone=f"{region}a")["Subnet"]["SubnetId"]
        images = ec2.describe_images(Owners=["amazon"])["Images"]
        image = next(i["ImageId"] for i in images if i.get("Platform") != "windows" and "ubuntu" not in i["Name"].lower())
        self.accounts[number] = (key, region, subnet, image)
        return {"account": number, "region": region, "vpc": vpc, "subnet": subnet, "image": image,
                "access_key_id": key.access_key_id, "secret_access_key": key.secret_access_key}

    def instance(self, account: str, ip: str, tags: dict[str, str], state: str = "running") -> dict:
        key, region, subnet, image = self.accounts[account]
        ec2 = self._client("ec2", key, region)
        if not ip.startswith("127."):  # an address of a namespace: see lab.py
            block = ip.rsplit(".", 1)[0] + ".0/24"
            vpc = ec2.create_vpc(CidrBlock=block)["Vpc"]["VpcId"]
            subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=block, AvailabilityZone=f"{region}a")["Subnet"]["SubnetId"]
        backend = ec2_backends[account][region]
        if not any(i.private_ip == ip and i.state != "terminated" for i in backend.all_instances()):
            backend.get_subnet(subnet).del_subnet_ip(ip)  # moto keeps the addresses of the dead; EC2 does not
        tag_list = [{"Key": k, "Value": v} for k, v in tags.items()]
        made = ec2.run_instances(
            ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1, SubnetId=subnet, PrivateIpAddress=ip,
            TagSpecifications=[{"ResourceType": "instance", "Tags": tag_list}] if tag_list else [])["Instances"][0]
        if state != "running":
            ec2.stop_instances(InstanceIds=[made["InstanceId"]])
        return {"id": made["InstanceId"], "ip": made["PrivateIpAddress"], "dns": made["PrivateDnsName"]}

    def network(self, account: str) -> dict:
        """A bastion and targets in VPCs that are joined in several ways: see network_world.py."""
        key, region, _, image = self.accounts[account]
        return network_world.build(self._client("ec2", key, region), region, image)

    def set_state(self, account: str, instance: str, state: str) -> None:
        key, region, _, _ = self.accounts[account]
        ec2 = self._client("ec2", key, region)
        call = {"running": ec2.start_instances, "stopped": ec2.stop_instances, "terminated": ec2.terminate_instances}[state]
        call(InstanceIds=[instance])

    def console(self, instance: str, text: str) -> None:
        """What stands on that instance's console from here on."""
        self.consoles[instance] = text

    def reads_of_console(self, instance: str) -> int:
        """How often that instance's console was asked for."""
        return self.console_reads.count(instance)

    def tag(self, account: str, instance: str, tags: dict[str, str]) -> None:
        """Sets tags of an instance; others stay as they are."""
        key, region, _, _ = self.accounts[account]
        tag_list = [{"Key": k, "Value": v} for k, v in tags.items()]
        self._client("ec2", key, region).create_tags(Resources=[instance], Tags=tag_list)

    def role(self, account: str, name: str = "bastion-target") -> dict:
        """A role of that account which the other accounts may assume."""
        key, region, _, _ = self.accounts[account]
        trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
        made = self._client("iam", key, region).create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
        return {"arn": made["Role"]["Arn"]}

    def calls(self, account: str) -> dict[str, int]:
        """How often each service was called with that account's credentials."""
        return dict(Counter(service for number, service in list(self.faults.calls) if number == account))

    def fault(self, account: str, service: str, mode: str | None) -> None:
        if mode:
            self.faults.active[account, service] = mode
        else:
            self.faults.active.pop((account, service), None)

    def pushes(self, account: str) -> list[dict]:
        ids = {i.id for region in ec2_backends[account].values() for i in region.all_instances()}
        return [p for p in list(self.connect.pushes) if p["instance"] in ids]
