"""Answers about other languages than Python: right, with the line that decides, also where the naive reading is not."""

import pytest

from codemem.training.data.answer_forms import Answered
from codemem.training.data.answers import answered
from codemem.training.data.source_facts import facts_of_files
from codemem.training.data.treesitter_definitions import SUFFIXES, definitions

SCRIPT = {
    "src/queue.ts": """import { Emitter } from './emitter';
import { Flow } from 'other-package';

export const HIGH_WATER = 16384;
export let lowWater = 512;

@Injectable()
export class Queue extends Emitter implements Drainable {
  @HostListener('drain')
  pushItem(item: Item, priority = 5): void {
    this.checkRoom(item);
    if (!item.ready) {
      throw new RangeError('the item is not ready');
    }
  }

  private checkRoom(item: Item): void {
    item.onFull(() => { throw new OverflowError('later, and not here'); });
    this.items.splice(this.items.length, 0, item);
  }
}

export class Pipe extends Flow {
  openAll(): string { this.valves.forEach((valve) => valve.open()); return 'opened'; }
}
""",
    "src/emitter.ts": """export class Emitter {
  constructor(limit = 10) { this.limit = limit; this.listeners = new Map(); }
  emitEvent(name: string): void {
    if (!this.listeners.has(name)) { throw new ListenerError(name); }
  }
}
""",
    "src/flow.ts": """export class Flow {
  regulate(speed = 3): void { this.speed = speed; this.regulated = true; this.apply(speed); }
}
""",
    "src/index.ts": """export { Queue } from './queue';
export { Flow as Stream } from './flow';
export { Emitter } from 'events';
""",
}
GO = {
    "pool/pool.go": """package pool

import "example.org/other/limits"

const maxIdleConns = 64

type Pool struct {
	*locker
	limits.Counter
	size int
	opened []*Conn
}

func (p *Pool) Take(name string) (*Conn, error) {
	if p.size == 0 {
		return nil, ErrPoolDrained
	}
	return openConnection(p, name)
}

func (p *Pool) IsDrained(err error) bool {
	p.checked = true
	return err == ErrAlreadyDrained
}

func (p *Pool) Close(name string) error {
	errClosed := p.shut(name)
	p.group.Go(func() error { return ErrLater })
	if errClosed != nil {
		return errClosed
	}
	return nil
}

func (p *Pool) Wrap(name string) error {
	if err := p.validate(name); err != nil {
		return err
	}
	return fmt.Errorf("pool %s: %w", name, errWrapped)
}
""",
    "pool/open.go": """package pool

type locker struct {
	held bool
	mutex sync.Mutex // and nothing else is needed here
}

func (l *locker) LockAll(names []string) error {
	if l.held {
		return &HeldError{names}
	}
	return nil
}

func openConnection(p *Pool, name string) (*Conn, error) {
	if name == "" {
		return nil, ErrUnnamed
	}
	return dialSomewhere(name), nil
}
""",
}
RUST = {
    "src/unit.rs": """use crate::reader::Source;
use std::io::Read;

#[derive(Debug, Clone, thiserror::Error)]
#[serde(rename_all = "lowercase")]
pub struct Unit { size: usize, name: String, parts: Vec<Part> }

pub const LIMIT_BYTES: usize = 2048;

pub trait Measured: Sized { fn measure_all(&self) -> usize; fn weigh_all(&self) -> usize; }

impl Unit {
    pub fn check_size(&self) -> Result<(), Error> {
        if self.size > LIMIT_BYTES { return Err(ErrorKind::TooLarge.into()); }
        match self.verify() { Err(Error::Ignored) => Ok(()), other => other }
    }
    pub fn first_part(&self) -> Result<&Part, Error> {
        self.parts.first().ok_or(Error::EmptyUnit { size: self.size })
    }
    pub fn method_label(&self) -> &str { "unit of measure, and of nothing else" }
    pub fn verify_name(&self) -> bool { read_name(&self.name).is_ascii() && self.name.len() > 1 }
}

#[cfg(test)]
mod tests {
    fn calls_verify_name() { super::read_name("called by a test and by nothing else that matters"); }
}
""",
    "src/reader.rs": """pub struct Source { text: String, position: usize, line: usize, column: usize }

pub fn read_name(text: &str) -> String { text.chars().filter(|c| c.is_alphabetic()).collect() }
""",
    "src/lib.rs": """mod reader;
mod unit;
pub use std::io::Read;
pub use unit::{Measured, Unit};
// what else there is stays inside of the crate
""",
}
RUBY = {
    "lib/view.rb": """class View < Template
  PARTIAL_LEVELS = 12

  def render_page(name, format = :html)
    raise MissingTemplate, name unless name
    load_partial(name)
  end

  def load_partial(name)
    @partials[name] ||= read_from_disk_or_fail(name, PARTIAL_LEVELS)
  end
end
""",
    "lib/template.rb": """class Template
  def compile_source(source, trim: true)
    raise Errors::SyntaxProblem, source if source.empty?
    "a compiled #{source}"
  end
end
""",
}
JAVA = {
    "src/main/java/org/demo/Store.java": """package org.demo;

public class Store extends Base<String> implements Closeable {
  public static final int MAX_ENTRIES = 0x40;
  static int opened = 3;

  @Deprecated
  public Store(int size) { if (size < 0) throw new IllegalArgumentException("size"); this.size = size; }

  @Transactional(readOnly = true)
  public int countAll(String name) {
    if (name == null) { throw new NullNameException("name"); }
    runner.submit(() -> { throw new LaterException("not here"); });
    return checkedSize(name);
  }

  @Override
  public int checkedSize(String name) { return entries.get(name).size() + MAX_ENTRIES; }
}
""",
    "src/main/java/org/demo/Base.java": """package org.demo;

public class Base<T> {
  public Base(T seed) { if (seed == null) throw new SeedException("the seed is missing"); this.seed = seed; }
  public void flushAll(T item) { if (item == seed) throw new FlushException("seeds are never flushed"); }
}
""",
}
PHP = {
    "src/Form.php": """<?php
namespace Demo;

class Form extends Element implements \\Countable
{
    public const MAX_FIELDS = 10;

    public function addField(string $name, bool $required = true, $label = "n $name"): self
    {
        if ('' === $name) {
            throw new \\InvalidArgumentException('A field needs a name.');
        }
        return $this->registerField($name);
    }

    private function registerField(string $name): self
    {
        $this->fields[$name] = new Field($name, self::MAX_FIELDS);
        return $this;
    }

    public function thenUnset(): self
    {
        $this->thenPart = function () { throw new UnsetException('Only when it is called.'); };
        return $this;
    }

    public function beginChanges(): bool
    {
        if ($this->inConflict === true) {
            return false;
        }
        $this->changes = [];
    }
}
"""
}
CPP = {
    "src/tree.cpp": """#define MAX_DEPTH 64
#define CHECK(x) if (!(x)) abort()
static const int kFanOut = 16;

class Tree : public Node, private ns::Shape<int> {
 public:
  void grow(int levels = 2) { if (levels > MAX_DEPTH) throw std::length_error("too deep"); prune_all(levels); }
};

static void prune_all(int levels) {
  for (int level = 0; level < levels; ++level) drop_leaves(level, kFanOut);
  if (levels < 0) throw tr("Depths are not negative.");
}
"""
}


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
        "`Queue.pushItem` in `src/queue.ts` calls `checkRoom`.",
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
        "`Pool.Take` in `pool/pool.go` calls `openConnection`.",
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
        "`View.render_page` in `lib/view.rb` calls `load_partial`.",
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
        "`Store.countAll` in `src/main/java/org/demo/Store.java` calls `checkedSize`.",
        "`Store` extends `Base`; `Base.flushAll` throws `FlushException`.",
    ]),
    (PHP, "php", [
        "`Form` extends `Element`.",
        "`Form` implements `Countable`.",
        "`MAX_FIELDS` is `10`, set in `src/Form.php`.",
        "`$required` defaults to `true` in `Form.addField`.",
        "`Form.addField` throws `InvalidArgumentException`.",
        "`Form.addField` in `src/Form.php` calls `registerField`.",
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
