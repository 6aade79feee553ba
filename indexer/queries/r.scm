; Definitions of R.
(binary_operator lhs: (identifier) @name rhs: (function_definition)) @definition.function
(program (binary_operator lhs: (identifier) @name operator: ["<-" "="]) @definition.variable)
((call function: (identifier) @maker arguments: (arguments . argument: (argument value: (string content: (_) @name)))) @definition.class
  (#one-of? @maker "setClass" "setRefClass" "R6Class"))
((call function: (identifier) @maker arguments: (arguments . argument: (argument value: (string content: (_) @name)))) @definition.function
  (#one-of? @maker "setMethod" "setGeneric" "test_that" "describe"))
(comment) @above
