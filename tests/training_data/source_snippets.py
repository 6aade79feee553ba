"""Small packages of each language: what they state, and what only looks as if they did."""

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
