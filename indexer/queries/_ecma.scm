; Definitions that JavaScript and TypeScript share. Blocks of the usual test runners count as functions.
(class_declaration name: (_) @name) @definition.class
(function_declaration name: (identifier) @name) @definition.function
(generator_function_declaration name: (identifier) @name) @definition.function
(method_definition name: (_) @name) @definition.method
(lexical_declaration . (variable_declarator name: (identifier) @name
  value: [(arrow_function) (function_expression) (generator_function)]) .) @definition.function
(lexical_declaration . (variable_declarator name: (identifier) @name value: (class)) .) @definition.class
(program (lexical_declaration (variable_declarator name: (identifier) @name)) @definition.variable)
((expression_statement (assignment_expression
  left: (member_expression object: (_) @scope property: (property_identifier) @name)
  right: [(function_expression) (arrow_function)])) @definition.function
  (#not-one-of? @name "exports"))
((expression_statement (assignment_expression
  left: (member_expression object: (_) @scope property: (property_identifier) @name)
  right: (class))) @definition.class
  (#not-one-of? @name "exports"))
; What a CommonJS module is as a whole bears the name of its own, if it has one.
((expression_statement (assignment_expression
  left: (member_expression object: (_) @scope property: (property_identifier) @name)
  right: [(function_expression !name) (arrow_function)])) @definition.function
  (#one-of? @name "exports"))
((expression_statement (assignment_expression
  left: (member_expression object: (_) @scope property: (property_identifier) @name)
  right: (class !name))) @definition.class
  (#one-of? @name "exports"))
((expression_statement (assignment_expression
  left: (member_expression property: (property_identifier) @exports)
  right: (function_expression name: (_) @name))) @definition.function
  (#one-of? @exports "exports"))
((expression_statement (assignment_expression
  left: (member_expression property: (property_identifier) @exports)
  right: (class name: (_) @name))) @definition.class
  (#one-of? @exports "exports"))
(pair key: (_) @name value: [(function_expression) (arrow_function)]) @definition.method
(export_statement declaration: (_ name: (_) @name)) @span
(export_statement declaration: (lexical_declaration . (variable_declarator name: (identifier) @name) .)) @span
((expression_statement (call_expression
  function: [(identifier) @runner (member_expression object: (identifier) @runner)]
  arguments: (arguments . [(string) (template_string)] @name [(arrow_function) (function_expression)]))) @definition.function
  (#one-of? @runner "describe" "context" "suite" "it" "test"))
