"""Many files in one commit of GitHub: by one GraphQL request, or by git's own objects."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from services.uploader.stores.github_answers import (
    UNSUPPORTED,
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
from services.uploader.stores.store import RateLimited

_COMMIT = "mutation($input: CreateCommitOnBranchInput!) { createCommitOnBranch(input: $input) { commit { oid } } }"


class Commits:
    """Commits onto one branch of `<owner>/<name>`; raises `Conflict` where the branch moves meanwhile."""

    def __init__(self, api: GitHubApi, owner: str, name: str, branch: str) -> None:
        self._api = api
        self._owner = owner
        self._name = name
        self._branch = branch
        self._path = f"/repos/{owner}/{name}"
        self._slug = f"{owner}/{name}"

    # ── many files in one request: GraphQL's createCommitOnBranch ─────────────────────────────────────────

    async def by_graphql(self, files: Mapping[str, bytes]) -> Committed:
        """Commit those that are not there yet. Raises `Unsupported` where the server has no GraphQL."""
        head, there = await self._look(list(files))
        new = {path: data for path, data in files.items() if there.get(path) != blob_sha(data)}
        if not new:
            return Committed(head, frozenset())
        change = {
            "branch": {"repositoryNameWithOwner": self._slug, "branchName": self._branch},
            "message": {"headline": f"Add {len(new)} images"},
            "expectedHeadOid": head,
            "fileChanges": {"additions": [{"path": path, "contents": base64_of(data)} for path, data in new.items()]},
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
        variables = {"owner": self._owner, "name": self._name, "ref": f"refs/heads/{self._branch}"}
        variables |= {name: f"{self._branch}:{path}" for name, path in names.items()}
        repository = (await self._graphql_data(query, variables, write=False))["repository"]
        if not repository["ref"]:
            raise Unsupported  # an empty repository: its first commit is the contents API's
        there = {path: repository[name]["oid"] for name, path in names.items() if repository.get(name)}
        return repository["ref"]["target"]["oid"], there

    async def _graphql_data(self, query: str, variables: Mapping[str, Any], *, write: bool) -> dict[str, Any]:
        answer = await self._api.graphql(query, variables, write=write)
        if answer.status_code in UNSUPPORTED:
            raise Unsupported
        body = json_of(answer, 200)
        kinds = {error.get("type", "") for error in body.get("errors", ())}
        if "STALE_DATA" in kinds:
            raise Conflict
        if "RATE_LIMITED" in kinds:
            raise RateLimited(f"GitHub {self._slug}: no GraphQL rate left")
        if "NOT_FOUND" in kinds:
            raise Missing(f"GitHub {self._slug}: no such repository or branch {self._branch}")
        if kinds:
            raise Unsupported
        return body["data"]

    # ── many files in one commit: blobs, tree, commit, ref ────────────────────────────────────────────────

    async def by_git_data(self, files: Mapping[str, bytes]) -> Committed:
        """Commit all. Raises `Unsupported` where git's objects cannot be written."""
        head = await self._head()
        base = json_of(await self._api.read(f"{self._path}/git/commits/{head}"), 200)["tree"]["sha"]
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
            raise Unsupported  # no such API, or an empty repository: its first commit is the contents API's
        return json_of(answer, 200)["object"]["sha"]

    async def _post_blob(self, data: bytes) -> str:
        return (await self._post("blobs", {"content": base64_of(data), "encoding": "base64"}))["sha"]

    async def _post(self, kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
        answer = await self._api.ask("POST", f"{self._path}/git/{kind}", body, write=True)
        if answer.status_code in UNSUPPORTED:
            raise Unsupported
        if answer.status_code == HTTPStatus.CONFLICT:
            raise Conflict
        return json_of(answer, 201)

    async def _move_branch(self, commit: str) -> None:
        path = f"{self._path}/git/refs/heads/{self._branch}"
        answer = await self._api.ask("PATCH", path, {"sha": commit, "force": False}, write=True)
        if answer.status_code in (HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY):
            raise Conflict  # not a fast-forward: somebody else moved it
        expect(answer, 200)
        self._api.committed()

    async def branch_off(self, default: str) -> None:
        """Make the branch where the default one stands."""
        head = json_of(await self._api.read(f"{self._path}/git/ref/heads/{default}"), 200)["object"]["sha"]
        await self._post("refs", {"ref": f"refs/heads/{self._branch}", "sha": head})
