; Definitions of Ruby. Blocks of the usual test runners count as functions.
(module name: (_) @name) @definition.module
(class name: (_) @name) @definition.class
(method name: (_) @name) @definition.method
(singleton_method name: (_) @name) @definition.method
(assignment left: (constant) @name) @definition.constant
(program (method name: (_) @name) @definition.function)
((call method: (identifier) @runner arguments: (argument_list . [(string) (constant) (scope_resolution)] @name) block: (_)) @definition.function
  (#one-of? @runner "describe" "context" "it" "specify" "test" "feature" "scenario" "shared_examples" "namespace"))
((call method: (identifier) @maker arguments: (argument_list . (simple_symbol) @name)) @definition.property
  (#one-of? @maker "attr_reader" "attr_accessor" "attr_writer" "scope" "has_many" "belongs_to" "has_one" "attribute"))
(comment) @above
