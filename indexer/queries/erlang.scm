; Definitions of Erlang. Clauses of one function become one.
(fun_decl clause: (function_clause name: (atom) @name)) @definition.function
(record_decl name: (atom) @name) @definition.struct
(type_alias name: (type_name name: (atom) @name)) @definition.type
(pp_define lhs: (macro_lhs name: (_) @name)) @definition.macro
(callback fun: (atom) @name) @definition.method
(spec fun: (atom) @name) @definition.function
(comment) @above
