"""Answers about other languages than Python: right, with the line that decides, also where the naive reading is not."""

import pytest

from codemem.training.data.answer_forms import Answered
from codemem.training.data.answers import answered
from codemem.training.data.source_facts import facts_of_files
from codemem.training.data.treesitter_definitions import SUFFIXES, definitions

from .source_snippets import CPP, GO, JAVA, PHP, RUBY, RUST, SCRIPT


def answers(files: dict[str, str], language: str) -> dict[str, list[Answered]]:
    """Kind -> records about a package of these files."""
    suffix = {path: "." + path.rsplit(".", 1)[1] for path in files}
    found = [d for path in files for d in definitions(path, files[path], SUFFIXES[suffix[path]], test=False)]
    records: dict[str, list[Answered]] = {}
    for record in answered("demo", facts_of_files(files.items(), found, language)):
        assert record.evidence
        assert record.evidence in record.gold[-1].text
        records.setdefault(record.kind, []).append(record)
    return records


def said(files: dict[str, str], language: str) -> set[str]:
    """The answers to all questions, by the words."""
    return {record.answer for records in answers(files, language).values() for record in records}


EXPECTED = [
    (SCRIPT, "typescript", [
        "`Queue` extends `Emitter`.",
        "`Queue` implements `Drainable`.",
        "`Queue` is decorated with `@Injectable`.",
        "`Queue.pushItem` is decorated with `@HostListener`.",
        "`priority` defaults to `5` in `Queue.pushItem`.",
        "`Queue.pushItem` throws `RangeError`.",
        "`HIGH_WATER` is `16384`, set in `src/queue.ts`.",
        "`Queue.checkRoom` is called by `Queue.pushItem` in `src/queue.ts`.",
        "`Queue.pushItem` calls `checkRoom`.",
        "`Pipe.openAll` returns `'opened'`.",
        "`Queue` extends `Emitter`, whose `limit` defaults to `10`.",
        "`Queue` extends `Emitter`; `Emitter.emitEvent` throws `ListenerError`.",
        "`src/index.ts` takes `Queue` from `./queue`; it extends `Emitter`.",
    ]),
    (GO, "go", [
        "`Pool.Take` returns the error `ErrPoolDrained`.",
        "`Pool.Wrap` returns the error `errWrapped`.",
        "`locker.LockAll` returns the error `HeldError`.",
        "`Pool` embeds `locker` and `limits.Counter`.",
        "`maxIdleConns` is `64`, set in `pool/pool.go`.",
        "`openConnection` is called by `Pool.Take` in `pool/pool.go`.",
        "`Pool.Take` calls `openConnection`.",
        "`Pool` embeds `locker`; `locker.LockAll` returns the error `HeldError`.",
    ]),
    (RUST, "rust", [
        "`Unit` derives `Debug`, `Clone` and `Error`.",
        "`Measured` requires `Sized`.",
        "`Unit.check_size` returns the error `TooLarge`.",
        "`Unit.first_part` returns the error `EmptyUnit`.",
        '`Unit.method_label` returns `"unit of measure, and of nothing else"`.',
        "`LIMIT_BYTES` is `2048`, set in `src/unit.rs`.",
        "`src/lib.rs` takes `Measured` from `unit`; it requires `Sized`.",
    ]),
    (RUBY, "ruby", [
        "`View` inherits from `Template`.",
        "`format` defaults to `:html` in `View.render_page`.",
        "`View.render_page` raises `MissingTemplate`.",
        "`View.load_partial` is called by `View.render_page` in `lib/view.rb`.",
        "`View.render_page` calls `load_partial`.",
        "`PARTIAL_LEVELS` is `12`, set in `lib/view.rb`.",
        "`View` inherits from `Template`; `Template.compile_source` raises `SyntaxProblem`.",
    ]),
    (JAVA, "java", [
        "`Store` extends `Base`.",
        "`Store` implements `Closeable`.",
        "`MAX_ENTRIES` is `0x40`, set in `src/main/java/org/demo/Store.java`.",
        "`Store.countAll` is decorated with `@Transactional`.",
        "`Store.countAll` throws `NullNameException`.",
        "`Store.checkedSize` is called by `Store.countAll` in `src/main/java/org/demo/Store.java`.",
        "`Store` extends `Base`; `Base.flushAll` throws `FlushException`.",
    ]),
    (PHP, "php", [
        "`Form` extends `Element`.",
        "`Form` implements `Countable`.",
        "`MAX_FIELDS` is `10`, set in `src/Form.php`.",
        "`$required` defaults to `true` in `Form.addField`.",
        "`Form.addField` throws `InvalidArgumentException`.",
        "`Form.registerField` is called by `Form.addField` in `src/Form.php`.",
    ]),
    (CPP, "cpp", [
        "`Tree` derives from `Node` and `Shape`.",
        "`MAX_DEPTH` is `64`, set in `src/tree.cpp`.",
        "`kFanOut` is `16`, set in `src/tree.cpp`.",
        "`levels` defaults to `2` in `Tree.grow`.",
        "`Tree.grow` throws `length_error`.",
        "`Tree.grow` calls `prune_all`.",
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("files", "language", "expected"), EXPECTED, ids=[case[1] for case in EXPECTED])
def test_facts_of_each_language_are_answered(files: dict[str, str], language: str, expected: list[str]) -> None:
    assert [answer for answer in expected if answer not in said(files, language)] == []


WRONG = [
    # Thrown by a function that is handed on; set by `let`; of another package; under another name; not imported.
    (SCRIPT, "typescript", ["OverflowError", "lowWater", "whose `speed`", "`Stream`", "takes `Emitter`"]),
    # A comparison; a variable, named like an error too; in a function handed on; a return type; another package's type
    # as the parent of a method.
    (GO, "go", ["ErrAlreadyDrained", "error `err`", "errClosed", "ErrLater", "`error`.", "`Pool` embeds `Counter`"]),
    # A pattern; an attribute that derives nothing; a path; a test's call.
    (RUST, "rust", ["Ignored", "rename_all", "`thiserror`", "calls_verify_name"]),
    (RUBY, "ruby", ["a compiled"]),  # a string with parts filled in is no constant
    # A constructor is not inherited; what a lambda throws; what may change; `@Override` says nothing.
    (JAVA, "java", ["SeedException`", "LaterException", "`opened`", "@Override"]),
    (
        PHP,
        "php",
        ["$label", "beginChanges", "UnsetException"],
    ),  # a string with parts filled in; a function that also ends without value
    (CPP, "cpp", ["`CHECK`", "`tr`"]),  # a message that a call makes
]


@pytest.mark.parametrize(("files", "language", "wrong"), WRONG, ids=[case[1] for case in WRONG])
def test_what_only_looks_like_a_fact_is_not_said(files: dict[str, str], language: str, wrong: list[str]) -> None:
    everything = "\n".join(sorted(answer for answer in said(files, language) if "Base.Base" not in answer))
    assert [word for word in wrong if word in everything] == []


def test_callers_and_callees_are_asked_over_the_same_documents() -> None:
    records = answers(GO, "go")
    (caller,) = (r for r in records["caller"] if "openConnection" in r.question)
    (callee,) = (r for r in records["callee"] if "Take" in r.question)
    assert caller.gold == callee.gold
    assert "func openConnection" in caller.beside[0].text
    assert caller.beside[0] == callee.beside[0]
    assert caller.evidence == callee.evidence
    assert "return openConnection(p, name)" in caller.evidence


def test_a_function_called_elsewhere_too_has_no_one_caller() -> None:
    files = {
        **GO,
        "pool/main.go": "package pool\n\nvar first, _ = openConnection(nil, readTheNameFromSomewhereElse())\n",
    }
    assert "caller" not in answers(files, "go")
    assert "callee" in answers(files, "go")  # what it calls is as sure as before


def test_a_constant_set_twice_is_not_asked_for() -> None:
    files = {**RUBY, "lib/other.rb": "class Other\n  PARTIAL_LEVELS = compute_the_levels_of_everything_there_is\nend\n"}
    assert "constant" not in answers(files, "ruby")


def test_what_answers_for_a_neighbour_is_read_beside_it() -> None:
    records = answers(GO, "go")["raises"]
    taken = next(record for record in records if "ErrPoolDrained" in record.answer)
    assert any("errWrapped" in passage.text for passage in taken.beside)


def test_a_method_that_a_class_overrides_in_a_few_words_is_not_inherited() -> None:
    files = {
        "base.js": """export class Base {
  canParse(data) { this.asked += 1; this.seen.push(data); return false; }
  canWrite(data) { this.asked += 1; this.seen.push(data); return false; }
}
""",
        "own.js": """import { Base } from './base';
export class Own extends Base {
  canParse(data) { return true; }
  parseEverythingThatCanBeParsed(data) { return data.map((part) => part.parse()); }
}
""",
    }
    said = {record.answer for record in answers(files, "javascript")["inherits+returns"]}
    assert said == {"`Own` extends `Base`; `Base.canWrite` returns `false`."}


def test_a_call_with_type_arguments_is_a_call() -> None:
    generic = "fn second(text: &str) -> usize { read_one::<usize>(text) + text.len() + text.chars().count() }\n"
    called = "fn read_one<T>(text: &str) -> T { text.trim().parse().unwrap_or_default_of_something() }\n"
    plain = "fn first(text: &str) -> usize { let length = text.len(); read_one(&text[..length]) }\n"
    assert "caller" in answers({"src/lib.rs": called + plain}, "rust")
    assert "caller" not in answers({"src/lib.rs": called + plain + generic}, "rust")


def test_what_an_interface_declares_may_be_the_method_of_any_type() -> None:
    store = """package auth

type remoteStore struct{ address string; tokens map[string]string; asked int }

func (s *remoteStore) RefreshToken(name string) string {
	s.asked++
	return s.tokens[name]
}

func FetchNew(s tokenSource, name string) string {
	return s.RefreshToken(name) + "; asked anew, and once"
}
"""
    declared = "\ntype tokenSource interface {\n\tRefreshToken(name string) string\n\tCountOfTokens() int\n}\n"
    assert "caller" in answers({"auth.go": store}, "go")
    assert "caller" not in answers({"auth.go": store + declared}, "go")


def test_a_name_that_another_language_of_the_package_defines_stands_for_no_one_thing() -> None:
    plain = "static int count_all(int first) { return first + 1 + first * (first + 2) / 40; }\n"
    plain += "int sum_of_all(int first) { int second = count_all(first); return first + second; }\n"
    assert "caller" in answers({"a.c": plain}, "c")
    found = definitions("a.c", plain, "c", test=False)
    facts = facts_of_files([("a.c", plain)], found, "c", taken={"count_all"})
    assert "caller" not in {record.kind for record in answered("demo", facts)}
