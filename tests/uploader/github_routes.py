"""What the tests' GitHub answers to each request that it knows, by GitHub's documentation."""

import base64
import binascii
import re
import time
from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from tests.uploader.github_accounts import HOUR, Account, Answer, Fault, Rates
from tests.uploader.github_git import GitRepository, Stale

Json = dict[str, Any]


class GitHub:
    """All accounts and repositories."""

    def __init__(self, tokens: dict[str, str], rates: Rates) -> None:
        self.accounts = {token: Account(login) for token, login in tokens.items()}
        self.rates = rates
        self.graphql = True
        self.like_gitea = False  # files are created by POST, git's own objects cannot be written
        self.default_branch = "main"
        self.cdn_lag = 0.0  # seconds until a commit is on the CDN
        self.moving_seconds = 0.0  # how long a branch takes to move; who writes meanwhile gets 409
        self.repositories: dict[str, GitRepository] = {}
        self.faults: list[Fault] = []
        self.conflicts = 0
        self.max_tree = 100_000  # entries that a recursive listing holds
        self._lock = Lock()

    def account(self, login: str) -> Account:
        """Return the account of this login."""
        return next(account for account in self.accounts.values() if account.login == login)

    def fault(self, method: str, path: str, owner: str) -> Fault | None:
        """Take the next fault that is meant for this request."""
        with self._lock:
            for fault in self.faults:
                if fault.times and fault.owner in ("", owner) and re.search(fault.match, f"{method} {path}"):
                    fault.times -= 1
                    return fault
        return None

    def answer(self, method: str, path: str, query: dict[str, str], body: Json, token: str) -> Answer:
        """Answer a request to the API."""
        account = self.accounts.get(token)
        if account is None:
            return Answer(401, {"message": "Bad credentials"})
        refusal = account.over(self.rates, method, path)
        if refusal:
            return refusal
        return route(self, account, f"{method} {path}", query, body)

    def rate_headers(self, token: str) -> dict[str, str]:
        """Return what GitHub says about the rate with every answer."""
        account = self.accounts.get(token)
        if account is None:
            return {}
        left = self.rates.requests_per_hour - len(account.requests)
        return {
            "x-ratelimit-limit": str(self.rates.requests_per_hour),
            "x-ratelimit-remaining": str(max(0, left)),
            "x-ratelimit-reset": str(int(time.time()) + HOUR),
        }

    @contextmanager
    def moving(self, repository: GitRepository) -> Generator[None]:
        """Hold the branch while it moves; raises `Stale` for who comes in between."""
        if not repository.lock.acquire(blocking=False):
            self.conflicts += 1
            raise Stale
        try:
            time.sleep(self.moving_seconds)
            yield
        finally:
            repository.lock.release()


# ── repositories ──────────────────────────────────────────────────────────────────────────────────────────


def get_user(_github: GitHub, account: Account, **_: Any) -> Answer:
    return Answer(200, {"login": account.login, "type": "User"})


def get_repository(github: GitHub, _account: Account, slug: str, **_: Any) -> Answer:
    repository = github.repositories.get(slug)
    if repository is None:
        return Answer(404, {"message": "Not Found"})
    kilobytes = sum(map(len, repository.blobs.values())) // 1024
    return Answer(200, {"full_name": slug, "size": kilobytes, "default_branch": repository.default_branch})


def create_repository(github: GitHub, account: Account, *, body: Json, **_: Any) -> Answer:
    slug = f"{account.login}/{body['name']}"
    if slug in github.repositories:
        return Answer(422, {"message": "Repository creation failed.", "errors": [{"message": "name already exists"}]})
    github.repositories[slug] = GitRepository(github.default_branch, empty=not body.get("auto_init"))
    return Answer(201, {"full_name": slug, "default_branch": github.default_branch})


# ── contents ──────────────────────────────────────────────────────────────────────────────────────────────


def get_contents(github: GitHub, _account: Account, slug: str, path: str, *, query: dict[str, str], **_: Any) -> Answer:
    repository = github.repositories.get(slug)
    blob = repository and repository.files(query.get("ref", repository.default_branch)).get(path)
    if not repository or not blob:
        return Answer(404, {"message": "Not Found"})
    if "raw" in query["accept"]:
        return Answer(200, repository.blobs[blob])
    content = base64.encodebytes(repository.blobs[blob]).decode()
    return Answer(200, {"type": "file", "path": path, "sha": blob, "encoding": "base64", "content": content})


def post_contents(github: GitHub, account: Account, slug: str, path: str, *, body: Json, **_: Any) -> Answer:
    """Create a file as Gitea has it."""
    if not github.like_gitea:
        return Answer(404, {"message": "Not Found"})
    return write_contents(github, account, slug, path, body)


def put_contents(github: GitHub, account: Account, slug: str, path: str, *, body: Json, **_: Any) -> Answer:
    if github.like_gitea and "sha" not in body:
        return Answer(422, {"message": "[SHA]: Required"})
    return write_contents(github, account, slug, path, body)


def write_contents(github: GitHub, account: Account, slug: str, path: str, body: Json) -> Answer:
    repository = github.repositories.get(slug)
    branch = body.get("branch", "main")
    known = repository and (branch in repository.branches or not repository.branches)
    if not repository or not known or not slug.startswith(f"{account.login}/"):
        return Answer(404, {"message": f"Branch {branch} not found"})
    try:
        data = base64.b64decode(body["content"], validate=True)
        with github.moving(repository):
            return put_file(repository, branch, path, data, body.get("sha"))
    except binascii.Error:
        return Answer(422, {"message": "content is not valid Base64"})
    except Stale:
        return Answer(409, {"message": "is at a different commit"})


def put_file(repository: GitRepository, branch: str, path: str, data: bytes, sha: str | None) -> Answer:
    there = repository.files(branch).get(path)
    if there and not sha:
        return Answer(422, {"message": 'Invalid request.\n\n"sha" wasn\'t supplied.'})
    if there != sha:
        return Answer(409, {"message": f"{path} does not match {sha}"})
    blob = repository.add_blob(data)
    commit = repository.change(branch, {path: blob})
    return Answer(200 if there else 201, {"content": {"path": path, "sha": blob}, "commit": {"sha": commit}})


def delete_contents(github: GitHub, _account: Account, slug: str, path: str, *, body: Json, **_: Any) -> Answer:
    repository = github.repositories[slug]
    there = repository.files(body["branch"]).get(path)
    if there is None:
        return Answer(404, {"message": "Not Found"})
    if there != body["sha"]:
        return Answer(409, {"message": "sha does not match"})
    commit = repository.change(body["branch"], {path: None})
    return Answer(200, {"content": None, "commit": {"sha": commit}})


def get_commits(github: GitHub, _account: Account, slug: str, *, query: dict[str, str], **_: Any) -> Answer:
    commit = github.repositories[slug].brought.get(query["path"])
    return Answer(200, [{"sha": commit}] if commit else [])


# ── git data ──────────────────────────────────────────────────────────────────────────────────────────────


def git_data(handle: Callable[..., Answer]) -> Callable[..., Answer]:
    """Answer 404 where there is no such repository, 409 where it is empty."""

    def guarded(github: GitHub, _account: Account, slug: str, *rest: str, query: dict[str, str], body: Json) -> Answer:
        repository = github.repositories.get(slug)
        if repository is None:
            return Answer(404, {"message": "Not Found"})
        if not repository.branches:
            return Answer(409, {"message": "Git Repository is empty."})
        return handle(github, repository, *rest, query=query, body=body)

    return guarded


@git_data
def get_ref(_github: GitHub, repository: GitRepository, branch: str, **_: Any) -> Answer:
    head = repository.branches.get(branch)
    if head is None:
        return Answer(404, {"message": "Not Found"})
    return Answer(200, {"ref": f"refs/heads/{branch}", "object": {"sha": head, "type": "commit"}})


@git_data
def get_commit(_github: GitHub, repository: GitRepository, sha: str, **_: Any) -> Answer:
    return Answer(200, {"sha": sha, "tree": {"sha": repository.commits[sha][0]}})


@git_data
def get_tree(github: GitHub, repository: GitRepository, ref: str, *, query: dict[str, str], **_: Any) -> Answer:
    files = repository.files(ref)
    if not files:
        return Answer(404, {"message": "Not Found"})
    if "recursive" in query:
        tree = [
            {"path": path, "type": "blob", "sha": blob, "size": len(repository.blobs[blob])}
            for path, blob in files.items()
        ]
        return Answer(200, {"tree": tree[: github.max_tree], "truncated": len(tree) > github.max_tree})
    below: dict[str, dict[str, str]] = defaultdict(dict)
    for path, blob in files.items():
        parts = path.split("/", 1)
        below[parts[0]]["".join(parts[1:])] = blob
    folders = [(top, deeper) for top, deeper in below.items() if "" not in deeper]
    subtrees = [{"path": top, "type": "tree", "sha": repository.add_tree(deeper)} for top, deeper in folders]
    return Answer(200, {"tree": subtrees, "truncated": False})


@git_data
def post_blob(_github: GitHub, repository: GitRepository, *, body: Json, **_: Any) -> Answer:
    if body["encoding"] != "base64":
        return Answer(422, {"message": "images are not UTF-8"})
    return Answer(201, {"sha": repository.add_blob(base64.b64decode(body["content"]))})


@git_data
def post_tree(_github: GitHub, repository: GitRepository, *, body: Json, **_: Any) -> Answer:
    added = {entry["path"]: entry["sha"] for entry in body["tree"]}
    if any(sha not in repository.blobs for sha in added.values()):
        return Answer(422, {"message": "tree.sha does not exist"})
    return Answer(201, {"sha": repository.add_tree(repository.files(body["base_tree"]) | added)})


@git_data
def post_commit(_github: GitHub, repository: GitRepository, *, body: Json, **_: Any) -> Answer:
    return Answer(201, {"sha": repository.add_commit(body["tree"], body["parents"][0])})


@git_data
def post_ref(_github: GitHub, repository: GitRepository, *, body: Json, **_: Any) -> Answer:
    repository.branches[body["ref"].removeprefix("refs/heads/")] = body["sha"]
    return Answer(201, {"ref": body["ref"]})


@git_data
def patch_ref(github: GitHub, repository: GitRepository, branch: str, *, body: Json, **_: Any) -> Answer:
    try:
        with github.moving(repository):
            repository.move(branch, body["sha"], repository.branches[branch])
    except Stale:
        return Answer(422, {"message": "Update is not a fast forward"})
    return Answer(200, {"object": {"sha": body["sha"]}})


# ── GraphQL: just enough of its language for what is asked of it ──────────────────────────────────────────


def post_graphql(github: GitHub, account: Account, *, body: Json, **_: Any) -> Answer:
    if not github.graphql:
        return Answer(404, {"message": "Not Found"})
    query, variables = body["query"], body["variables"]
    if "createCommitOnBranch" in query:
        account.wrote()
        return account.over_writes(github.rates) or commit_on_branch(github, account, variables["input"])
    if "viewer" in query:
        return Answer(200, {"data": {"viewer": {"login": account.login}}})
    repository = github.repositories.get(f"{variables['owner']}/{variables['name']}")
    if repository is None:
        return _error("NOT_FOUND")
    head = repository.branches.get(variables["ref"].removeprefix("refs/heads/"))
    found: Json = {"ref": {"target": {"oid": head}} if head else None}
    for alias, variable in re.findall(r"(\w+): object\(expression: \$(\w+)\)", query):
        ref, _, path = variables[variable].partition(":")
        blob = repository.files(ref).get(path)
        found[alias] = {"oid": blob} if blob else None
    return Answer(200, {"data": {"repository": found}})


def commit_on_branch(github: GitHub, account: Account, change: Json) -> Answer:
    slug, branch = change["branch"]["repositoryNameWithOwner"], change["branch"]["branchName"]
    repository = github.repositories.get(slug)
    if repository is None or not slug.startswith(f"{account.login}/"):
        return _error("NOT_FOUND")
    try:
        with github.moving(repository):
            repository.expect(branch, change["expectedHeadOid"])
            additions = change["fileChanges"]["additions"]
            files = {file["path"]: repository.add_blob(base64.b64decode(file["contents"])) for file in additions}
            commit = repository.change(branch, dict(files))
    except Stale:
        return _error("STALE_DATA")
    return Answer(200, {"data": {"createCommitOnBranch": {"commit": {"oid": commit}}}})


def _error(kind: str) -> Answer:
    return Answer(200, {"data": None, "errors": [{"type": kind, "message": kind.lower()}]})


REPOSITORY = r"/repos/([\w-]+/[\w-]+)"
ROUTES: list[tuple[str, Callable[..., Answer]]] = [
    (r"GET /user", get_user),
    (r"POST /user/repos", create_repository),
    (rf"GET {REPOSITORY}", get_repository),
    (rf"GET {REPOSITORY}/contents/(.+)", get_contents),
    (rf"PUT {REPOSITORY}/contents/(.+)", put_contents),
    (rf"POST {REPOSITORY}/contents/(.+)", post_contents),
    (rf"DELETE {REPOSITORY}/contents/(.+)", delete_contents),
    (rf"GET {REPOSITORY}/commits", get_commits),
    (rf"GET {REPOSITORY}/git/ref/heads/(.+)", get_ref),
    (rf"GET {REPOSITORY}/git/commits/(\w+)", get_commit),
    (rf"GET {REPOSITORY}/git/trees/(.+)", get_tree),
    (rf"POST {REPOSITORY}/git/blobs", post_blob),
    (rf"POST {REPOSITORY}/git/trees", post_tree),
    (rf"POST {REPOSITORY}/git/commits", post_commit),
    (rf"POST {REPOSITORY}/git/refs", post_ref),
    (rf"PATCH {REPOSITORY}/git/refs/heads/(.+)", patch_ref),
    (r"POST /graphql", post_graphql),
]


def route(github: GitHub, account: Account, request: str, query: dict[str, str], body: Json) -> Answer:
    """Answer `METHOD path`."""
    for pattern, handle in ROUTES:
        match = re.fullmatch(pattern, request)
        if match and not (github.like_gitea and re.search("^(POST|PATCH) .*/git/", request)):
            return handle(github, account, *match.groups(), query=query, body=body)
    return Answer(404, {"message": "Not Found"})
