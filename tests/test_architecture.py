"""Which folder may import which, read from the source with `ast`; and that the package hides no one else's modules.

The reason: `indexer` must stay usable without torch, `model` without git, and a command must not pay for what it does
not use. Only the composition root, `codemem/cli`, may import anything, and only when a command is called.
"""

import ast
import importlib.metadata
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {
    "kernels": {"kernels"},
    "model": {"model", "kernels"},
    "indexer": {"indexer"},
    "codemem": {"codemem", "model", "indexer"},
    "lsp": {"lsp", "codemem", "model", "indexer"},
    "training": {"training", "evals", "codemem", "model", "kernels", "indexer"},
    "evals": {"evals", "codemem", "model", "kernels", "indexer"},
    "benchmarks": {"benchmarks", "evals", "codemem", "model", "kernels", "indexer"},
}
FOLDERS = tuple(ALLOWED)


def modules(folder: str) -> Iterator[Path]:
    """Python files of a folder at the root; codemem/ holds links to the others, which are not followed."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        inside = path.relative_to(ROOT / folder).parts
        if folder != "codemem" or not (len(inside) > 1 and inside[0] in FOLDERS):
            yield path


def imported_folders(path: Path) -> Iterator[tuple[str, int, bool]]:
    """(folder, line, whether at the top of the module) of every import from within the project."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    at_top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            head, _, rest = name.partition(".")
            second = rest.partition(".")[0]
            if head == "codemem":
                yield (second if second in FOLDERS else "codemem"), node.lineno, id(node) in at_top


@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_point_downwards(folder: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {target}"
        for path in modules(folder)
        if not path.is_relative_to(ROOT / "codemem" / "cli")
        for target, line, _ in imported_folders(path)
        if target not in ALLOWED[folder]
    ]
    assert wrong == []


def test_the_command_line_imports_other_folders_only_inside_functions() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {target}"
        for path in modules("codemem")
        if path.is_relative_to(ROOT / "codemem" / "cli")
        for target, line, at_top in imported_folders(path)
        if at_top and target not in ALLOWED["codemem"]
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("indexer", {"torch", "transformers", "tokenizers", "safetensors"}),
        ("kernels", {"git", "rich", "typer", "pygls"}),
        ("model", {"git", "rich", "typer", "pygls", "tree_sitter"}),
        ("codemem", {"torch", "pygls", "lsprotocol"}),
        ("lsp", {"torch"}),
    ],
)
def test_a_folder_does_not_know_what_it_must_not(folder: str, forbidden: set[str]) -> None:
    found = []
    for path in modules(folder):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            found += [f"{path.relative_to(ROOT)}: {name}" for name in names if name.partition(".")[0] in forbidden]
    assert found == []


ENVIRONMENT_READERS = {
    "codemem/config.py",  # configuration, and what Python processes inherit
    "codemem/daemon/hint.py",  # whether the configuration would be the same, without reading it
    "indexer/git.py",  # what a child process inherits, not configuration
}


def test_only_the_configuration_reads_the_environment() -> None:
    """Benchmarks and training scripts are programs of their own and may."""
    readers = {
        str(path.relative_to(ROOT))
        for folder in ("codemem", "indexer", "model", "kernels", "lsp")
        for path in modules(folder)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv")
    }
    assert readers <= ENVIRONMENT_READERS


def test_help_and_argument_errors_load_nothing_heavy() -> None:
    """Counted in modules, not in time: torch alone takes seconds."""
    script = (
        "import sys\n"
        "from codemem.cli.app import run\n"
        "codes = [run(['--help']), run(['find', '--help']), run(['find', '--no-such-option']), run(['nonsense'])]\n"
        "heavy = {'torch', 'numpy', 'safetensors', 'tree_sitter', 'huggingface_hub', 'transformers', 'tokenizers'}\n"
        "print(codes, sorted(heavy & set(sys.modules)), file=sys.__stderr__)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[0, 0, 2, 2] []"


@pytest.mark.slow
def test_an_installed_wheel_claims_no_bare_names(tmp_path: Path) -> None:
    """A top-level `kernels` would overwrite Hugging Face's package of that name, and pip says nothing."""
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"codemem"}
    assert {"codemem/kernels/__init__.py", "codemem/model/__init__.py", "codemem/indexer/__init__.py"} <= set(names)
    assert any(name.endswith(".scm") for name in names), "grammar queries are data that the wheel must carry"


def test_bare_names_cannot_be_imported_from_an_installation() -> None:
    """From outside the source tree, `import kernels` finds Hugging Face's package or nothing."""
    script = (
        "import importlib.util, sys\n"
        "for name in ('kernels', 'model', 'indexer', 'lsp', 'evals', 'training', 'benchmarks'):\n"
        "    spec = importlib.util.find_spec(name)\n"
        "    if spec and spec.origin and sys.argv[1] in spec.origin: print(name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(ROOT)], cwd="/", capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    assert importlib.metadata.version("codemem")
