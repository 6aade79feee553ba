"""Patterns in gitignore's syntax: `.codememignore` everywhere, `.gitignore` where git is not there to read it."""

from collections.abc import Iterable

from pathspec import GitIgnoreSpec

CODEMEM_IGNORE = ".codememignore"


class IgnoreRules:
    """The pattern files of a tree, each ruling its folder and what is below; the deepest one that says anything wins.

    Unlike git, a file below an excluded folder can be included again.
    """

    def __init__(self) -> None:
        self._specs: dict[str, GitIgnoreSpec] = {}
        self._texts: list[tuple[str, str]] = []
        self.reincluded: list[tuple[str, str]] = []
        """(folder, pattern) of each '!' line, in the order given."""

    def add(self, folder: str, text: str) -> None:
        """Rules for `folder` ('' for the root), as the lines of one file. Lines that are no pattern are passed over."""
        self._texts.append((folder, text))
        lines = [line for line in text.splitlines() if _is_pattern(line)]
        self._specs[folder] = GitIgnoreSpec.from_lines(lines)
        self.reincluded += [(folder, line[1:].strip()) for line in lines if line.startswith("!")]

    @property
    def texts(self) -> tuple[tuple[str, str], ...]:
        """(folder, text) of each file, in the order given: equal rules decide equally."""
        return tuple(self._texts)

    def __bool__(self) -> bool:
        return bool(self._specs)

    def decide(self, path: str) -> bool | None:
        """True: left out; False: taken by a '!' pattern; None: nothing said. A folder's path ends with '/'."""
        folder = path.rstrip("/")
        while folder:
            folder = folder.rpartition("/")[0]
            spec = self._specs.get(folder)
            if spec is not None:
                decided = spec.check_file(path[len(folder) + 1 :] if folder else path).include
                if decided is not None:
                    return decided
        return None

    def reincluded_pathspecs(self) -> Iterable[str]:
        """The '!' patterns as git pathspecs, so that git can list what it ignores itself."""
        for folder, pattern in self.reincluded:
            anchored = "/" in pattern.rstrip("/")
            below = f"{folder}/" if folder else ""
            name = pattern.strip("/")
            base = f"{below}{name}" if anchored else f"{below}**/{name}"
            if not pattern.endswith("/"):
                yield f":(top,glob){base}"
            yield f":(top,glob){base}/**"


def _is_pattern(line: str) -> bool:
    """Whether pathspec takes the line; a mistyped pattern must not lose the rest of the file."""
    if not line.strip() or line.startswith("#"):
        return False
    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True
