"""Nothing that an evaluation uses may be trained on: by project name, by file content, by near-duplicate functions."""

import re
from pathlib import Path

_DECORATION = re.compile(
    r"^(?:python3?-|ruby-|node-|nodejs-|php-|lua-|haskell-|golang-(?:github|gopkg|google|golang)-|golang-|librust-|lib|elixir-|scala-|rust-)"
    r"|(?:-dev|-java|-doc|-[0-9.]+|\.js|js)$"
)
# Parts of listed projects, forks and builds of them that go by other names.
_KIN = frozenset(
    re.findall(
        r"\S+",
        """
        activejob activemodel activerecord actionpack actionview actionmailer activesupport railties asyncclick
        axum-core axum-macros curl django expressjs guzzlehttp-guzzle httpx2 httpx illuminate jackson-databind
        kotlinx-coroutines-core libgoogle-gson google-gson gson libcurl libuv1 messagepack-csharp newtonsoft-json
        pydantic-core redis-server redux-toolkit rich-click serde-core serde-derive serde-derive-internals
        tokio-macros tokio-stream tokio-test tokio-util commons-lang3 libcommons-lang3 types-requests
        libcommons-lang libjackson2-databind fmtlib fmt nlohmann-json3 nlohmann-json pandoc pytest sympy
        laravel-framework monolog cobra spf13-cobra gin-gonic-gin gin go-chi-chi chi rack rails sinatra
        """,
    )
)


def listed_projects(never_train_on: Path) -> frozenset[str]:
    """Read names from the list of `owner/name` and `package:name` lines."""
    names: set[str] = set(_KIN)
    for line in never_train_on.read_text(encoding="utf-8").splitlines():
        if line.startswith("package:"):
            names.add(_plain(line.removeprefix("package:")))
        elif "/" in line:
            owner, name = line.strip().split("/", 1)
            names.update({_plain(name), f"{_plain(owner)}-{_plain(name)}"})
    return frozenset(names)


def is_excluded(name: str, projects: frozenset[str]) -> bool:
    """Whether a package's name, as it is or without a distribution's decoration, is that of a listed project."""
    plain = _plain(name)
    candidates = {plain}
    for _ in range(3):
        plain = _DECORATION.sub("", plain)
        candidates.add(plain)
    return bool(candidates & projects)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.rsplit("/", 1)[-1]).lower()
