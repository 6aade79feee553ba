; Definitions that JavaScript and TypeScript share. Blocks of the usual test runners count as functions.
(class_declaration name: (_) @name) @definition.class
(function_declaration name: (identifier) @name) @definition.function
(generator_function_declaration name: (identifier) @name) @definition.function
(method_definition name: (_) @name) @definition.method
(lexical_declaration . (variable_declarator name: (identifier) @name
  value: [(arrow_function) (function_expression) (generator_function)]) .) @definition.function
(lexical_declaration . (variable_declarator name: (identifier) @name value: (class)) .) @definition.class
(program (lexical_declaration (variable_declarator name: (identifier) @name)) @definition.variable)
(expression_statement (assignment_expression
  left: (member_expression object: (_) @scope property: (property_identifier) @name)
  right: [(function_expression) (arrow_function) (class)])) @definition.function
(pair key: (_) @name value: [(function_expression) (arrow_function)]) @definition.method
(export_statement declaration: (_ name: (_) @name)) @span
(export_statement declaration: (lexical_declaration . (variable_declarator name: (identifier) @name) .)) @span
((expression_statement (call_expression
  function: [(identifier) @runner (member_expression object: (identifier) @runner)]
  arguments: (arguments . [(string) (template_string)] @name [(arrow_function) (function_expression)]))) @definition.function
  (#one-of? @runner "describe" "context" "suite" "it" "test"))
