"""One repository of GitHub: one file by the contents API, many to a commit by GraphQL or by git's own objects."""

import asyncio
import base64
import hashlib
import random
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Any

import httpx
import msgspec

from services.uploader.stores.github_api import GitHubApi
from services.uploader.stores.store import RateLimited
from shared.errors import Retry

CONFLICT_TRIES = 6
FILES_PER_COMMIT = 100  # GraphQL's mutation takes ~40 MB; more files time out at GitHub's end
FILES_PER_TREE = 20  # each costs a request of its own there
UNSUPPORTED = (404, 405, 410, 501)

_COMMIT = "mutation($input: CreateCommitOnBranchInput!) { createCommitOnBranch(input: $input) { commit { oid } } }"


class Committed(msgspec.Struct, frozen=True):
    """Files that are on the branch."""

    commit: str  # a commit that has them
    created: frozenset[str]  # the paths that were not there before


class Entry(msgspec.Struct, frozen=True):
    """A file as the tree lists it."""

    path: str
    bytes: int


class Missing(Retry):
    """The repository or its branch is not there."""


class _Conflict(Exception):
    """The branch moved under us: look again."""


class _Unsupported(Exception):
    """This server does not have that API."""


class Repository:
    """`<owner>/<name>` and one branch of it."""

    def __init__(self, api: GitHubApi, owner: str, name: str, branch: str) -> None:
        self._api = api
        self._owner = owner
        self._branch = branch
        self._path = f"/repos/{owner}/{name}"
        self._slug = f"{owner}/{name}"
        self._graphql: bool | None = None  # None: not known yet whether the server has it
        self.name = name

    async def size(self) -> int | None:
        """Return the bytes that GitHub says it has, None where there is no such repository."""
        answer = await self._api.read(self._path)
        return None if answer.status_code == HTTPStatus.NOT_FOUND else _json(answer, 200)["size"] * 1024

    async def create(self) -> None:
        """Make the repository with a first commit; one that is there already is a success."""
        user = await self._api.read("/user")
        own = user.status_code != HTTPStatus.OK or user.json()["login"].lower() == self._owner.lower()
        place = "/user/repos" if own else f"/orgs/{self._owner}/repos"
        body = {"name": self.name, "private": False, "auto_init": True, "description": "Images of Halftone"}
        answer = await self._api.ask("POST", place, body, write=True)
        if answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY:  # the name exists
            return
        default = _json(answer, 201).get("default_branch", self._branch)
        if default != self._branch:
            await self._branch_off(default)

    async def files_per_commit(self) -> int:
        """Return how many files one commit should have on this server."""
        if self._graphql is None:
            answer = await self._api.graphql("{ viewer { login } }", {}, write=False)
            self._graphql = answer.status_code == HTTPStatus.OK
        return FILES_PER_COMMIT if self._graphql else FILES_PER_TREE

    async def put(self, files: Mapping[str, bytes]) -> Committed:
        """Put the files on the branch; those that are there are left alone.

        Raises:
            Missing: There is no such repository or branch.
            Retry: The branch kept moving, or see `GitHubApi.ask`.
        """
        for attempt in range(CONFLICT_TRIES):
            try:
                return await self._put(files)
            except _Conflict:
                await asyncio.sleep(random.uniform(0.05, 0.2) * 2**attempt)  # noqa: S311 - jitter
        raise Retry(f"GitHub {self._slug}: {self._branch} kept moving")

    async def blob(self, path: str) -> str | None:
        """Return the sha of the file's blob, None where there is no such file."""
        answer = await self._api.read(self._contents(path), {"ref": self._branch})
        return None if answer.status_code == HTTPStatus.NOT_FOUND else _json(answer, 200)["sha"]

    async def content(self, path: str) -> bytes | None:
        """Return the file's bytes, None where there is no such file."""
        accept = "application/vnd.github.raw+json"
        answer = await self._api.read(self._contents(path), {"ref": self._branch}, accept=accept)
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        if "json" in answer.headers.get("content-type", "") and "vnd.github.raw" not in answer.headers["content-type"]:
            return base64.b64decode(_json(answer, 200)["content"])
        _expect(answer, 200)
        return answer.content

    async def commit_of(self, path: str) -> str:
        """Return the commit that brought the file. Raises `Retry` where the server does not know."""
        answer = await self._api.read(f"{self._path}/commits", {"path": path, "sha": self._branch, "per_page": "1"})
        _expect(answer, 200)
        commits: list[dict[str, Any]] = answer.json()
        if not commits:
            raise Retry(f"GitHub {self._slug}: no commit has {path}")
        return commits[0]["sha"]

    async def delete(self, path: str) -> None:
        """Remove the file from the branch (its history keeps it); none there is a success."""
        for _ in range(CONFLICT_TRIES):
            sha = await self.blob(path)
            if sha is None:
                return
            body = {"message": f"Remove {path}", "sha": sha, "branch": self._branch}
            answer = await self._api.ask("DELETE", self._contents(path), body, write=True)
            if answer.status_code in (HTTPStatus.OK, HTTPStatus.NOT_FOUND):
                self._api.committed()
                return
        raise Retry(f"GitHub {self._slug}: {path} cannot be removed")

    async def files(self, tree: str = "") -> AsyncIterator[Entry]:
        """Yield every file of the branch."""
        async for entry in self._walk(tree or self._branch, ""):
            yield entry

    async def _walk(self, tree: str, below: str) -> AsyncIterator[Entry]:
        answer = await self._api.read(f"{self._path}/git/trees/{tree}", {"recursive": "1"})
        if answer.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
            return  # no repository, or an empty one
        listing = _json(answer, 200)
        if not listing.get("truncated"):
            for entry in listing["tree"]:
                if entry["type"] == "blob":
                    yield Entry(below + entry["path"], entry["size"])
            return
        for entry in _json(await self._api.read(f"{self._path}/git/trees/{tree}"), 200)["tree"]:
            if entry["type"] == "tree":
                async for deeper in self._walk(entry["sha"], f"{below}{entry['path']}/"):
                    yield deeper

    async def _put(self, files: Mapping[str, bytes]) -> Committed:
        if len(files) > 1:
            try:
                if await self.files_per_commit() == FILES_PER_COMMIT:
                    return await self._put_by_graphql(files)
                return await self._put_by_git_data(files)
            except _Unsupported:
                self._graphql = False
        return await self._put_one_by_one(files)

    # ── one file: the contents API ────────────────────────────────────────────────────────────────────────

    async def _put_one_by_one(self, files: Mapping[str, bytes]) -> Committed:
        commit, created = "", set[str]()
        for path, data in files.items():
            made = await self._put_file(path, data, None)
            commit = made or commit
            created |= {path} if made else set()
        return Committed(commit or await self.commit_of(next(iter(files))), frozenset(created))

    async def _put_file(self, path: str, data: bytes, replaced: str | None, method: str = "PUT") -> str | None:
        """Return the commit that brought the file, None where it was there."""
        body = {"message": f"Add {path}", "content": _base64(data), "branch": self._branch}
        if replaced:
            body["sha"] = replaced
        answer = await self._api.ask(method, self._contents(path), body, write=True)
        if answer.status_code == HTTPStatus.NOT_FOUND:
            raise Missing(f"GitHub {self._slug}: no such repository or branch {self._branch}")
        if answer.status_code == HTTPStatus.CONFLICT:
            raise _Conflict
        if answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY:
            return await self._put_over(path, data, replaced, method)
        _expect(answer, 200, 201)
        self._api.committed()
        return answer.json()["commit"]["sha"] if answer.status_code == HTTPStatus.CREATED else None

    async def _put_over(self, path: str, data: bytes, replaced: str | None, method: str) -> str | None:
        """Deal with a 422: the same bytes under the name are a success, others (a torn upload) are replaced."""
        there = await self.blob(path)
        if there == blob_sha(data):
            return None
        if there is None and method == "PUT":
            return await self._put_file(path, data, None, "POST")  # Gitea creates so
        if there is None or replaced:
            raise Retry(f"GitHub {self._slug}: {path} is refused (HTTP 422)")
        return await self._put_file(path, data, there)

    # ── many files in one request: GraphQL's createCommitOnBranch ─────────────────────────────────────────

    async def _put_by_graphql(self, files: Mapping[str, bytes]) -> Committed:
        head, there = await self._look(list(files))
        new = {path: data for path, data in files.items() if there.get(path) != blob_sha(data)}
        if not new:
            return Committed(head, frozenset())
        change = {
            "branch": {"repositoryNameWithOwner": self._slug, "branchName": self._branch},
            "message": {"headline": f"Add {len(new)} images"},
            "expectedHeadOid": head,
            "fileChanges": {"additions": [{"path": path, "contents": _base64(data)} for path, data in new.items()]},
        }
        done = await self._graphql_data(_COMMIT, {"input": change}, write=True)
        self._api.committed()
        return Committed(done["createCommitOnBranch"]["commit"]["oid"], frozenset(new.keys() - there.keys()))

    async def _look(self, paths: list[str]) -> tuple[str, dict[str, str]]:
        """Return the branch's head and the blobs of those paths that are there, in one request."""
        names = {f"f{number}": path for number, path in enumerate(paths)}
        declared = "".join(f", ${name}: String!" for name in names)
        asked = "".join(f" {name}: object(expression: ${name}) {{ oid }}" for name in names)
        query = (
            f"query($owner: String!, $name: String!, $ref: String!{declared}) "
            f"{{ repository(owner: $owner, name: $name) {{ ref(qualifiedName: $ref) {{ target {{ oid }} }}{asked} }} }}"
        )
        variables = {"owner": self._owner, "name": self.name, "ref": f"refs/heads/{self._branch}"}
        variables |= {name: f"{self._branch}:{path}" for name, path in names.items()}
        repository = (await self._graphql_data(query, variables, write=False))["repository"]
        if not repository["ref"]:
            raise _Unsupported  # an empty repository: its first commit is the contents API's
        there = {path: repository[name]["oid"] for name, path in names.items() if repository.get(name)}
        return repository["ref"]["target"]["oid"], there

    async def _graphql_data(self, query: str, variables: Mapping[str, Any], *, write: bool) -> dict[str, Any]:
        answer = await self._api.graphql(query, variables, write=write)
        if answer.status_code in UNSUPPORTED:
            raise _Unsupported
        body = _json(answer, 200)
        kinds = {error.get("type", "") for error in body.get("errors", ())}
        if "STALE_DATA" in kinds:
            raise _Conflict
        if "RATE_LIMITED" in kinds:
            raise RateLimited(f"GitHub {self._slug}: no GraphQL rate left")
        if "NOT_FOUND" in kinds:
            raise Missing(f"GitHub {self._slug}: no such repository or branch {self._branch}")
        if kinds:
            raise _Unsupported
        return body["data"]

    # ── many files in one commit: blobs, tree, commit, ref ────────────────────────────────────────────────

    async def _put_by_git_data(self, files: Mapping[str, bytes]) -> Committed:
        head = await self._head()
        base = _json(await self._api.read(f"{self._path}/git/commits/{head}"), 200)["tree"]["sha"]
        entries = [
            {"path": path, "mode": "100644", "type": "blob", "sha": await self._post_blob(data)}
            for path, data in files.items()
        ]
        tree = (await self._post("trees", {"base_tree": base, "tree": entries}))["sha"]
        if tree == base:
            return Committed(head, frozenset())
        message = f"Add {len(files)} images"
        commit = (await self._post("commits", {"message": message, "tree": tree, "parents": [head]}))["sha"]
        await self._move_branch(commit)
        return Committed(commit, frozenset(files))

    async def _head(self) -> str:
        answer = await self._api.read(f"{self._path}/git/ref/heads/{self._branch}")
        if answer.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
            raise _Unsupported  # no such API, or an empty repository: its first commit is the contents API's
        return _json(answer, 200)["object"]["sha"]

    async def _post_blob(self, data: bytes) -> str:
        return (await self._post("blobs", {"content": _base64(data), "encoding": "base64"}))["sha"]

    async def _post(self, kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
        answer = await self._api.ask("POST", f"{self._path}/git/{kind}", body, write=True)
        if answer.status_code in UNSUPPORTED:
            raise _Unsupported
        if answer.status_code == HTTPStatus.CONFLICT:
            raise _Conflict
        return _json(answer, 201)

    async def _move_branch(self, commit: str) -> None:
        path = f"{self._path}/git/refs/heads/{self._branch}"
        answer = await self._api.ask("PATCH", path, {"sha": commit, "force": False}, write=True)
        if answer.status_code in (HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY):
            raise _Conflict  # not a fast-forward: somebody else moved it
        _expect(answer, 200)
        self._api.committed()

    async def _branch_off(self, default: str) -> None:
        head = _json(await self._api.read(f"{self._path}/git/ref/heads/{default}"), 200)["object"]["sha"]
        await self._post("refs", {"ref": f"refs/heads/{self._branch}", "sha": head})

    def _contents(self, path: str) -> str:
        return f"{self._path}/contents/{path}"


def blob_sha(data: bytes) -> str:
    """Return the name that git gives to a blob of these bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _json(answer: httpx.Response, *expected: int) -> dict[str, Any]:
    _expect(answer, *expected)
    try:
        return answer.json()
    except ValueError:
        raise Retry(f"GitHub {answer.request.method} {answer.request.url.path}: the answer is no JSON") from None


def _expect(answer: httpx.Response, *expected: int) -> None:
    if answer.status_code not in expected:
        request = answer.request
        raise Retry(f"GitHub {request.method} {request.url.path}: HTTP {answer.status_code}")
