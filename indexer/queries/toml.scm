; Tables and keys.
(document (pair . (_) @name) @definition.property)
(table . (_) @name) @definition.section
(table_array_element . (_) @name) @definition.section
(table (pair . (_) @name) @definition.property)
(comment) @above
