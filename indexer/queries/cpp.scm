; Definitions of C++, and declarations of functions. A qualified name gives its qualifier as scope.
(namespace_definition name: (_) @name) @definition.module
(class_specifier name: (_) @name body: (_)) @definition.class
(struct_specifier name: (_) @name body: (_)) @definition.struct
(union_specifier name: (_) @name body: (_)) @definition.struct
(enum_specifier name: (_) @name body: (_)) @definition.enum
(concept_definition name: (identifier) @name) @definition.interface
(function_definition declarator: (function_declarator declarator: (_) @name)) @definition.function
(function_definition declarator: (_ (function_declarator declarator: (_) @name))) @definition.function
(function_definition declarator: (_ (_ (function_declarator declarator: (_) @name)))) @definition.function
(declaration declarator: (function_declarator declarator: [(identifier) (destructor_name) (operator_name)] @name)) @definition.function
(declaration declarator: (_ (function_declarator declarator: [(identifier) (operator_name)] @name))) @definition.function
(field_declaration declarator: (function_declarator
  declarator: [(field_identifier) (identifier) (destructor_name) (operator_name)] @name)) @definition.method
(field_declaration declarator: (_ (function_declarator declarator: [(field_identifier) (operator_name)] @name))) @definition.method
(alias_declaration name: (type_identifier) @name) @definition.type
(type_definition declarator: (type_identifier) @name) @definition.type
(type_definition declarator: (pointer_declarator declarator: (type_identifier) @name)) @definition.type
(translation_unit (declaration declarator: (init_declarator declarator: (identifier) @name)) @definition.variable)
(declaration_list (declaration declarator: (init_declarator declarator: (identifier) @name)) @definition.variable)
(preproc_def name: (identifier) @name) @definition.macro
(preproc_function_def name: (identifier) @name) @definition.macro
(template_declaration [
  (class_specifier name: (_) @name)
  (struct_specifier name: (_) @name)
  (alias_declaration name: (_) @name)
  (concept_definition name: (_) @name)
  (function_definition declarator: (function_declarator declarator: (_) @name))
  (function_definition declarator: (_ (function_declarator declarator: (_) @name)))
  (declaration declarator: (function_declarator declarator: (_) @name))
  (declaration declarator: (_ (function_declarator declarator: (_) @name)))]) @span
(comment) @above
