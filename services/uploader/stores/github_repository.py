"""One repository of GitHub: what is in it, one file by the contents API, many to a commit as the server can."""

import asyncio
import base64
import random
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from services.uploader.stores.github_answers import (
    Committed,
    Conflict,
    Missing,
    Unsupported,
    base64_of,
    blob_sha,
    expect,
    json_of,
)
from services.uploader.stores.github_api import GitHubApi
from services.uploader.stores.github_commits import Commits
from shared.errors import Retry

CONFLICT_TRIES = 6
FILES_PER_COMMIT = 100  # GraphQL's mutation takes ~40 MB; more files time out at GitHub's end
FILES_PER_TREE = 20  # each costs a request of its own there


class Entry(msgspec.Struct, frozen=True):
    """A file as the tree lists it."""

    path: str
    bytes: int


class Repository:
    """`<owner>/<name>` and one branch of it."""

    def __init__(self, api: GitHubApi, owner: str, name: str, branch: str) -> None:
        self._api = api
        self._owner = owner
        self._branch = branch
        self._path = f"/repos/{owner}/{name}"
        self._slug = f"{owner}/{name}"
        self._commits = Commits(api, owner, name, branch)
        self._graphql: bool | None = None  # None: not known yet whether the server has it
        self.name = name

    async def size(self) -> int | None:
        """Return the bytes that GitHub says it has, None where there is no such repository."""
        answer = await self._api.read(self._path)
        return None if answer.status_code == HTTPStatus.NOT_FOUND else json_of(answer, 200)["size"] * 1024

    async def create(self) -> None:
        """Make the repository with a first commit; one that is there already is a success."""
        user = await self._api.read("/user")
        own = user.status_code != HTTPStatus.OK or user.json()["login"].lower() == self._owner.lower()
        place = "/user/repos" if own else f"/orgs/{self._owner}/repos"
        body = {"name": self.name, "private": False, "auto_init": True, "description": "Images of Halftone"}
        answer = await self._api.ask("POST", place, body, write=True)
        if answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY:  # the name exists
            return
        default = json_of(answer, 201).get("default_branch", self._branch)
        if default != self._branch:
            await self._commits.branch_off(default)

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
            except Conflict:
                await asyncio.sleep(random.uniform(0.05, 0.2) * 2**attempt)  # noqa: S311 - jitter
        raise Retry(f"GitHub {self._slug}: {self._branch} kept moving")

    async def blob(self, path: str) -> str | None:
        """Return the sha of the file's blob, None where there is no such file."""
        answer = await self._api.read(self._contents(path), {"ref": self._branch})
        return None if answer.status_code == HTTPStatus.NOT_FOUND else json_of(answer, 200)["sha"]

    async def content(self, path: str) -> bytes | None:
        """Return the file's bytes, None where there is no such file."""
        accept = "application/vnd.github.raw+json"
        answer = await self._api.read(self._contents(path), {"ref": self._branch}, accept=accept)
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        if "json" in answer.headers.get("content-type", "") and "vnd.github.raw" not in answer.headers["content-type"]:
            return base64.b64decode(json_of(answer, 200)["content"])
        expect(answer, 200)
        return answer.content

    async def commit_of(self, path: str) -> str:
        """Return the commit that brought the file. Raises `Retry` where the server does not know."""
        answer = await self._api.read(f"{self._path}/commits", {"path": path, "sha": self._branch, "per_page": "1"})
        expect(answer, 200)
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
        listing = json_of(answer, 200)
        if not listing.get("truncated"):
            for entry in listing["tree"]:
                if entry["type"] == "blob":
                    yield Entry(below + entry["path"], entry["size"])
            return
        for entry in json_of(await self._api.read(f"{self._path}/git/trees/{tree}"), 200)["tree"]:
            if entry["type"] == "tree":
                async for deeper in self._walk(entry["sha"], f"{below}{entry['path']}/"):
                    yield deeper

    async def _put(self, files: Mapping[str, bytes]) -> Committed:
        if len(files) > 1:
            try:
                if await self.files_per_commit() == FILES_PER_COMMIT:
                    return await self._commits.by_graphql(files)
                return await self._commits.by_git_data(files)
            except Unsupported:
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
        body = {"message": f"Add {path}", "content": base64_of(data), "branch": self._branch}
        if replaced:
            body["sha"] = replaced
        answer = await self._api.ask(method, self._contents(path), body, write=True)
        if answer.status_code == HTTPStatus.NOT_FOUND:
            raise Missing(f"GitHub {self._slug}: no such repository or branch {self._branch}")
        if answer.status_code == HTTPStatus.CONFLICT:
            raise Conflict
        if answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY:
            return await self._put_over(path, data, replaced, method)
        expect(answer, 200, 201)
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

    def _contents(self, path: str) -> str:
        return f"{self._path}/contents/{path}"
