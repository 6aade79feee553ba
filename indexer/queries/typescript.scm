; inherits: _ecma
; Definitions of TypeScript.
(abstract_class_declaration name: (_) @name) @definition.class
(interface_declaration name: (_) @name) @definition.interface
(type_alias_declaration name: (_) @name) @definition.type
(enum_declaration name: (_) @name) @definition.enum
(internal_module name: (_) @name) @definition.module
(module name: (_) @name) @definition.module
(function_signature name: (identifier) @name) @definition.function
(abstract_method_signature name: (_) @name) @definition.method
(method_signature name: (_) @name) @definition.method
(public_field_definition name: (_) @name) @definition.property
(export_statement
  declaration: (lexical_declaration (variable_declarator name: (identifier) @name)) @definition.variable)
(ambient_declaration (_ name: (_) @name)) @span
(expression_statement (internal_module name: (_) @name)) @span
[(comment) (decorator)] @above
