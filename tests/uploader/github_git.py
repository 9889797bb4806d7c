"""Git as a GitHub API server keeps it: blobs, trees, commits and branches of one repository, in memory."""

import hashlib
import json
import time
from collections import Counter
from threading import Lock

MAX_ENTRIES = 3_000  # per directory, as GitHub advises


class Stale(Exception):
    """The branch is not where the writer thought, or somebody else is moving it."""


class GitRepository:
    """Trees are kept flat: path → blob."""

    def __init__(self, branch: str = "main", *, empty: bool = False) -> None:
        self.default_branch = branch
        self.lock = Lock()
        self.blobs: dict[str, bytes] = {}
        self.trees: dict[str, dict[str, str]] = {}
        self.commits: dict[str, tuple[str, str | None]] = {}  # tree and parent
        self.branches: dict[str, str] = {}
        self.brought: dict[str, str] = {}  # path → the last commit that changed it
        self.times: dict[str, float] = {}  # of commits
        if not empty:
            readme = self.add_blob(b"# made by auto_init\n")
            self.move(branch, self.add_commit(self.add_tree({"README.md": readme}), None), None)

    def add_blob(self, data: bytes) -> str:
        """Keep the bytes; return git's name for them."""
        sha = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
        self.blobs[sha] = data
        return sha

    def add_tree(self, files: dict[str, str]) -> str:
        """Keep the tree; its name depends on its content alone."""
        sha = _named("tree", sorted(files.items()))
        self.trees[sha] = files
        return sha

    def add_commit(self, tree: str, parent: str | None) -> str:
        """Keep a commit; two of the same tree differ."""
        sha = _named("commit", [tree, parent, len(self.commits)])
        self.commits[sha] = tree, parent
        self.times[sha] = time.time()
        return sha

    def move(self, branch: str, commit: str, expected: str | None) -> None:
        """Move the branch from `expected` on to a commit that descends from it."""
        head = self.branches.get(branch)
        if head == commit:
            return
        if head != expected or self.commits[commit][1] != head:
            raise Stale
        before, after = self.files(branch), self.trees[self.commits[commit][0]]
        self.brought |= {path: commit for path, blob in after.items() if before.get(path) != blob}
        self.branches[branch] = commit

    def expect(self, branch: str, head: str) -> None:
        """Raise `Stale` where the branch is elsewhere."""
        if self.branches.get(branch) != head:
            raise Stale

    def files(self, ref: str) -> dict[str, str]:
        """Return path → blob of a branch, commit or tree."""
        if ref in self.trees:
            return self.trees[ref]
        commit = self.branches.get(ref, ref)
        return self.trees[self.commits[commit][0]] if commit in self.commits else {}

    def change(self, branch: str, files: dict[str, str | None]) -> str:
        """Commit these files (None: removed) on top of the branch; return the commit."""
        tree = {path: blob for path, blob in (self.files(branch) | files).items() if blob is not None}
        head = self.branches.get(branch)
        commit = self.add_commit(self.add_tree(tree), head)
        self.move(branch, commit, head)
        return commit

    def crowded(self, branch: str) -> list[str]:
        """Return the directories that have more entries than GitHub advises."""
        entries: set[tuple[str, str]] = set()
        for path in self.files(branch):
            parts = path.split("/")
            entries |= {("/".join(parts[:depth]), parts[depth]) for depth in range(len(parts))}
        counted = Counter(directory for directory, _ in entries)
        return [directory for directory, count in counted.items() if count > MAX_ENTRIES]


def _named(kind: str, content: object) -> str:
    return hashlib.sha1(f"{kind} {json.dumps(content)}".encode(), usedforsecurity=False).hexdigest()
