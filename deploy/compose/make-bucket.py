"""Makes the bucket of the compose file's S3 server, which runs this at each start, once it answers."""

import os
import urllib.request

port, bucket = os.environ["GATEWAY_PORT"], os.environ["S3_BUCKET"]
with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/{bucket}", method="PUT"), timeout=60):
    pass  # also where the bucket is there already; anything else raises, and the server's log says so
