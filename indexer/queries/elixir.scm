; Definitions of Elixir. Clauses of one function that follow each other become one.
((call target: (identifier) @keyword (arguments . (alias) @name)) @definition.module
  (#one-of? @keyword "defmodule"))
((call target: (identifier) @keyword (arguments . (alias) @name)) @definition.interface
  (#one-of? @keyword "defprotocol"))
((call target: (identifier) @keyword (arguments . (alias) @name)) @container
  (#one-of? @keyword "defimpl"))
((call target: (identifier) @keyword (arguments . [
    (identifier) @name
    (call target: (identifier) @name)
    (binary_operator left: (call target: (identifier) @name))
    (binary_operator left: (identifier) @name)])) @definition.function
  (#one-of? @keyword "def" "defp" "defdelegate" "defguard" "defguardp" "defn" "defnp"))
((call target: (identifier) @keyword (arguments . [
    (call target: (identifier) @name)
    (binary_operator left: (call target: (identifier) @name))])) @definition.macro
  (#one-of? @keyword "defmacro" "defmacrop"))
((call target: (identifier) @keyword (arguments . (string) @name)) @definition.function
  (#one-of? @keyword "test" "describe"))
(comment) @above
(unary_operator operator: "@" operand: (call target: (identifier) @attribute)
  (#one-of? @attribute "doc" "spec" "impl" "deprecated" "moduletag" "tag")) @above
