"""A worker: takes builds one after the other, tells how far it is, and finishes them.

Start as many as you like: DAILIES_TOKEN=... python docs/worker.py http://127.0.0.1:8001 anna
"""

import json
import os
import sys
import time
from urllib.error import HTTPError
from urllib.request import Request, urlopen

SERVER, NAME = sys.argv[1], sys.argv[2]
TOKEN, PAUSE = os.environ["DAILIES_TOKEN"], float(os.environ.get("PAUSE_SECONDS", "1"))


def send(method, path, document):
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    request = Request(SERVER + path, json.dumps(document).encode(), headers, method=method)
    with urlopen(request, timeout=60) as answer:
        return json.load(answer)["rows"][0] if answer.status != 204 else None


def work_on(job):
    mine, address = {"lease": job["lease"]}, f"/api/builds/{job['job_id']}"
    for progress, step in ((20, "voice"), (60, "cut"), (90, "render")):
        send("POST", f"{address}/heartbeat", {**mine, "progress": progress, "current_step": step})
        time.sleep(PAUSE)  # here the real work is done
    video = {"video_id": f"video-{job['job_id']}", "title": job["run_id"], "privacy": "unlisted"}
    video["video_url"] = f"https://youtu.be/{video['video_id']}"
    send("PATCH", address, {**mine, "status": "completed", "output_file": "final.mp4"})
    send("POST", f"{address}/uploads", {**mine, **video})


while True:
    if not (job := send("POST", "/api/builds/claim", {"worker": NAME})):
        time.sleep(PAUSE)
        continue
    try:
        work_on(job)
    except HTTPError as refusal:  # 409: it was given to another, or cancelled; leave it alone
        print(NAME, job["job_id"], refusal.code, json.load(refusal)["error"], flush=True)
