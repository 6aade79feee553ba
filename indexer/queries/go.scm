; Definitions of Go. A method's scope is its receiver's type.
(function_declaration name: (identifier) @name) @definition.function
(method_declaration
  receiver: (parameter_list (parameter_declaration type: [
    (type_identifier) @scope
    (pointer_type (type_identifier) @scope)
    (generic_type type: (type_identifier) @scope)
    (pointer_type (generic_type type: (type_identifier) @scope))]))
  name: (field_identifier) @name) @definition.method
(type_spec name: (type_identifier) @name type: (struct_type)) @definition.struct
(type_spec name: (type_identifier) @name type: (interface_type)) @definition.interface
(type_declaration [(type_spec name: (type_identifier) @name) (type_alias name: (type_identifier) @name)] @definition.type)
(type_declaration . [(type_spec name: (type_identifier) @name) (type_alias name: (type_identifier) @name)] .) @span
(source_file (const_declaration (const_spec name: (identifier) @name) @definition.constant))
(source_file (const_declaration . (const_spec name: (identifier) @name) .) @span)
(source_file (var_declaration (var_spec name: (identifier) @name) @definition.variable))
(source_file (var_declaration . (var_spec name: (identifier) @name) .) @span)
(source_file (var_declaration (var_spec_list (var_spec name: (identifier) @name) @definition.variable)))
(interface_type (method_elem name: (field_identifier) @name) @definition.method)
(comment) @above
