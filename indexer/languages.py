"""Which language a file is written in: by its name, then its extension, then its first line.

Languages are named as in tree-sitter-language-pack; what has no grammar there is 'text'.
"""

import re

TEXT = "text"

_BY_NAME = {
    ".bash_aliases": "bash", ".bash_profile": "bash", ".bashrc": "bash", ".profile": "bash", ".zshrc": "bash",
    ".vimrc": "vim", ".gitattributes": "gitattributes", ".gitignore": "gitignore", ".codememignore": "gitignore",
    ".dockerignore": "gitignore", ".npmignore": "gitignore", ".editorconfig": "ini", ".gitconfig": "ini",
    ".babelrc": "json", ".eslintrc": "json", ".prettierrc": "json", ".clang-format": "yaml", ".clang-tidy": "yaml",
    "brewfile": "ruby", "build": "starlark", "build.bazel": "starlark", "workspace": "starlark",
    "cmakelists.txt": "cmake", "containerfile": "dockerfile", "dockerfile": "dockerfile", "gemfile": "ruby",
    "gnumakefile": "make", "makefile": "make", "jenkinsfile": "groovy", "kconfig": "kconfig", "meson.build": "meson",
    "pipfile": "toml", "podfile": "ruby", "rakefile": "ruby", "vagrantfile": "ruby", "go.mod": "gomod",
    "requirements.txt": "requirements", "constraints.txt": "requirements", "pkgbuild": "bash",
}  # fmt: skip

_EXTENSIONS = {
    "actionscript": "as", "ada": "adb ads", "agda": "agda", "apex": "apex", "astro": "astro",
    "bash": "sh bash zsh ksh bats", "beancount": "beancount", "bicep": "bicep", "bitbake": "bb bbclass",
    "c": "c h", "cairo": "cairo", "capnp": "capnp", "clarity": "clar", "clojure": "clj cljs cljc edn", "cmake": "cmake",
    "cobol": "cob cbl cpy", "commonlisp": "lisp lsp asd",
    "cpp": "cc cpp cxx c++ hh hpp hxx h++ ipp inl tpp ino", "csharp": "cs csx", "css": "css", "csv": "csv",
    "cuda": "cu cuh", "d": "d di", "dart": "dart", "dockerfile": "dockerfile", "elisp": "el", "elixir": "ex exs",
    "elm": "elm", "erlang": "erl hrl", "fennel": "fnl", "firrtl": "fir", "fish": "fish",
    "fortran": "f f77 f90 f95 f03 f08 for", "fsharp": "fs fsx", "fsharp_signature": "fsi", "func": "fc",
    "gdscript": "gd", "gleam": "gleam", "glsl": "glsl vert frag geom comp", "gn": "gn gni", "go": "go",
    "graphql": "graphql gql", "groovy": "groovy gradle", "hack": "hack", "hare": "ha", "haskell": "hs",
    "haxe": "hx", "hcl": "hcl", "heex": "heex", "hlsl": "hlsl", "html": "html htm xhtml",
    "ini": "ini cfg", "janet": "janet", "java": "java", "javascript": "js mjs cjs jsx", "json": "json jsonc json5 webmanifest",
    "jsonnet": "jsonnet libsonnet", "julia": "jl", "kdl": "kdl", "kotlin": "kt kts", "latex": "tex sty cls",
    "linkerscript": "ld lds", "llvm": "ll", "lua": "lua rockspec", "luau": "luau", "magik": "magik", "make": "mk mak",
    "markdown": "md markdown mdx qmd rmd", "mermaid": "mmd mermaid", "nim": "nim nims", "ninja": "ninja", "nix": "nix",
    "objc": "m mm", "ocaml": "ml", "ocaml_interface": "mli", "odin": "odin", "org": "org", "pascal": "pas pp dpr",
    "perl": "pl pm t", "php": "php phtml php5", "po": "po pot", "pony": "pony", "powershell": "ps1 psm1 psd1",
    "prisma": "prisma", "properties": "properties", "proto": "proto", "psv": "psv", "puppet": "puppet",
    "purescript": "purs", "python": "py pyi pyw pyx pxd", "qmljs": "qml", "r": "r", "racket": "rkt", "rego": "rego",
    "rst": "rst", "ruby": "rb rake gemspec ru", "rust": "rs", "scala": "scala sc sbt", "scheme": "scm ss sld",
    "scss": "scss", "smithy": "smithy", "solidity": "sol", "sparql": "rq sparql", "sql": "sql ddl dml",
    "squirrel": "nut", "starlark": "bzl star bazel", "svelte": "svelte", "swift": "swift", "tablegen": "td",
    "tcl": "tcl tk", "terraform": "tf tfvars", "thrift": "thrift", "toml": "toml", "tsv": "tsv", "tsx": "tsx",
    "twig": "twig", "typescript": "ts mts cts", "typst": "typ", "v": "v vsh", "verilog": "sv svh vh",
    "vhdl": "vhd vhdl", "vim": "vim", "vue": "vue", "wat": "wat", "wgsl": "wgsl",
    "xml": "xml xsd xsl xslt svg plist csproj props targets resx xaml", "yaml": "yaml yml", "yuck": "yuck", "zig": "zig zon",
}  # fmt: skip
_BY_EXTENSION = {extension: language for language, names in _EXTENSIONS.items() for extension in names.split()}

_INTERPRETERS = (
    (re.compile(rb"^#!.*\bpython[0-9.]*\b"), "python"),
    (re.compile(rb"^#!.*\b(?:ba|z|k|da|a)?sh\b"), "bash"),
    (re.compile(rb"^#!.*\b(?:node|deno|bun)\b"), "javascript"),
    (re.compile(rb"^#!.*\bts-node\b"), "typescript"),
    (re.compile(rb"^#!.*\bruby\b"), "ruby"),
    (re.compile(rb"^#!.*\bperl\b"), "perl"),
    (re.compile(rb"^#!.*\bphp\b"), "php"),
    (re.compile(rb"^#!.*\blua(?:jit)?\b"), "lua"),
    (re.compile(rb"^#!.*\bRscript\b"), "r"),
    (re.compile(rb"^#!.*\bfish\b"), "fish"),
    (re.compile(rb"^#!.*\bjulia\b"), "julia"),
    (re.compile(rb"^#!.*\belixir\b"), "elixir"),
    (re.compile(rb"^#!.*\b(?:groovy|scala|tclsh|racket|make)\b"), ""),
    (re.compile(rb"^<\?php\b"), "php"),
    (re.compile(rb"^<\?xml\b"), "xml"),
)

_CPP_HEADER = re.compile(rb"^\s*(?:class\s+\w|namespace\b|template\s*<|using\s+\w|(?:public|private|protected)\s*:)", re.M)
_OBJC_HEADER = re.compile(rb"^\s*@(?:interface|protocol|class|import)\b|^#import\b", re.M)
_OBJC = re.compile(rb"^\s*(?:@(?:implementation|interface|protocol|import|end)\b|#import\b)", re.M)


def detect_language(path: str, data: bytes = b"") -> str:
    """The grammar for the file at `path`; `data` (its first bytes) decides where the name is not enough."""
    name = path.rpartition("/")[2].lower()
    language = _BY_NAME.get(name)
    if language is None and name.startswith(("dockerfile.", "makefile.", "containerfile.")):
        language = _BY_NAME[name.partition(".")[0]]
    if language is None and "." in name:
        language = _BY_EXTENSION.get(name.rpartition(".")[2])
    if language is None:
        return _by_first_line(data)
    return _ambiguous(language, name, data)


def _by_first_line(data: bytes) -> str:
    first = data[:200].partition(b"\n")[0]
    for pattern, language in _INTERPRETERS:
        if match := pattern.search(first):
            return language or match[0].rsplit(b"/")[-1].split()[-1].decode("ascii").replace("tclsh", "tcl")
    return TEXT


def _ambiguous(language: str, name: str, data: bytes) -> str:
    """Extensions that two languages share: headers, .m, .t, .v and .pp."""
    head = data[:16384]
    if name.endswith(".h"):
        if _OBJC_HEADER.search(head):
            return "objc"
        return "cpp" if _CPP_HEADER.search(head) else "c"
    if name.endswith(".m") and head and not _OBJC.search(head):
        return "matlab"
    if name.endswith(".v") and re.search(rb"^\s*(?:end)?module\b", head, re.M):
        return "verilog"
    if name.endswith(".pp") and not re.search(rb"^\s*(?:program|unit|uses)\b", head, re.M | re.I):
        return "puppet"
    if name.endswith(".t") and not re.search(rb"^\s*(?:use|my|package)\s", head, re.M):
        return TEXT
    return language
