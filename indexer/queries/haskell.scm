; Definitions of Haskell. A signature and the clauses after it become one function.
(data_type name: (name) @name) @definition.type
(newtype name: (name) @name) @definition.type
(type_synomym name: (name) @name) @definition.type
(class name: (name) @name) @definition.interface
(instance name: (name) @name) @container
(signature name: (variable) @name) @definition.function
(function name: (variable) @name) @definition.function
(bind name: (variable) @name) @definition.function
[(comment) (haddock) (pragma)] @above
