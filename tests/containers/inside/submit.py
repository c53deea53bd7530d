"""Runs in a container: enqueues the batches that standard input tells of, a line each, and says which batch each became."""

import json
import sys
import time

from complyq_producer import Producer

producer, pause = Producer.from_env(), float(sys.argv[1])
for line in sys.stdin:
    request = json.loads(line)
    ids = request["ids"]
    given = range(ids["first"], ids["first"] + ids["count"] * ids["step"], ids["step"])
    batch = producer.enqueue(given, request["type"], key=request["key"], labels={"request": request["id"]})
    sys.stdout.write(json.dumps({"request": request["id"], "batch": batch.id}) + "\n")
    sys.stdout.flush()
    time.sleep(pause)
