"""A stand-in of AWS for the tests: moto's server with a KMS key and a user who may encrypt and decrypt with it.

    aws.py FILE    writes what is needed to reach it to FILE, and serves until it is killed

Requests are held to their signatures and to the user's rights, as at AWS.
"""

import json
import os
import sys
import threading

SETUP = 6  # requests below, which come before there is a user
os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = str(SETUP)

import boto3  # noqa: E402
from moto.server import ThreadedMotoServer  # noqa: E402

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
endpoint = f"http://{host}:{port}"
access = dict(region_name="eu-central-1", endpoint_url=endpoint,
              aws_access_key_id="none", aws_secret_access_key="none")
kms, iam = boto3.client("kms", **access), boto3.client("iam", **access)
key, other = (kms.create_key()["KeyMetadata"]["KeyId"] for _ in range(2))
kms.create_alias(AliasName="alias/app", TargetKeyId=key)
iam.create_user(UserName="pgseal")
statement = {"Effect": "Allow", "Action": ["kms:Encrypt", "kms:Decrypt"], "Resource": "*"}
iam.put_user_policy(UserName="pgseal", PolicyName="kms",
                    PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
secret = iam.create_access_key(UserName="pgseal")["AccessKey"]
found = {"endpoint": endpoint, "other": other,
         "id": secret["AccessKeyId"], "secret": secret["SecretAccessKey"]}
with open(sys.argv[1] + ".tmp", "w") as file:
    json.dump(found, file)
os.rename(sys.argv[1] + ".tmp", sys.argv[1])
threading.Event().wait()
