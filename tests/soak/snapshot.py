"""Copies what stands in S3 into a folder, past all faults and without the code under test."""

from contextlib import closing
from pathlib import Path

import boto3

from support.s3_server import S3Server


def snapshot_s3(s3: S3Server, prefix: str, folder: Path) -> None:
    """Write each object under the prefix to a file named by its key."""
    session = boto3.session.Session(
        aws_access_key_id=s3.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=s3.environment["AWS_SECRET_ACCESS_KEY"],
        region_name=s3.environment["AWS_REGION"],
    )
    with closing(session.client("s3", endpoint_url=s3.endpoint)) as client:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=s3.bucket, Prefix=f"{prefix}/")
        for key in [entry["Key"] for page in pages for entry in page.get("Contents", [])]:
            target = folder / key.removeprefix(f"{prefix}/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(client.get_object(Bucket=s3.bucket, Key=key)["Body"].read())
