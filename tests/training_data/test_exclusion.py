"""Projects that evaluations use are recognised by name, and their functions by text."""

from pathlib import Path

import pytest

from codemem.training.data.archive import debian_licence, has_restricted_notice, is_permissive
from codemem.training.data.exclusion import is_excluded, listed_projects
from codemem.training.data.fingerprint import SeenTexts, fingerprint

PROJECTS = (
    "psf/requests",
    "gin-gonic/gin",
    "tokio-rs/axum",
    "curl/curl",
    "expressjs/express",
    "FasterXML/jackson-databind",
)


@pytest.fixture
def projects(tmp_path: Path) -> frozenset[str]:
    path = tmp_path / "never.txt"
    path.write_text("\n".join((*PROJECTS, "package:httpx")))
    return listed_projects(path)


@pytest.mark.parametrize(
    "name",
    [
        "requests",
        "python3-requests",
        "golang-github-gin-gonic-gin-dev",
        "node-express",
        "librust-axum-dev",
        "libcurl",
        "httpx",
        "jackson-databind",
        "axum-core",
        "Requests",
        "libjackson-databind-java",
    ],
)
def test_listed_projects_are_excluded_under_distribution_names(name: str, projects: frozenset[str]) -> None:
    assert is_excluded(name, projects)


@pytest.mark.parametrize(
    "name", ["requests-toolbelt", "golang-github-gorilla-mux-dev", "librust-regex-dev", "jackson-core"]
)
def test_others_are_not(name: str, projects: frozenset[str]) -> None:
    assert not is_excluded(name, projects)


FUNCTION = """def resolve(self, address, attempts):
    seen = set()
    for attempt in range(attempts):
        answer = self.query(address, attempt)
        if answer.final:
            return answer
        seen.add(answer.server)
        address = answer.referral
    raise ResolveError(seen)
"""


def test_a_renamed_copy_is_recognised_and_other_code_is_not() -> None:
    seen = SeenTexts.of([fingerprint(FUNCTION)])
    renamed = FUNCTION.replace("def resolve(", "def look_up(").replace(
        "    seen = set()", "\n        # where we were\n    seen = set()"
    )
    assert seen.resembles(fingerprint(renamed))
    other = "\n".join(f"    value_{number} = transform(value_{number - 1})" for number in range(1, 12))
    assert not seen.resembles(fingerprint(f"def chain(value_0):\n{other}\n"))


def test_texts_of_few_lines_must_be_equal() -> None:
    seen = SeenTexts.of([fingerprint("def f(x):\n    return x\n")])
    assert seen.resembles(fingerprint("def f(x):\n\n  return  x"))
    assert not seen.resembles(fingerprint("def g(x):\n    return x\n"))


@pytest.mark.parametrize(
    "licence", ["MIT", "Apache-2.0 OR GPL-2.0", "BSD3", "MIT License", "ISC License (ISCL)", "Ruby or BSD-2-clause"]
)
def test_permissive_licences(licence: str) -> None:
    assert is_permissive(licence)


@pytest.mark.parametrize("licence", ["GPL-3.0", "LGPL-2.1+", "MPL-2.0", "", "Proprietary", "MIT AND GPL-2.0"])
def test_other_licences(licence: str) -> None:
    assert not is_permissive(licence)


def test_debian_copyright_is_judged_by_upstreams_files() -> None:
    machine_readable = (
        "Format: x\n\nFiles: *\nCopyright: A\nLicense: Expat\n\nFiles: debian/*\nCopyright: B\nLicense: GPL-2+\n"
    )
    assert debian_licence(machine_readable) == "Expat"
    by_folder = "Files: src/*\nLicense: Expat\n\nFiles: contrib/*\nLicense: GPL-3\n"
    assert debian_licence(by_folder) == ""
    assert debian_licence("Permission is hereby granted, free of\n charge, to any person") == "MIT"
    assert debian_licence("Permission is hereby granted, free of charge. Parts are under the GPL.") == ""


def test_a_files_own_notice_counts() -> None:
    assert has_restricted_notice("# Licensed under the GNU General Public License, version 3\nimport os\n")
    assert not has_restricted_notice("# Licensed under the MIT licence\nimport os\n")
