"""A stand-in for the Hugging Face hub on this machine: the few addresses that fetching and pushing one model need."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

TOKEN = "hf_allowed"


class Hub(ThreadingHTTPServer):
    """`repositories` is owner/name -> file -> bytes; `asked` lists the requests as `METHOD path`."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.claimed: dict[str, int] = {}
        self.gated: set[str] = set()
        self.stored: dict[str, bytes] = {}
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def sha(self, repository: str) -> str:
        digest = hashlib.sha1(repository.encode())
        for name, content in sorted(self.repositories[repository].items()):
            digest.update(name.encode() + content)
        return digest.hexdigest()

    def __enter__(self):
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Answer(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body=b"", **headers):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def missing(self, code):
        self.reply(404, {"error": code}, X_Error_Code=code, X_Error_Message=code)

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(self.path.partition("?")[0])
        self.server.asked.append(f"{self.command} {path}")
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            return self.describe(match[1], match[2])
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self.give(*match.groups())
        return self.missing("EntryNotFound")

    def describe(self, repository, revision):
        if repository in self.server.gated:
            return self.reply(403, {"error": "gated"}, X_Error_Code="GatedRepo", X_Error_Message="ask")
        if repository not in self.server.repositories:
            return self.missing("RepoNotFound")
        if revision not in (None, "main", "v1", self.server.sha(repository)):
            return self.missing("RevisionNotFound")
        files = self.server.repositories[repository]
        sizes = {name: self.server.claimed.get(name, len(content)) for name, content in files.items()}
        siblings = [{"rfilename": name, "size": size, "blobId": "0" * 40} for name, size in sizes.items()]
        return self.reply(200, {"id": repository, "sha": self.server.sha(repository), "siblings": siblings})

    def give(self, repository, revision, name):
        content = self.server.repositories.get(repository, {}).get(name)
        if content is None:
            return self.missing("EntryNotFound")
        headers = {"X_Repo_Commit": self.server.sha(repository), "ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            return self.reply(200, content, **headers)
        start, end = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
        headers["Content_Range"] = f"bytes {start}-{end}/{len(content)}"
        return self.reply(206, content[start : end + 1], **headers)

    def do_PUT(self):
        self.server.stored[self.path.rpartition("/")[2]] = self.read()
        self.reply(200)

    def do_POST(self):
        path, body = unquote(self.path.partition("?")[0]), self.read()
        self.server.asked.append(f"POST {path}")
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.reply(401, {"error": "Invalid username or password."})
        if path == "/api/repos/create":
            asked = json.loads(body)
            owner = asked.get("organization") or "someone"
            repository = f"{owner}/{asked['name'].rpartition('/')[2]}"
            known = repository in self.server.repositories
            self.server.repositories.setdefault(repository, {})
            return self.reply(409 if known else 200, {"url": f"{self.server.url}/{repository}", "name": repository})
        if path == "/api/validate-yaml":
            return self.reply(200, {"errors": [], "warnings": []})
        if "/preupload/" in path:
            files = json.loads(body)["files"]
            modes = ["lfs" if file["path"].endswith(".safetensors") else "regular" for file in files]
            told = [
                {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}
                for file, mode in zip(files, modes, strict=True)
            ]
            return self.reply(200, {"files": told})
        if path.endswith("/objects/batch"):
            wanted = [
                {**entry, "actions": {"upload": {"href": f"{self.server.url}/store/{entry['oid']}"}}}
                for entry in json.loads(body)["objects"]
            ]
            return self.reply(200, {"transfer": "basic", "objects": wanted})
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", path):
            return self.commit(match[1], body)
        return self.missing("EntryNotFound")

    def commit(self, repository, body):
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                self.server.repositories[repository][value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                self.server.repositories[repository][value["path"]] = self.server.stored[value["oid"]]
        sha = self.server.sha(repository)
        url = f"{self.server.url}/{repository}/commit/{sha}"
        self.reply(200, {"success": True, "commitOid": sha, "commitUrl": url})

    def read(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))
