"""Make the store's buckets, unless they are there: `mlflow` for artifacts, `dvc` for data."""

import os
import time

import boto3
from botocore.exceptions import BotoCoreError, ClientError

BUCKETS = ("mlflow", "dvc")
TRIES, PAUSE = 60, 2.0  # the store may still be starting


def make(names: tuple[str, ...] = BUCKETS) -> list[str]:
    """Return the buckets that were made now."""
    store = boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"])
    there = {bucket["Name"] for bucket in store.list_buckets()["Buckets"]}
    missing = [name for name in names if name not in there]
    for name in missing:
        store.create_bucket(Bucket=name)
    return missing


if __name__ == "__main__":
    for tried in range(1, TRIES + 1):
        try:
            print(f"made: {', '.join(make()) or 'nothing, all were there'}")
            break
        except (BotoCoreError, ClientError):
            if tried == TRIES:
                raise
            time.sleep(PAUSE)
