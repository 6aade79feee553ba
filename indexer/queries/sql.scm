; Definitions of SQL.
(statement (create_table (object_reference) @name)) @definition.struct
(statement (create_view (object_reference) @name)) @definition.type
(statement (create_materialized_view (object_reference) @name)) @definition.type
(statement (create_type (object_reference) @name)) @definition.type
(statement (create_index column: (identifier) @name)) @definition.property
(statement (create_function . (_) (object_reference) @name)) @definition.function
(statement (create_trigger (object_reference) @name)) @definition.function
(statement (create_schema (identifier) @name)) @definition.module
(statement (create_sequence (object_reference) @name)) @definition.variable
[(comment) (marginalia)] @above
