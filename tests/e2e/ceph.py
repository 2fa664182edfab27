# SPDX-License-Identifier: Apache-2.0
"""A Ceph cluster of one monitor and one OSD that keeps everything in memory, with the RADOS Gateway
in front of it: a real S3 server that is there within a second or two."""

import datetime
import hashlib
import hmac
import http.client
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse
import uuid

PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "ceph", "monmaptool")
ACCESS_KEY, SECRET = "access-of-the-test", "secret-of-the-test"

CONFIGURATION = """\
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{mon}/0]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
ms mon service mode = crc
ms mon cluster mode = crc
run dir = {folder}
admin socket = {folder}/$name.asok
log file = {folder}/$name.log
crash dir = {folder}
pid file =
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail crit = 1
mon data avail warn = 1
mon max pg per osd = 1000
paxos propose interval = 0.01
paxos min wait = 0.005
[mon]
mon data = {folder}/mon
mon cluster log file = {folder}/cluster.log
[osd]
osd data = {folder}/osd
osd objectstore = memstore
osd crush update on start = true
memstore device bytes = 1073741824
[client.rgw.a]
rgw data = {folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:{port}
rgw thread pool size = 8
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Ceph:
    def __init__(self, folder: pathlib.Path):
        missing = [name for name in PROGRAMS if shutil.which(name) is None]
        assert not missing, f"scripts/setup test installs {', '.join(missing)}"
        self.folder, self.processes = folder, []
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        fsid, self.configuration = str(uuid.uuid4()), folder / "ceph.conf"
        for name in ("mon", "osd", "rgw"):
            (folder / name).mkdir()
        mon = free_port()
        self.configuration.write_text(CONFIGURATION.format(fsid=fsid, mon=mon, folder=folder, port=self.port))
        try:
            self.start(fsid, mon)
        except BaseException:
            self.close()
            raise

    def run(self, *command):
        return subprocess.run([*command, "-c", str(self.configuration)], check=True, capture_output=True, text=True, timeout=30).stdout

    def spawn(self, *command):
        log = open(self.folder / f"{command[0]}.out", "wb")
        self.processes.append(subprocess.Popen([*command, "-c", str(self.configuration)], stdout=log, stderr=log, start_new_session=True))
        log.close()

    def wait(self, what, ready):
        end = time.monotonic() + 60
        while not ready():
            assert time.monotonic() < end, f"{what} is not ready after a minute; see {self.folder}"
            assert all(p.poll() is None for p in self.processes), f"a process of the cluster ended; see {self.folder}"
            time.sleep(0.05)

    def start(self, fsid, mon):
        monmap = str(self.folder / "monmap")
        subprocess.run(["monmaptool", "--create", "--clobber", "--fsid", fsid, "--set-min-mon-release", "pacific",
                        "--addv", "a", f"[v2:127.0.0.1:{mon}/0]", monmap], check=True, capture_output=True)
        self.run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap)
        self.spawn("ceph-mon", "-f", "-i", "a")
        self.wait("the monitor", lambda: self.ask("-s") is not None)
        osd = str(uuid.uuid4())
        self.run("ceph", "osd", "new", osd)
        self.run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self.spawn("ceph-osd", "-f", "-i", "0")
        self.wait("the OSD", lambda: "1 up" in (self.ask("osd", "stat") or ""))
        self.spawn("radosgw", "-f", "-n", "client.rgw.a")
        self.wait("the gateway", self.answers)
        self.run("radosgw-admin", "user", "create", "--uid=t", "--display-name=t", f"--access-key={ACCESS_KEY}", f"--secret-key={SECRET}")

    def ask(self, *words):
        done = subprocess.run(["ceph", "-c", str(self.configuration), "--connect-timeout", "5", *words], capture_output=True, text=True)
        return done.stdout if done.returncode == 0 else None

    def answers(self):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            connection.request("GET", "/")
            connection.getresponse().read()
            return True
        except OSError:
            return False

    def put(self, bucket, key=None, body=b""):
        """Makes the bucket or, with a key, the object (AWS Signature Version 4)."""
        path = urllib.parse.quote(f"/{bucket}" + (f"/{key}" if key is not None else ""))
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        digest = hashlib.sha256(body).hexdigest()
        headers = {"host": f"127.0.0.1:{self.port}", "x-amz-content-sha256": digest, "x-amz-date": now}
        names = ";".join(headers)
        request = "\n".join(["PUT", path, "", *(f"{n}:{v}" for n, v in headers.items()), "", names, digest])
        scope = f"{now[:8]}/us-east-1/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(request.encode()).hexdigest()])
        secret = f"AWS4{SECRET}".encode()
        for part in scope.split("/"):
            secret = hmac.new(secret, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
        headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={names}, Signature={signature}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("PUT", path, body, headers)
        answer = connection.getresponse()
        assert answer.status == 200, (answer.status, answer.read())
        connection.close()

    # What is in memory only may as well be killed.
    def close(self):
        for process in self.processes:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
