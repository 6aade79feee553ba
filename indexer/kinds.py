"""What a file is for, told from its path: tests, documentation, configuration, data, examples, or code.

Benchmarks count as tests: they lie beside what they measure.
"""

import re

from .languages import TEXT

_TEST = re.compile(
    r"(?:^|/)(?:tests?|testing|__tests__|specs?|testdata|test_data|fixtures|e2e|testsuite|benchmarks?|benches)/"
    r"|(?:^|/)(?:test_[^/]*|conftest|[^/]*[._-](?:test|tests|spec))\.[^/]+\Z",
    re.IGNORECASE,
)
_TEST_CAMEL = re.compile(
    r"(?:^|/)[^/]*[a-z0-9](?:Tests?|TestCase|Spec|IT)\.(?:java|kt|kts|scala|cs|swift|php|groovy|m|mm|cpp|cc|dart)\Z"
)
_TEST_SOURCE_SET = re.compile(r"(?:^|/)src/(?:test|androidTest|integrationTest|jmh)/")
_EXAMPLE = re.compile(r"(?:^|/)(?:examples?|samples?|demos?|tutorials?|quickstarts?|cookbook)/", re.IGNORECASE)
_DOCS_FOLDER = re.compile(r"(?:^|/)(?:docs?|documentation|man|wiki|adr|rfcs?)/", re.IGNORECASE)
_DOCS_NAME = re.compile(
    r"(?:^|/)(?:readme|changelog|changes|history|news|contributing|authors|maintainers|code_of_conduct|security|licen[cs]e|copying"
    r"|notice|todo|install|upgrading|migrating|architecture)(?:[._-][^/]*)?\Z",
    re.IGNORECASE,
)
_CONFIG_NAME = re.compile(
    r"(?:^|/)(?:\.[^/]+|dockerfile[^/]*|containerfile|makefile|gnumakefile|cmakelists\.txt|jenkinsfile|procfile|gemfile|rakefile"
    r"|requirements[^/]*\.txt|constraints[^/]*\.txt|setup\.(?:py|cfg)|package\.json|tsconfig[^/]*\.json|go\.mod|pom\.xml|build\.gradle"
    r"|meson\.build|[^/]*\.config\.[cm]?[jt]s)\Z|(?:^|/)\.(?:github|gitlab|circleci|vscode|idea|husky|ci)/",
    re.IGNORECASE,
)

_DOCS = frozenset({"markdown", "rst", "org", "latex", "typst"})
_CONFIG = frozenset({
    "yaml", "toml", "ini", "properties", "gitignore", "gitattributes", "requirements", "kconfig", "cmake", "make",
    "meson", "ninja", "gn", "starlark", "bitbake", "gomod", "hcl", "terraform", "dockerfile", "nix",
})  # fmt: skip
_LOOSE_TEXT = frozenset({TEXT, "html"})
_DATA = frozenset({"csv", "tsv", "psv", "json", "xml", "po", "beancount"})


def file_kind(path: str, language: str) -> str:
    """One of FILE_KINDS but 'generated' and 'vendored', which the reasons for leaving a file out decide."""
    if _TEST.search(path) or _TEST_CAMEL.search(path) or _TEST_SOURCE_SET.search(path):
        return "test"
    if language in _DOCS or _DOCS_NAME.search(path) or (language in _LOOSE_TEXT and _DOCS_FOLDER.search(path)):
        return "docs"
    if _EXAMPLE.search(path):
        return "example"
    if _CONFIG_NAME.search(path) or language in _CONFIG:
        return "config"
    return "data" if language in _DATA else "docs" if language == TEXT else "code"
