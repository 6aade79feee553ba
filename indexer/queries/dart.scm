; Definitions of Dart. A signature and the body after it are one definition.
(class_definition name: (identifier) @name) @definition.class
(mixin_declaration (identifier) @name) @definition.trait
(extension_declaration name: (identifier) @name) @definition.class
(enum_declaration name: (identifier) @name) @definition.enum
(type_alias . (type_identifier) @name) @definition.type
(program (function_signature name: (identifier) @name) @definition.function . (function_body) @end)
(program (function_signature name: (identifier) @name) @definition.function)
((method_signature (function_signature name: (identifier) @name)) @definition.method . (function_body) @end)
((method_signature (getter_signature name: (identifier) @name)) @definition.property . (function_body) @end)
((method_signature (setter_signature name: (identifier) @name)) @definition.property . (function_body) @end)
((method_signature (constructor_signature . name: (identifier) @name)) @definition.constructor . (function_body) @end)
((method_signature (factory_constructor_signature . (identifier) @name)) @definition.constructor . (function_body) @end)
(declaration (function_signature name: (identifier) @name)) @definition.method
(declaration (constructor_signature . name: (identifier) @name . name: (identifier)? @name)) @definition.constructor
(declaration (initialized_identifier_list (initialized_identifier . (identifier) @name))) @definition.property
(program (static_final_declaration_list (static_final_declaration . (identifier) @name) @definition.constant))
[(comment) (documentation_comment) (annotation)] @above
