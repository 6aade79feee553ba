"""Outlines of real code in every language that has a query. `fixtures/outlines.txt` says what each file defines."""

import itertools
import time
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
from tree_sitter_language_pack import get_language

from codemem.indexer import SYMBOL_KINDS, Selection, SourceFile, Symbol, detect_language, outline_languages, read_file
from codemem.indexer.outline import parse

FIXTURES = Path(__file__).parent / "fixtures"
SOURCES = sorted(path.name for path in FIXTURES.iterdir() if path.name != "outlines.txt")


def expected() -> dict[str, tuple[str, list[str]]]:
    """File -> (language, lines such as `4-8 function enqueue`)."""
    outlines: dict[str, tuple[str, list[str]]] = {}
    name = ""
    for line in (FIXTURES / "outlines.txt").read_text().splitlines():
        if line.startswith("  "):
            outlines[name][1].append(line.strip())
        elif line:
            name, _, language = line.partition(" ")
            outlines[name] = (language, [])
    return outlines


def read(name: str) -> SourceFile:
    file = read_file(name, (FIXTURES / name).read_bytes())
    assert isinstance(file, SourceFile)
    return file


def described(symbol: Symbol) -> str:
    return f"{symbol.start_line}-{symbol.end_line} {symbol.kind} {symbol.qualified_name}"


@pytest.mark.parametrize("name", SOURCES)
def test_outline_of(name: str) -> None:
    file = read(name)
    assert (file.language, [described(symbol) for symbol in file.symbols]) == expected()[name]


def test_every_language_with_a_query_has_a_sample() -> None:
    covered = {read(name).language for name in SOURCES}
    aliases = {"cuda", "arduino", "hcl"}  # read with the queries of cpp and terraform
    assert set(outline_languages()) - aliases <= covered
    assert len(outline_languages()) >= 45


@pytest.mark.parametrize("name", SOURCES)
def test_symbols_lie_where_they_say(name: str) -> None:
    data = (FIXTURES / name).read_bytes()
    for symbol in read(name).symbols:
        assert symbol.kind in SYMBOL_KINDS
        span = data[symbol.start_byte : symbol.end_byte]
        assert span == span.rstrip()
        assert symbol.start_line == data.count(b"\n", 0, symbol.start_byte) + 1
        assert symbol.end_line == data.count(b"\n", 0, symbol.end_byte) + 1
        for part in symbol.name.replace(".", " ").split():
            assert part.strip("#").encode() in span
        if not name.endswith(".ipynb"):
            assert symbol.signature.split(" ")[0].encode() in span


def test_signatures_and_first_lines_of_documentation() -> None:
    wanted = {
        "sample.py": ("register", "def register(name):", "Wraps a handler so that it is"),
        "sample.js": ("enqueue", "function enqueue(queue, job) {", "Adds a job and tells how many there are."),
        "Sample.java": ("push", "public boolean push(T item) {", "Adds one job."),
        "sample.rs": ("push", "pub fn push(&mut self, item: T) {", "Adds one job."),
        "Sample.cs": ("Queue", "public class Queue<T> : Base, IRunner", "Keeps jobs in order."),
        "sample.cpp": ("Queue", "class Queue : public Base {", "Keeps jobs in order."),
        "Sample.hs": ("push", "push :: a -> Queue a -> Queue a", "Adds one job."),
        "sample.jl": ("push!", "function push!(queue::Queue{T}, item::T) where {T}", "Adds one job."),
        "sample.ex": ("push", "def push(%__MODULE__{items: items} = queue, item) when length(items) < @limit do", ""),
    }
    for name, (symbol_name, signature, doc) in wanted.items():
        symbol = next(symbol for symbol in read(name).symbols if symbol.name == symbol_name)
        assert symbol.signature == signature
        assert doc in symbol.doc
    source = b"def f(\n    a: int,\n    b: int,\n) -> int:\n    return a\n"
    file = read_file("a.py", source)
    assert isinstance(file, SourceFile)
    assert file.symbols[0].signature == "def f( a: int, b: int, ) -> int:"


def test_type_aliases_of_newer_python() -> None:
    file = read_file("a.py", b"type Handler = object\n")
    assert isinstance(file, SourceFile)
    assert [described(symbol) for symbol in file.symbols] == ["1-1 type Handler"]


def test_code_that_does_not_parse_still_gives_what_was_found() -> None:
    source = b"def first():\n    return 1\n\ndef broken(:\n    )]}\n\n\ndef last():\n    return 2\n"
    file = read_file("a.py", source)
    assert isinstance(file, SourceFile)
    assert {"first", "last"} <= {symbol.name for symbol in file.symbols}
    assert "".join(document.text for document in file.documents).encode() == source


def test_text_in_no_known_language_still_becomes_documents() -> None:
    source = "Some notes.\n\nNothing that any grammar knows.\n"
    file = read_file("notes.unknown", source.encode())
    assert isinstance(file, SourceFile)
    assert (file.language, file.symbols) == ("text", ())
    assert [document.text for document in file.documents] == [source]


def test_languages_by_name_ending_and_first_line() -> None:
    for name, data, language in (
        ("Dockerfile", b"", "dockerfile"),
        ("dockerfile.prod", b"", "dockerfile"),
        ("CMakeLists.txt", b"", "cmake"),
        ("BUILD.bazel", b"", "starlark"),
        ("a.h", b"int f(void);\n", "c"),
        ("a.h", b"namespace a {\nclass B;\n}\n", "cpp"),
        ("a.h", b"#import <Foundation/Foundation.h>\n", "objc"),
        ("a.m", b"function y = f(x)\n", "matlab"),
        ("a.m", b"@interface A\n@end\n", "objc"),
        ("a.v", b"module counter(input clk);\nendmodule\n", "verilog"),
        ("a.v", b"module main\n\nfn main() {}\n", "v"),
        ("a.t", b"use Test::More;\n", "perl"),
        ("a.t", b"some text\n", "text"),
        ("run", b"#!/usr/bin/env python3\n", "python"),
        ("run", b"#!/bin/sh -e\n", "bash"),
        ("run", b"#!/usr/bin/env -S deno run\n", "javascript"),
        ("run", b"#!/usr/bin/tclsh\n", "tcl"),
        ("index", b"<?php echo 1;\n", "php"),
        ("a.MD", b"", "markdown"),
        ("LICENSE", b"Text\n", "text"),
        (".bashrc", b"", "bash"),
    ):
        assert detect_language(f"folder/{name}", data) == language, name


def test_every_language_that_is_detected_has_a_grammar() -> None:
    names = tomllib.loads(files("codemem.indexer").joinpath("languages.toml").read_text("utf-8"))
    languages = {*names["names"], *names["extensions"]}
    assert len(languages) > 120
    for language in languages:
        assert get_language(language).node_kind_count > 0


def test_a_parse_that_takes_too_long_is_ended() -> None:
    source = b"a = [" + b"[" * 200_000
    assert parse(source, "python", seconds=1e-6) is None
    file = read_file("a.py", b"a = 1\n" * 10_000, selection=Selection(parse_seconds=1e-6))
    assert isinstance(file, SourceFile)
    assert file.symbols == ()
    assert len(file.documents) > 1


def test_documents_do_not_depend_on_how_busy_the_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(step=10)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    file = read_file("a.py", b"def f():\n    pass\n" * 500)
    assert isinstance(file, SourceFile)
    assert len(file.symbols) == 500


@pytest.mark.parametrize("name", SOURCES)
def test_pathological_text_ends_and_keeps_its_bytes(name: str) -> None:
    sample = (FIXTURES / name).read_bytes()
    half, backwards, windows = sample[: len(sample) // 2], sample[::-1], sample.replace(b"\n", b"\r\n")
    for data in (b"(" * 5000, b"[{" * 5000, half * 3, backwards, windows):
        file = read_file(name, data)
        if isinstance(file, SourceFile) and not name.endswith(".ipynb"):
            assert b"".join(data[document.start_byte : document.end_byte] for document in file.documents) == data
