; Definitions of Python. Module-level assignments are constants or variables; those inside functions are not listed.
(class_definition name: (identifier) @name) @definition.class
(function_definition name: (identifier) @name) @definition.function
(decorated_definition definition: (_ name: (identifier) @name)) @span
(module (assignment left: (identifier) @name) @definition.variable)
(class_definition body: (block (assignment left: (identifier) @name) @definition.property))
(type_alias_statement left: (type (identifier) @name)) @definition.type
(class_definition name: (identifier) @name body: (block . (string) @doc))
(function_definition name: (identifier) @name body: (block . (string) @doc))
(comment) @above
